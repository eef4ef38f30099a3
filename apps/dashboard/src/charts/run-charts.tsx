/** All charts of one run or of several overlaid, with the settings that they share. */
import { Group, SegmentedControl, Slider, Text } from '@mantine/core'
import { isSettled, type RunView } from '@rankscope/protocol'
import { useViewChoice, useViewNumber } from '../common/view-state.ts'
import type { LoadedStores } from '../live/live-context.tsx'
import { AnalysesPanel } from '../spectra-views/analyses-panel.tsx'
import { SkippedPanel } from '../spectra-views/skipped-panel.tsx'
import { WaterfallChart } from '../spectra-views/waterfall-chart.tsx'
import { emptyText } from './empty-text.ts'
import { MeasureChart } from './measure-chart.tsx'
import { PartsTable } from './parts-table.tsx'
import classes from './run-charts.module.css'
import { ScalarChart } from './scalar-chart.tsx'
import { accuracyChart, lossChart, type ScalarChartDefinition, scalarCharts } from './scalar-charts.ts'
import { SpectrumChart } from './spectrum-chart.tsx'
import { useCurves } from './use-curves.ts'
import { useSpectrumView } from './use-spectrum-view.ts'

type Props = {
  runs: readonly RunView[]
  loaded: Pick<LoadedStores, 'stores' | 'ready' | 'error'>
  groupKey: ((run: RunView) => string) | null
}

export function RunCharts({ runs, loaded, groupKey }: Props) {
  const { stores } = loaded
  const [xAxis, setXAxis] = useViewChoice('x', ['step', 'tokens', 'time'] as const, 'step')
  const [smoothing, setSmoothing] = useViewNumber('smoothing', 0.6)
  const curves = useCurves(runs, stores, groupKey)
  const view = useSpectrumView(stores)
  const settled = runs.every((run) => isSettled(run.state))
  const empty = emptyText('spectrum', runs, loaded)
  const shared = { curves, stores, xAxis, smoothing }
  // Charts that need not be there appear with their first value; no chart stays of what ended without one.
  const names = runs.flatMap((run) => Object.keys(run.latest))
  const hasData = ({ name, always }: ScalarChartDefinition) => names.includes(name) || (always && !settled)
  return (
    <div>
      <Group gap="lg" mb="sm" className={classes['settings']!}>
        <Group gap="xs" wrap="nowrap">
          <Text size="xs" c="dimmed" id="x-axis-label">
            x axis
          </Text>
          <SegmentedControl
            size="xs"
            aria-labelledby="x-axis-label"
            value={xAxis}
            onChange={setXAxis}
            data={[
              { value: 'step', label: 'Step' },
              { value: 'tokens', label: 'Tokens' },
              { value: 'time', label: 'Time' },
            ]}
          />
        </Group>
        <Group gap="xs" wrap="nowrap" flex={1} maw={280} miw={200}>
          <Text size="xs" c="dimmed">
            Smoothing
          </Text>
          <Slider
            flex={1}
            size="sm"
            min={0}
            max={0.99}
            step={0.01}
            value={smoothing}
            onChange={setSmoothing}
            label={(value) => value.toFixed(2)}
            thumbLabel="Smoothing"
          />
          <Text size="xs" className="numeric" w={28}>
            {smoothing.toFixed(2)}
          </Text>
        </Group>
      </Group>
      <div className={classes['grid']}>
        <ScalarChart {...shared} definition={lossChart} height={400} primary />
        <SpectrumChart curves={curves} stores={stores} view={view} empty={empty} height={344} />
        {view.parts.length > 1 ? <PartsTable curves={curves} stores={stores} view={view} /> : null}
        <MeasureChart curves={curves} stores={stores} view={view} empty={empty} height={250} />
        <AnalysesPanel curves={curves} view={view} />
        <SkippedPanel runs={runs} />
        {view.steps.length > 1 ? <WaterfallChart curves={curves} view={view} empty={empty} /> : null}
        {hasData(accuracyChart) ? <ScalarChart {...shared} definition={accuracyChart} height={306} /> : null}
        {scalarCharts.filter(hasData).map((definition) => (
          <ScalarChart key={definition.key} {...shared} definition={definition} />
        ))}
      </div>
    </div>
  )
}
