/** Means of a measure over two axes, as a table whose cells are shaded: the numbers can be read and copied. */
import { Group, Paper, Table, Text } from '@mantine/core'
import { isChoice, type RunResult, settingText } from '@rankscope/experiments'
import type { SweepSpec } from '@rankscope/protocol'
import { memo } from 'react'
import { formatNumber, formatPercent } from '../common/format.ts'
import { SmallSelect } from '../common/small-select.tsx'
import { useViewText } from '../common/view-state.ts'
import { availableMeasures, measureChoices, measuredOf } from './measured.ts'
import { heatCells, lineAxis } from './sweep-figures.ts'

export const HeatMap = memo(function HeatMap({
  spec,
  results,
}: {
  spec: SweepSpec
  results: readonly RunResult[]
}) {
  const varied = spec.axes.filter(({ values, path }) => values.length > 1 && path !== 'seed')
  // Method and variant in one, where there are variants.
  const hasVariants = varied.some(({ path, values }) => path !== 'method' && isChoice(path, values[0]))
  const paths = [...(hasVariants ? [lineAxis] : []), ...varied.map(({ path }) => path)]
  const names = availableMeasures(results, spec.metric)
  const [rowText, setRow] = useViewText('heat.rows', '')
  const [columnText, setColumn] = useViewText('heat.columns', '')
  const [nameText, setName] = useViewText('heat.measure', '')
  if (paths.length < 2) return null
  const row = paths.includes(rowText) ? rowText : paths[0]!
  const column =
    paths.find((path) => path === columnText && path !== row) ??
    varied.find(({ path, values }) => path !== row && typeof values[0] === 'number')?.path ??
    paths.find((path) => path !== row)!
  const name = names.includes(nameText) ? nameText : names[0]!
  const measured = measuredOf(name)
  const { rows, columns, cells } = heatCells(results, measured, [row, column])
  const means = cells.flat().flatMap(({ mean }) => mean ?? [])
  const [low, high] = [Math.min(...means), Math.max(...means)]
  const format = (value: number | null) => (measured.percent ? formatPercent(value) : formatNumber(value))
  const axes = (other: string | null) =>
    paths.filter((path) => path !== other).map((path) => ({ value: path, label: path }))
  return (
    <Paper withBorder p="md" component="section" aria-label="Two axes">
      <Group justify="space-between" mb="xs">
        <Text fw={600}>
          {measured.title} by {lastWord(row)} and {lastWord(column)}
        </Text>
        <Group gap="xs">
          <SmallSelect
            label="Measure of the cells"
            width={170}
            value={name}
            set={setName}
            choices={measureChoices(names)}
          />
          {paths.length > 2 ? (
            <>
              <SmallSelect label="Rows" width={170} value={row} set={setRow} choices={axes(null)} />
              <SmallSelect label="Columns" width={170} value={column} set={setColumn} choices={axes(row)} />
            </>
          ) : null}
        </Group>
      </Group>
      <Table.ScrollContainer minWidth={420}>
        <Table withColumnBorders data-testid="heat-map">
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{lastWord(row)}</Table.Th>
              {columns.map((value) => (
                <Table.Th key={settingText(value)} ta="right">
                  {settingText(value)}
                </Table.Th>
              ))}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {rows.map((value, index) => (
              <Table.Tr key={settingText(value)}>
                <Table.Th>{settingText(value)}</Table.Th>
                {cells[index]!.map((cell, position) => (
                  <Table.Td
                    key={settingText(columns[position]!)}
                    ta="right"
                    className="numeric"
                    style={{ background: shade(cell.mean, low, high) }}
                  >
                    {format(cell.mean)}
                    {cell.lost > 0 ? (
                      <Text span size="xs" c="red">
                        {' '}
                        {cell.lost} lost
                      </Text>
                    ) : null}
                  </Table.Td>
                ))}
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      <Text size="xs" c="dimmed" mt="xs">
        Means over seeds and all other axes; the shade runs from the least to the greatest mean.
      </Text>
    </Paper>
  )
})

function lastWord(path: string): string {
  return path.slice(path.lastIndexOf('.') + 1)
}

/** From clear to a third of the accent colour, so that the text stays readable on both grounds. */
function shade(mean: number | null, low: number, high: number): string | undefined {
  if (mean === null) return undefined
  const share = high > low ? (mean - low) / (high - low) : 0.5
  return `color-mix(in srgb, var(--mantine-color-blue-5) ${Math.round(4 + 40 * share)}%, transparent)`
}
