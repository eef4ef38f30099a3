/** One measure of the runs against another: does the metric follow the size of ΔW, or its rank? */
import { Group } from '@mantine/core'
import type { RunResult } from '@rankscope/experiments'
import type { SweepSpec } from '@rankscope/protocol'
import { memo, useMemo } from 'react'
import { ChartCard } from '../charts/chart-card.tsx'
import { useChartTheme } from '../charts/use-chart-theme.ts'
import { SmallSelect } from '../common/small-select.tsx'
import { useViewFlag, useViewText } from '../common/view-state.ts'
import { availableMeasures, measureChoices, measuredOf, sweepFacts } from './measured.ts'
import { againstFigure } from './sweep-figures.ts'

type Props = { name: string; initialX: string; spec: SweepSpec; results: readonly RunResult[] }

export const AgainstChart = memo(function AgainstChart({ name, initialX, spec, results }: Props) {
  const theme = useChartTheme()
  const names = availableMeasures(results, spec.metric)
  const [x, setX] = useViewText(`${name}.x`, initialX)
  const [yText, setY] = useViewText(`${name}.y`, '')
  const y = names.includes(yText) ? yText : names[0]!
  const [logX, setLogX] = useViewFlag(`${name}.logx`)
  const [logY, setLogY] = useViewFlag(`${name}.logy`)
  const chart = useMemo(
    () => ({
      kind: 'plotly' as const,
      build: () => againstFigure(results, measuredOf(x), measuredOf(y), { x: logX, y: logY }, theme),
    }),
    [results, x, y, logX, logY, theme],
  )
  const choices = measureChoices([...new Set([x, ...names])])
  return (
    <ChartCard
      title={`${measuredOf(y).title} against ${measuredOf(x).title}`}
      help="One dot per run that has both measures, coloured by method and variant. Means over the target modules, at the end of training."
      chart={chart}
      stores={noStores}
      facts={sweepFacts(spec, results)}
      height={300}
      toggles={[
        { label: 'Logarithmic x axis', value: logX, set: setLogX },
        { label: 'Logarithmic y axis', value: logY, set: setLogY },
      ]}
      controls={
        <Group gap="xs">
          <SmallSelect
            label={`Vertical measure, ${name}`}
            width={160}
            value={y}
            set={setY}
            choices={choices}
          />
          <SmallSelect
            label={`Horizontal measure, ${name}`}
            width={160}
            value={x}
            set={setX}
            choices={choices}
          />
        </Group>
      }
    />
  )
})

const noStores: readonly [] = []
