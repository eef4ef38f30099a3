/** Each line at its best setting, with intervals and paired differences; as Markdown, LaTeX and CSV too. */
import { Button, Group, Menu, Paper, Text } from '@mantine/core'
import { bestTable, linesIn, type RunResult, toCsv, toLatex, toMarkdown } from '@rankscope/experiments'
import type { SweepSpec } from '@rankscope/protocol'
import { IconDownload } from '@tabler/icons-react'
import { memo } from 'react'
import { downloadText } from '../charts/download.ts'
import { ResultTable } from '../common/result-table.tsx'
import { SmallSelect } from '../common/small-select.tsx'
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
  const lines = linesIn(results)
  const [baselineText, setBaseline] = useViewText('baseline', '')
  const baseline = lines.find((line) => line === baselineText) ?? lines[0] ?? null
  const table = bestTable(spec, results, baseline)
  const name = spec.name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')
  return (
    <Paper withBorder p="md" component="section" aria-label="Best settings">
      <Group justify="space-between" mb="xs">
        <Text fw={600}>Best settings</Text>
        <Group gap="xs">
          {lines.length > 1 ? (
            <SmallSelect
              label="Baseline of the differences"
              width={280}
              value={baseline}
              set={setBaseline}
              choices={lines.map((line) => ({ value: line, label: `Differences to ${line}` }))}
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
      <ResultTable table={table} testId="best-settings" minWidth={680} />
      <Text size="xs" c="dimmed" mt="xs">
        {table.caption}
      </Text>
    </Paper>
  )
})
