/** A chart of one scalar over the run. */
import { memo, useCallback } from 'react'
import { useViewFlag } from '../common/view-state.ts'
import { noteDrawn } from '../live/timings.ts'
import { ChartCard } from './chart-card.tsx'
import type { ScalarChartDefinition } from './scalar-charts.ts'
import { scalarFigure, type XAxis } from './scalar-figure.ts'
import { useChartTheme } from './use-chart-theme.ts'
import type { RunCurve } from './use-curves.ts'

type Props = {
  definition: ScalarChartDefinition
  curves: readonly RunCurve[]
  stores: Parameters<typeof ChartCard>[0]['stores']
  xAxis: XAxis
  smoothing: number
  empty: string
  height?: number
  /** The loss: drawn first, and its latency is measured. */
  primary?: boolean
}

/** Memoised: run views change many times a second, curves do not. */
export const ScalarChart = memo(function ScalarChart(props: Props) {
  const { definition, curves, stores, xAxis, smoothing, empty, height, primary } = props
  const theme = useChartTheme()
  const [logY, setLogY] = useViewFlag(`${definition.key}.logy`, definition.logY)
  const [logX, setLogX] = useViewFlag(`${definition.key}.logx`)
  const build = useCallback(
    ({ width }: { width: number }) =>
      scalarFigure(curves, {
        name: definition.name,
        yTitle: definition.yTitle,
        xAxis,
        logX,
        logY,
        smoothing: definition.smoothed ? smoothing : 0,
        markers: definition.markers,
        format: definition.format,
        theme,
        empty,
        points: Math.max(200, width),
      }),
    [curves, definition, xAxis, logX, logY, smoothing, theme, empty],
  )
  const measure = useCallback(() => {
    const drawnMs = Date.now()
    for (const store of stores) noteDrawn(store.runId, store.takeArrivals(), drawnMs)
  }, [stores])
  return (
    <ChartCard
      title={definition.title}
      help={definition.help}
      build={build}
      stores={stores}
      toggles={[
        { label: 'Logarithmic y axis', value: logY, set: setLogY },
        { label: 'Logarithmic x axis', value: logX, set: setLogX },
      ]}
      primary={primary ?? false}
      {...(height === undefined ? {} : { height })}
      {...(primary ? { onDrawn: measure } : {})}
    />
  )
})
