/** A chart of one scalar over the run. */
import { scalarNames } from '@rankscope/protocol'
import { memo, useCallback, useMemo, useRef, useState } from 'react'
import { useViewFlag } from '../common/view-state.ts'
import { useSeries } from '../live/live-context.tsx'
import { noteDrawn } from '../live/timings.ts'
import { ChartCard } from './chart-card.tsx'
import { emptyText, loadedNote } from './empty-text.ts'
import type { ScalarChartDefinition } from './scalar-charts.ts'
import { scalarFigure, type XAxis } from './scalar-figure.ts'
import type { RunCurve } from './use-curves.ts'
import { useDetail } from './use-detail.ts'
import type { View } from './zoom.ts'

type Props = {
  definition: ScalarChartDefinition
  curves: readonly RunCurve[]
  stores: Parameters<typeof ChartCard>[0]['stores']
  xAxis: XAxis
  smoothing: number
  height?: number
  /** The loss: drawn first, and its latency is measured. */
  primary?: boolean
}

const topics = ['scalars'] as const

/** Memoised: run views change many times a second, curves do not. */
export const ScalarChart = memo(function ScalarChart(props: Props) {
  const { definition, curves, stores, xAxis, smoothing, height, primary } = props
  const [logY, setLogY] = useViewFlag(`${definition.key}.logy`, definition.logY)
  const [logX, setLogX] = useViewFlag(`${definition.key}.logx`)
  const [seen, setSeen] = useState(false)
  const names = useMemo(
    () => (xAxis === 'tokens' ? [definition.name, scalarNames.tokens] : [definition.name]),
    [definition, xAxis],
  )
  const loaded = useSeries(stores, names, { active: seen, times: xAxis === 'time' })
  const empty = emptyText(
    definition.what,
    curves.map((curve) => curve.run),
    loaded,
  )
  const axes = `${xAxis} ${logX}`
  // A zoom belongs to the axes that it was made on.
  const [zoomed, setZoomed] = useState<{ axes: string; view: View } | null>(null)
  const view = zoomed?.axes === axes ? zoomed.view : null
  const details = useDetail(curves, definition.name, xAxis, view)
  const xUnit = useRef(1)
  const onZoom = useCallback(
    (next: View | null) => {
      const unit = xUnit.current
      setZoomed(next && { axes, view: { from: next.from * unit, to: next.to * unit } })
    },
    [axes],
  )
  const build = useCallback(
    ({ width }: { width: number }) => {
      const figure = scalarFigure(curves, {
        name: definition.name,
        yTitle: definition.yTitle,
        xAxis,
        logX,
        logY,
        smoothing: definition.smoothed ? smoothing : 0,
        markers: definition.markers,
        format: definition.format,
        empty,
        points: Math.max(200, width),
        zoom: view === null ? null : { view, details },
      })
      xUnit.current = figure.xUnit ?? 1
      return figure
    },
    [view, details, curves, definition, xAxis, logX, logY, smoothing, empty],
  )
  const chart = useMemo(() => ({ kind: 'lines' as const, build, onZoom }), [build, onZoom])
  const see = useCallback(() => setSeen(true), [])
  const measure = useCallback(() => {
    const drawnMs = Date.now()
    for (const store of stores) noteDrawn(store.runId, store.takeArrivals(), drawnMs)
  }, [stores])
  return (
    <ChartCard
      title={definition.title}
      help={definition.help}
      chart={chart}
      stores={stores}
      toggles={[
        { label: 'Logarithmic y axis', value: logY, set: setLogY },
        { label: 'Logarithmic x axis', value: logX, set: setLogX },
      ]}
      topics={topics}
      primary={primary ?? false}
      onSeen={see}
      loadedNote={loadedNote(stores.length, loaded.ready)}
      {...(height === undefined ? {} : { height })}
      {...(primary ? { onDrawn: measure } : {})}
    />
  )
})
