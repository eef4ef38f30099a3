/** Results side by side; repeated configurations joined to mean ± deviation on request. */
import { Anchor, Button, Group, Table, Text } from '@mantine/core'
import { isActive, methodLabel, type RunView } from '@rankscope/protocol'
import { Link } from 'react-router'
import { toCsv } from '../charts/csv.ts'
import { downloadText } from '../charts/download.ts'
import { useNow } from '../common/use-now.ts'
import { RunSwatch } from '../runs/run-swatch.tsx'
import { StateBadge } from '../runs/state-badge.tsx'
import { bestPlaces, spread, summaryColumns } from './summary.ts'

type Props = { runs: readonly RunView[]; grouped: boolean; keyOf: (run: RunView) => string }

export function SummaryTable({ runs, grouped, keyOf }: Props) {
  const now = useNow(
    1000,
    runs.some((run) => isActive(run.state)),
  )
  const rows = grouped ? groupsOf(runs, keyOf) : runs.map((run) => [run])
  const columns = summaryColumns.map((column) => {
    const cells = rows.map((members) => spread(members.map((run) => column.value(run, now))))
    return {
      column,
      cells,
      best: bestPlaces(
        cells.map((cell) => cell.mean),
        column.better,
      ),
    }
  })
  const save = () => {
    const header = ['run', 'method', 'state', ...summaryColumns.map((column) => column.key)]
    const lines = runs.map((run) => [
      run.name,
      methodLabel(run.config),
      run.state,
      ...summaryColumns.map((column) => column.value(run, now) ?? ''),
    ])
    downloadText(toCsv([header, ...lines]), 'rankscope-results.csv', 'text/csv')
  }
  return (
    <>
      <Table.ScrollContainer minWidth={1060}>
        <Table verticalSpacing="xs" horizontalSpacing={7} highlightOnHover data-testid="summary-table">
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Run</Table.Th>
              <Table.Th>Method</Table.Th>
              {columns.map(({ column }) => (
                <Table.Th key={column.key} ta="right">
                  {column.title}
                </Table.Th>
              ))}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {rows.map((members, index) => {
              const [run] = members as [RunView, ...RunView[]]
              return (
                <Table.Tr key={run.runId}>
                  <Table.Td>
                    <Group gap={8} wrap="nowrap">
                      <RunSwatch runId={run.runId} />
                      <Anchor
                        component={Link}
                        to={`/runs/${run.runId}`}
                        size="sm"
                        style={{ whiteSpace: 'nowrap' }}
                      >
                        {run.name}
                      </Anchor>
                      {members.length > 1 ? (
                        <Text span size="xs" c="dimmed">
                          and {members.length - 1} more
                        </Text>
                      ) : run.state === 'finished' ? null : (
                        <StateBadge run={run} />
                      )}
                    </Group>
                  </Table.Td>
                  <Table.Td miw={100}>{methodLabel(run.config)}</Table.Td>
                  {columns.map(({ column, cells, best }) => {
                    const { mean, deviation } = cells[index]!
                    return (
                      <Table.Td
                        key={column.key}
                        ta="right"
                        className="numeric"
                        fw={best.has(index) ? 700 : 400}
                        style={{ whiteSpace: 'nowrap' }}
                      >
                        {column.format(mean)}
                        {deviation === null ? '' : ` ± ${column.format(deviation)}`}
                      </Table.Td>
                    )
                  })}
                </Table.Tr>
              )
            })}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      <Group mt="xs" justify="space-between">
        <Text size="xs" c="dimmed">
          Ranks, tail ratio and ‖ΔW‖_F are means over all target modules at the end; the tail ratio, median of
          σᵢ beyond q over σ_q, at the method’s outermost mark q: r, 2r, Kr or 2Kr. Loss, accuracy and speed
          are final, or the newest while a run goes on. Time: from start to end; training: the steps alone.
          Bold: best of the shown runs.
        </Text>
        <Button size="compact-sm" variant="default" onClick={save}>
          Save as CSV
        </Button>
      </Group>
    </>
  )
}

function groupsOf(runs: readonly RunView[], keyOf: (run: RunView) => string): RunView[][] {
  const groups = new Map<string, RunView[]>()
  for (const run of runs) groups.set(keyOf(run), [...(groups.get(keyOf(run)) ?? []), run])
  return [...groups.values()]
}
