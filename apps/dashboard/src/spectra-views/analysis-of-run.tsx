/** One analysis of one spectrum, as bars or a small table. */
import { Table, Text } from '@mantine/core'
import type { RunCurve } from '../charts/use-curves.ts'
import { formatExact, formatNumber, formatPercent } from '../common/format.ts'
import type { Profiles } from '../live/profiles-loader.ts'
import classes from './analyses.module.css'
import { type AnalysisName, type Band, bandsOf, rotationRows, similarityRows } from './analyses.ts'

type Props = {
  name: Exclude<AnalysisName, 'runs'>
  /** undefined: on their way; null: there is no such spectrum. */
  profiles: Profiles | null | undefined
  curve: RunCurve
}

export function AnalysisOfRun({ name, profiles, curve }: Props) {
  if (profiles === undefined) return <Hint text="Fetching the analysis …" />
  if (profiles === null || Object.keys(profiles).length === 0)
    return <Hint text={`Not analysed: ${reason(curve, name)}`} />
  switch (name) {
    case 'energy':
      return (
        <Sides
          input={bandsOf(profiles.inputSizes, profiles.inputShares, 'range')}
          output={bandsOf(profiles.outputSizes, profiles.outputShares, 'range')}
          colour={curve.colour}
        />
      )
    case 'slices':
      return (
        <Sides
          input={bandsOf(profiles.inputSliceSizes, profiles.inputSliceShares, 'device')}
          output={bandsOf(profiles.outputSliceSizes, profiles.outputSliceShares, 'device')}
          colour={curve.colour}
        />
      )
    case 'overlaps':
      return (
        <>
          <Bars
            label="Overlap by direction"
            colour={curve.colour}
            level="an intruder below 0.5"
            rows={Array.from(profiles.overlaps ?? [], (overlap, j) => ({
              label: `j = ${j + 1}`,
              length: overlap,
              level: 0.5,
              text: formatNumber(overlap, 3),
            }))}
          />
          <Thresholds {...profiles} />
        </>
      )
    case 'rotation':
      return <Rotation profiles={profiles} />
    case 'similarity': {
      const rows = similarityRows(profiles)
      if (rows.length === 0) return <Hint text="No earlier snapshot of this module in this process." />
      const [depth = 0, chance = 0] = Array.from(profiles.similarityChance ?? [])
      return (
        <Bars
          label={`Similarity to earlier steps, K = ${formatExact(depth)}`}
          colour={curve.colour}
          level={`chance ${formatNumber(chance, 2)}`}
          rows={rows.map(({ step, similarity }) => ({
            label: `step ${formatExact(step)}`,
            length: similarity,
            level: chance,
            text: formatNumber(similarity, 3),
          }))}
        />
      )
    }
    default:
      return name satisfies never
  }
}

function Hint({ text }: { text: string }) {
  return (
    <Text size="xs" c="dimmed">
      {text}
    </Text>
  )
}

function reason({ run }: RunCurve, name: AnalysisName): string {
  if (name === 'slices' && run.config.method.name !== 'hd-pissa')
    return 'only HD-PiSSA shares directions out.'
  return `not analysed at this step (live analyses take 2 % of the time), the weight is larger than spectra.analysesUpTo (${formatExact(run.config.spectra.analysesUpTo)}), or ΔW is zero.`
}

type Row = { label: string; length: number; level: number; text: string }

/** Lengths and levels are shares of 1, on one scale, so that runs compare side by side. */
function Bars(props: { label: string; colour: string; level: string; rows: readonly Row[] }) {
  const { label, colour, level, rows } = props
  return (
    <div>
      <Text size="xs" fw={500}>
        {label}{' '}
        <Text span size="xs" c="dimmed">
          (line: {level}; full width: 1)
        </Text>
      </Text>
      <dl className={classes['bars']}>
        {rows.map((row) => (
          <Bar key={row.label} row={row} colour={colour} />
        ))}
      </dl>
    </div>
  )
}

function Bar({ row, colour }: { row: Row; colour: string }) {
  const percent = (value: number) => `${Math.min(100, 100 * value)}%`
  return (
    <>
      <dt>{row.label}</dt>
      <dd>
        <span className={classes['track']}>
          <span className={classes['fill']} style={{ width: percent(row.length), background: colour }} />
          <span className={classes['level']} style={{ left: percent(row.level) }} />
        </span>
        <span>{row.text}</span>
      </dd>
    </>
  )
}

function Sides({
  input,
  output,
  colour,
}: {
  input: readonly Band[]
  output: readonly Band[]
  colour: string
}) {
  if (input.length === 0) return <Hint text="ΔW is zero: it has no energy to share out." />
  const rows = (bands: readonly Band[]) =>
    bands.map(({ label, share, chance }) => ({
      label,
      length: share,
      level: chance,
      text: formatPercent(share),
    }))
  return (
    <>
      <Bars label="Input side" level="chance" colour={colour} rows={rows(input)} />
      <Bars label="Output side" level="chance" colour={colour} rows={rows(output)} />
    </>
  )
}

function Rotation({ profiles }: { profiles: Profiles }) {
  return (
    <Table verticalSpacing={2} horizontalSpacing="xs" fz="xs">
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Leading k</Table.Th>
          {['Input, median', 'largest', 'Output, median', 'largest'].map((title, column) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a column is its place
            <Table.Th key={column} ta="right">
              {title}
            </Table.Th>
          ))}
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {rotationRows(profiles).map((row) => (
          <Table.Tr key={row.depth}>
            <Table.Td>{formatExact(row.depth)}</Table.Td>
            {[row.inputMedian, row.inputLargest, row.outputMedian, row.outputLargest].map((angle, column) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: a column is its place
              <Table.Td key={column} ta="right" className="numeric">
                {formatNumber(angle, 3)}°
              </Table.Td>
            ))}
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  )
}

/** Where a spike would leave W₀’s spectrum. */
function Thresholds({ thresholds = [] }: Profiles) {
  return (
    <>
      {Array.from({ length: thresholds.length / 3 }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a row is its place
        <Text key={row} size="xs" c="dimmed" mt={4}>
          Spike threshold {formatNumber(thresholds[3 * row + 2]!, 3)}, edge{' '}
          {formatNumber(thresholds[3 * row + 1]!, 3)}
          {thresholds[3 * row]! > 0
            ? `, ${formatExact(thresholds[3 * row]!)} outliers left out`
            : ', at σ₁(W₀)'}
        </Text>
      ))}
    </>
  )
}
