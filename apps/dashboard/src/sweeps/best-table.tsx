/** Each method at its best setting, with intervals and paired differences; as Markdown, LaTeX and CSV too. */
import { Button, Group, Table as MantineTable, Menu, Paper, Select, Text } from '@mantine/core'
import { bestTable, methodsIn, type RunResult, toCsv, toLatex, toMarkdown } from '@rankscope/experiments'
import { type MethodName, methodLabels, type SweepSpec } from '@rankscope/protocol'
import { IconDownload } from '@tabler/icons-react'
import { memo } from 'react'
import { downloadText } from '../charts/download.ts'
import { useViewText } from '../common/view-state.ts'

const formats = [
  { label: 'Markdown', ending: 'md', type: 'text/markdown', write: toMarkdown },
  { label: 'LaTeX (booktabs)', ending: 'tex', type: 'application/x-tex', write: toLatex },
  { label: 'CSV', ending: 'csv', type: 'text/csv', write: toCsv },
] as const

export const BestTable = memo(function BestTable({
  spec,
  results,
}: {
  spec: SweepSpec
  results: readonly RunResult[]
}) {
  const methods = methodsIn(results)
  const [baselineText, setBaseline] = useViewText('baseline', '')
  const baseline = methods.find((method) => method === baselineText) ?? methods[0] ?? null
  const table = bestTable(spec, results, baseline)
  const name = spec.name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')
  return (
    <Paper withBorder p="md" component="section" aria-label="Best settings">
      <Group justify="space-between" mb="xs">
        <Text fw={600}>Best settings</Text>
        <Group gap="xs">
          {methods.length > 1 ? (
            <Select
              size="xs"
              w={190}
              aria-label="Baseline of the differences"
              allowDeselect={false}
              value={baseline}
              onChange={(value) => value !== null && setBaseline(value)}
              data={methods.map((method: MethodName) => ({
                value: method,
                label: `Differences to ${methodLabels[method]}`,
              }))}
            />
          ) : null}
          <Menu position="bottom-end">
            <Menu.Target>
              <Button size="compact-sm" variant="default" leftSection={<IconDownload size={14} />}>
                Save table
              </Button>
            </Menu.Target>
            <Menu.Dropdown>
              {formats.map(({ label, ending, type, write }) => (
                <Menu.Item key={ending} onClick={() => downloadText(write(table), `${name}.${ending}`, type)}>
                  {label}
                </Menu.Item>
              ))}
            </Menu.Dropdown>
          </Menu>
        </Group>
      </Group>
      <MantineTable.ScrollContainer minWidth={680}>
        <MantineTable verticalSpacing="xs" data-testid="best-settings">
          <MantineTable.Thead>
            <MantineTable.Tr>
              {table.columns.map((column, index) => (
                <MantineTable.Th key={column} ta={table.numeric?.[index] ? 'right' : 'left'}>
                  {column}
                </MantineTable.Th>
              ))}
            </MantineTable.Tr>
          </MantineTable.Thead>
          <MantineTable.Tbody>
            {table.rows.map((cells) => (
              <MantineTable.Tr key={cells[0]}>
                {cells.map((cell, index) => (
                  <MantineTable.Td
                    key={table.columns[index]}
                    ta={table.numeric?.[index] ? 'right' : 'left'}
                    className="numeric"
                  >
                    {cell === '' ? '–' : cell}
                  </MantineTable.Td>
                ))}
              </MantineTable.Tr>
            ))}
          </MantineTable.Tbody>
        </MantineTable>
      </MantineTable.ScrollContainer>
      <Text size="xs" c="dimmed" mt="xs">
        {table.caption}
      </Text>
    </Paper>
  )
})
