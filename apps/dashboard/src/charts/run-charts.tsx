/** All charts of one run or of several overlaid, with the settings that they share. */
import { Group, SegmentedControl, Slider, Text } from '@mantine/core'
import { isSettled, type RunView } from '@rankscope/protocol'
import { useViewChoice, useViewNumber } from '../common/view-state.ts'
import { type LoadedStores, useSeriesNames } from '../live/live-context.tsx'
import { MeasureChart } from './measure-chart.tsx'
import { PartsTable } from './parts-table.tsx'
import classes from './run-charts.module.css'
import { ScalarChart } from './scalar-chart.tsx'
import { accuracyChart, lossChart, scalarCharts } from './scalar-charts.ts'
import { SpectrumChart } from './spectrum-chart.tsx'
import { useCurves } from './use-curves.ts'
import { useSpectrumView } from './use-spectrum-view.ts'

type Props = {
  runs: readonly RunView[]
  loaded: Pick<LoadedStores, 'stores' | 'loading' | 'error'>
  groupKey: ((run: RunView) => string) | null
}

export function RunCharts({ runs, loaded, groupKey }: Props) {
  const { stores } = loaded
  const [xAxis, setXAxis] = useViewChoice('x', ['step', 'tokens', 'time'] as const, 'step')
  const [smoothing, setSmoothing] = useViewNumber('smoothing', 0.6)
  const curves = useCurves(runs, stores, groupKey)
  const view = useSpectrumView(stores)
  const settled = runs.every((run) => isSettled(run.state))
  const soon = (what: string) => {
    // What is not here yet may still be there: only a complete history says that something is missing.
    if (loaded.loading) return 'Loading …'
    if (loaded.error) return 'This could not be loaded.'
    if (!settled) return `Waiting for the first ${what} …`
    return `The ${runs.length === 1 ? 'run' : 'runs'} ended without ${article(what)} ${what}.`
  }
  const shared = { curves, stores, xAxis, smoothing }
  // Charts that need not be there appear with their first point.
  const names = useSeriesNames(stores)
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
        <ScalarChart {...shared} definition={lossChart} empty={soon('loss')} height={400} primary />
        <SpectrumChart curves={curves} stores={stores} view={view} empty={soon('spectrum')} height={344} />
        {view.parts.length > 1 ? <PartsTable curves={curves} stores={stores} view={view} /> : null}
        <MeasureChart curves={curves} stores={stores} view={view} empty={soon('spectrum')} height={250} />
        <ScalarChart {...shared} definition={accuracyChart} empty={soon('evaluation')} height={306} />
        {scalarCharts
          .filter((definition) => definition.always || names.includes(definition.name))
          .map((definition) => (
            <ScalarChart
              key={definition.key}
              {...shared}
              definition={definition}
              empty={soon(definition.key === 'evalLoss' ? 'evaluation' : 'value')}
            />
          ))}
      </div>
    </div>
  )
}

function article(word: string): string {
  return /^[aeiou]/.test(word) ? 'an' : 'a'
}
