/** A measure over one axis, one line per method and variant: with learning rates, the “own learning rate” plot. */
import { Group } from '@mantine/core'
import type { RunResult, Setting } from '@rankscope/experiments'
import type { SweepSpec } from '@rankscope/protocol'
import { memo, useMemo } from 'react'
import { ChartCard } from '../charts/chart-card.tsx'
import { useChartTheme } from '../charts/use-chart-theme.ts'
import { SmallSelect } from '../common/small-select.tsx'
import { useViewFlag, useViewText } from '../common/view-state.ts'
import { availableMeasures, measureChoices, measuredOf, sweepFacts } from './measured.ts'
import { overAxisFigure } from './sweep-figures.ts'

type Props = { spec: SweepSpec; results: readonly RunResult[]; best: readonly Setting[] }

export const OverAxisChart = memo(function OverAxisChart({ spec, results, best }: Props) {
  const theme = useChartTheme()
  const numeric = spec.axes.filter(
    ({ path, values }) =>
      path !== 'seed' && values.length > 1 && values.every((value) => typeof value === 'number'),
  )
  const names = availableMeasures(results, spec.metric)
  const [pathText, setPath] = useViewText('over', '')
  const [nameText, setName] = useViewText('measure', '')
  const axis = numeric.find(({ path }) => path === pathText) ?? numeric[0]
  const path = axis?.path ?? ''
  const name = names.includes(nameText) ? nameText : names[0]!
  // Spread over more than a decade asks for a logarithm.
  const wide =
    axis !== undefined &&
    Math.min(...(axis.values as number[])) > 0 &&
    Math.max(...(axis.values as number[])) / Math.min(...(axis.values as number[])) >= 8
  const [logX, setLogX] = useViewFlag('over.logx', wide)
  const [logY, setLogY] = useViewFlag('over.logy')
  const chart = useMemo(
    () => ({
      kind: 'plotly' as const,
      build: () => overAxisFigure(results, { path, measured: measuredOf(name), logX, logY, best, theme }),
    }),
    [results, path, name, logX, logY, best, theme],
  )
  if (!axis) return null
  const lastWord = path.slice(path.lastIndexOf('.') + 1)
  return (
    <ChartCard
      title={`${measuredOf(name).title} over ${lastWord}`}
      help="Each dot is a run; the line is the mean over seeds and whatever else varies, the band one standard deviation (n − 1). A star is the line’s best setting, chosen on validation data where there is any. A cross at the foot is a run that diverged or failed."
      chart={chart}
      stores={noStores}
      facts={sweepFacts(spec, results)}
      height={360}
      primary
      toggles={[
        { label: 'Logarithmic x axis', value: logX, set: setLogX },
        { label: 'Logarithmic y axis', value: logY, set: setLogY },
      ]}
      controls={
        <Group gap="xs">
          <SmallSelect
            label="Measure"
            width={190}
            value={name}
            set={setName}
            choices={measureChoices(names)}
          />
          {numeric.length > 1 ? (
            <SmallSelect
              label="Axis"
              width={190}
              value={path}
              set={setPath}
              choices={numeric.map(({ path: value }) => ({ value, label: value }))}
            />
          ) : null}
        </Group>
      }
    />
  )
})

const noStores: readonly [] = []
