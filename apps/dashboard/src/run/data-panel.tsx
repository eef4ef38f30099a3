/** What became of a run's data, source by source, and what the run said when it began. */
import { Alert, List, Stack, Table, Text } from '@mantine/core'
import type { DataCounts, RunView } from '@rankscope/protocol'
import { formatExact, formatPercent } from '../common/format.ts'
import { Notice } from '../common/notice.tsx'

export function DataPanel({ run }: { run: RunView }) {
  if (!run.start)
    return <Notice title="Not yet known" text="The data is read when the run starts on a node." />
  const { warnings, data: counts } = run.start
  return (
    <Stack gap="md">
      {warnings.length > 0 ? (
        <Alert color="orange" title="Worth knowing" p="sm" data-testid="start-warnings">
          <List size="sm" spacing={2}>
            {warnings.map((warning) => (
              <List.Item key={warning} style={{ overflowWrap: 'anywhere' }}>
                {warning}
              </List.Item>
            ))}
          </List>
        </Alert>
      ) : null}
      {counts.length > 0 ? (
        <CountsTable counts={counts} />
      ) : (
        <Text size="sm" c="dimmed">
          This run was made by a version that did not count its records.
        </Text>
      )}
    </Stack>
  )
}

function CountsTable({ counts }: { counts: readonly DataCounts[] }) {
  const epoch = counts.reduce((sum, { perEpoch }) => sum + perEpoch, 0)
  return (
    <Table.ScrollContainer minWidth={720}>
      <Table withTableBorder data-testid="data-counts" fz="sm">
        <Table.Thead>
          <Table.Tr>
            {['Source', 'Split', 'Read', 'Used', 'Cut', 'Not used', 'Examples', 'Tokens', 'Of an epoch'].map(
              (title) => (
                <Table.Th key={title}>{title}</Table.Th>
              ),
            )}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {counts.map((row) => (
            <Table.Tr key={`${row.source} ${row.split}`}>
              <Table.Td style={{ overflowWrap: 'anywhere' }}>{row.source}</Table.Td>
              <Table.Td>{row.split}</Table.Td>
              <Table.Td>{formatExact(row.read)}</Table.Td>
              <Table.Td>{formatExact(row.used)}</Table.Td>
              <Table.Td>{formatExact(row.truncated)}</Table.Td>
              <Table.Td>
                {Object.entries(row.skipped).map(([reason, count]) => (
                  <div key={reason}>
                    {formatExact(count)}: {reason}
                  </div>
                ))}
              </Table.Td>
              <Table.Td>{formatExact(row.examples)}</Table.Td>
              <Table.Td>{formatExact(row.tokens)}</Table.Td>
              <Table.Td>
                {row.split === 'train' && epoch > 0
                  ? `${formatExact(row.perEpoch)} (${formatPercent(row.perEpoch / epoch)})`
                  : ''}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  )
}
