/** Settings side by side, differences first. */
import { Switch, Table, Text } from '@mantine/core'
import type { RunView } from '@rankscope/protocol'
import { Notice } from '../common/notice.tsx'
import { useViewFlag } from '../common/view-state.ts'
import { fieldAt, settingTitle } from '../launch/schema.ts'
import { RunSwatch } from '../runs/run-swatch.tsx'
import { diffConfigs } from './config-diff.ts'

export function DiffTable({ runs }: { runs: readonly RunView[] }) {
  const [same, setSame] = useViewFlag('same')
  const rows = diffConfigs(runs.map((run) => run.config))
  const shown = rows.filter((row) => same || row.differs)
  return (
    <>
      <Switch
        mb="sm"
        size="sm"
        label={`Equal settings too (${rows.filter((row) => !row.differs).length})`}
        checked={same}
        onChange={(event) => setSame(event.currentTarget.checked)}
      />
      {shown.length === 0 ? (
        <Notice title="The settings are equal" text="These runs differ in their names at most." />
      ) : (
        <Table.ScrollContainer minWidth={220 + runs.length * 150}>
          <Table striped highlightOnHover verticalSpacing={5} stickyHeader>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Setting</Table.Th>
                {runs.map((run) => (
                  <Table.Th key={run.runId}>
                    <RunSwatch runId={run.runId} /> {run.name}
                  </Table.Th>
                ))}
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {shown.map((row) => {
                const owner = runs.find((run) => fieldAt(run.config, row.path) !== null) ?? runs[0]!
                const field = fieldAt(owner.config, row.path)
                return (
                  <Table.Tr key={row.path} fw={row.differs ? 500 : 400}>
                    <Table.Td title={field?.description ?? ''}>
                      <Text size="sm">{settingTitle(owner.config, row.path)}</Text>
                      <Text size="xs" c="dimmed">
                        {row.path}
                      </Text>
                    </Table.Td>
                    {row.values.map((value, index) => (
                      <Table.Td key={runs[index]!.runId} className="numeric">
                        {value ?? (
                          <Text span size="sm" c="dimmed">
                            –
                          </Text>
                        )}
                      </Table.Td>
                    ))}
                  </Table.Tr>
                )
              })}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
    </>
  )
}
