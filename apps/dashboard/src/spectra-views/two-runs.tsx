/** φ(i, j) of the final ΔW of two runs: how much of the one’s leading directions the other found too. */
import { Group, SegmentedControl, Select, Text } from '@mantine/core'
import type { RunCurve } from '../charts/use-curves.ts'
import { formatNumber } from '../common/format.ts'
import { useViewChoice, useViewText } from '../common/view-state.ts'
import classes from './analyses.module.css'
import { analyses, subspaceSimilarity } from './analyses.ts'
import { useProfiles } from './use-profiles.ts'

export function TwoRuns({ curves, module }: { curves: readonly RunCurve[]; module: string }) {
  const [idA, setA] = useViewText('phi.a', '')
  const [idB, setB] = useViewText('phi.b', '')
  const [side, setSide] = useViewChoice('phi.side', ['output', 'input'] as const, 'output')
  const a = curves.find(({ runId }) => runId === idA) ?? curves[0]!
  const b = curves.find(({ runId }) => runId === idB && runId !== a.runId) ?? curves.find((one) => one !== a)!
  const finals = [a, b].map(({ runId, store }) => ({
    runId,
    entry: store.spectra.list(module, 'total').findLast(({ final }) => final) ?? null,
  }))
  const { profiles, error } = useProfiles(finals, analyses.runs.needs)
  const options = curves.map(({ runId, label }) => ({ value: runId, label }))
  const vectors = profiles.map((one) => (side === 'output' ? one?.outputVectors : one?.inputVectors))
  const length = (index: number) => {
    const entry = finals[index]!.entry
    return entry ? (side === 'output' ? entry.columns : entry.rows) : 0
  }
  const [vectorsA, vectorsB] = vectors
  const phi =
    vectorsA && vectorsB && length(0) === length(1) ? subspaceSimilarity(vectorsA, vectorsB, length(0)) : null
  return (
    <>
      <Group gap="xs" mb={6}>
        {[
          { label: 'Run A', curve: a, set: setA },
          { label: 'Run B', curve: b, set: setB },
        ].map(({ label, curve, set }) => (
          <Select
            key={label}
            size="xs"
            w={190}
            aria-label={label}
            allowDeselect={false}
            value={curve.runId}
            onChange={(value) => value !== null && set(value)}
            data={options}
          />
        ))}
        <SegmentedControl
          size="xs"
          aria-label="Side"
          value={side}
          onChange={setSide}
          data={[
            { value: 'output', label: 'Output side' },
            { value: 'input', label: 'Input side' },
          ]}
        />
      </Group>
      {error ? (
        <Text size="xs" c="red" role="alert">
          {error}
        </Text>
      ) : null}
      {phi ? (
        <Phi phi={phi} side={length(0)} names={[a.label, b.label]} />
      ) : (
        <Text size="xs" c="dimmed">
          {profiles.includes(undefined)
            ? 'Fetching the directions …'
            : 'Both runs need a final spectrum of this module, of one shape, with its analysis.'}
        </Text>
      )}
    </>
  )
}

function Phi({ phi, side, names }: { phi: number[][]; side: number; names: [string, string] }) {
  return (
    <div className={classes['scroll']}>
      <table className={classes['phi']} aria-label={`φ(i, j) of ${names[0]} and ${names[1]}`}>
        <thead>
          <tr>
            <th scope="col">i \ j</th>
            {phi[0]!.map((_, j) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: a column is its place
              <th key={j} scope="col">
                {j + 1}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {phi.map((row, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a row is its place
            <tr key={i}>
              <th scope="row">{i + 1}</th>
              {row.map((value, j) => (
                <td
                  // biome-ignore lint/suspicious/noArrayIndexKey: a column is its place
                  key={j}
                  title={`i = ${i + 1}, j = ${j + 1}: ${formatNumber(value, 4)}, by chance ${formatNumber((Math.max(i, j) + 1) / side, 2)}`}
                  style={{
                    background: `color-mix(in srgb, var(--mantine-color-indigo-5) ${Math.round(4 + 56 * value)}%, transparent)`,
                  }}
                >
                  {value.toFixed(2)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
