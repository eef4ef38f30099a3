/** One plotly figure that redraws itself from the stores: `build` makes it, Plotly.react draws it. */
import { useEffect, useRef, useState } from 'react'
import type { RunStore, Topic } from '../live/run-store.ts'
import { ChartFrame, type FrameStatus } from './chart-frame.tsx'
import type { FigureFacts, PlotlyFigure, PlotlyTrace } from './figure.ts'
import { loadPlotly, type Plotly } from './plotly.ts'
import { type Size, useDrawable } from './use-drawable.ts'

export type ChartProps<F extends FigureFacts> = {
  /** Called whenever the chart is drawn; must be stable (useCallback) and changes when options change. */
  build: (size: Size) => F
  /** Stores whose changes are drawn. */
  stores: readonly RunStore[]
  /** What of them; undefined: everything. */
  topics?: readonly Topic[] | undefined
  /** Said by screen readers. */
  label: string
  height: number | string
  primary?: boolean
  onDrawn?: (figure: F) => void
  /** The x value that was clicked. */
  onPick?: (x: number) => void
  /** It came into sight: time to fetch what it shows. */
  onSeen?: () => void
}

/** What plotly keeps on its element while the reader drags a zoom box, and how one listens to it. */
type PlotElement = {
  _dragging?: boolean
  on: (event: 'plotly_click', heard: (event: { points: { x?: unknown }[] }) => void) => void
}

export function LiveChart(props: ChartProps<PlotlyFigure>) {
  const { build, stores, label, height, primary = false, onDrawn, onPick } = props
  const frame = useRef<HTMLDivElement>(null)
  const plot = useRef<HTMLDivElement>(null)
  const latest = useRef({ build, onDrawn, onPick })
  const [status, setStatus] = useState<FrameStatus>({ state: 'loading' })
  useEffect(() => {
    latest.current = { build, onDrawn, onPick }
  })
  useDrawable({
    frame,
    stores,
    topics: props.topics,
    primary,
    onSeen: props.onSeen,
    inputs: [build, onDrawn, onPick],
    mount: (redraw) => {
      const element = plot.current!
      let plotly: Plotly | null = null
      let loading: PlotlyTrace | 'core' | null = null
      const loadedTraces = new Set<PlotlyTrace>()
      let disposed = false
      const load = (needs?: PlotlyTrace) => {
        if (loading === (needs ?? 'core')) return
        loading = needs ?? 'core'
        loadPlotly(needs).then(
          (loaded) => {
            plotly = loaded
            loading = null
            if (needs) loadedTraces.add(needs)
            if (!disposed) redraw()
          },
          () =>
            setStatus({
              state: 'failed',
              message: 'The chart library could not be loaded; reload the page.',
            }),
        )
      }
      // A lost WebGL context leaves a surface blank for good: it is made anew.
      const onLost = () => {
        plotly?.purge(element)
        if (!disposed) redraw()
      }
      element.addEventListener('webglcontextlost', onLost, true)
      const draw = (size: Size): boolean => {
        if (disposed) return true
        const plotElement = element as unknown as PlotElement
        if (plotElement._dragging) return false
        const figure = latest.current.build(size)
        // Asked again once the library is there.
        if (!plotly || (figure.needs && !loadedTraces.has(figure.needs))) {
          load(figure.needs)
          return true
        }
        const firstTime = !element.classList.contains('js-plotly-plot')
        void plotly.react(
          element,
          figure.traces,
          { ...figure.layout, ...size, autosize: false },
          { displayModeBar: false, responsive: false, doubleClick: 'reset+autosize' },
        )
        if (firstTime)
          plotElement.on('plotly_click', ({ points: [point] }) => {
            if (typeof point?.x === 'number') latest.current.onPick?.(point.x)
          })
        setStatus((before) =>
          before.state === 'drawn' && before.empty === figure.empty
            ? before
            : { state: 'drawn', empty: figure.empty },
        )
        latest.current.onDrawn?.(figure)
        return true
      }
      return {
        draw,
        dispose: () => {
          disposed = true
          element.removeEventListener('webglcontextlost', onLost, true)
          plotly?.purge(element)
        },
      }
    },
  })
  return <ChartFrame frame={frame} plot={plot} label={label} height={height} status={status} />
}
