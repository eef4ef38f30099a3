/**
 * One plotly figure that redraws itself from the stores, outside React: a store’s change asks the scheduler,
 * the scheduler calls `draw`, `draw` builds the figure and hands it to Plotly.react.
 */
import { Center, Loader, Text } from '@mantine/core'
import type { Layout, PlotHoverEvent, PlotlyHTMLElement } from 'plotly.js'
import { useEffect, useRef, useState } from 'react'
import type { RunStore } from '../live/run-store.ts'
import { type Drawable, drawScheduler } from './draw-scheduler.ts'
import type { Figure } from './figure.ts'
import { highlightRun } from './highlight.ts'
import classes from './live-chart.module.css'
import { loadPlotly, type Plotly } from './plotly.ts'
import type { View } from './zoom.ts'

type Props = {
  /** Called whenever the chart is drawn; must be stable (useCallback) and changes when options change. */
  build: (size: { width: number; height: number }) => Figure
  /** Stores whose changes are drawn. */
  stores: readonly RunStore[]
  /** Said by screen readers. */
  label: string
  height: number | string
  primary?: boolean
  onDrawn?: (figure: Figure) => void
  /** The x value that was clicked. */
  onPick?: (x: number) => void
  /** The x axis was zoomed, or shows the whole again (null). */
  onZoom?: (view: View | null) => void
}

type Status =
  | { state: 'loading' }
  | { state: 'failed'; message: string }
  | { state: 'drawn'; empty: string | null }

/** What plotly keeps on its element while the reader drags a zoom box. */
type Dragging = { _dragging?: boolean }

export function LiveChart({ build, stores, label, height, primary = false, onDrawn, onPick, onZoom }: Props) {
  const frame = useRef<HTMLDivElement>(null)
  const plot = useRef<HTMLDivElement>(null)
  const drawable = useRef<Drawable | null>(null)
  const latest = useRef({ build, onDrawn, onPick, onZoom })
  const [status, setStatus] = useState<Status>({ state: 'loading' })

  useEffect(() => {
    latest.current = { build, onDrawn, onPick, onZoom }
    if (drawable.current) drawScheduler.request(drawable.current, true)
  }, [build, onDrawn, onPick, onZoom])

  useEffect(() => {
    const element = plot.current!
    const container = frame.current!
    let plotly: Plotly | null = null
    let visible = false
    let disposed = false
    let size = { width: 0, height: 0 }

    const draw = () => {
      if (!plotly || disposed || size.width < 40) return
      if ((element as Dragging)._dragging) return drawScheduler.request(self)
      const figure = latest.current.build(size)
      const firstTime = !element.classList.contains('js-plotly-plot')
      void plotly.react(
        element,
        figure.traces,
        { ...figure.layout, ...size, autosize: false },
        { displayModeBar: false, responsive: false, doubleClick: 'reset+autosize' },
      )
      if (firstTime)
        listen(element as unknown as PlotlyHTMLElement, {
          pick: (x) => latest.current.onPick?.(x),
          zoom: (view) => latest.current.onZoom?.(view),
        })
      setStatus((before) =>
        before.state === 'drawn' && before.empty === figure.empty
          ? before
          : { state: 'drawn', empty: figure.empty },
      )
      latest.current.onDrawn?.(figure)
    }
    const self: Drawable = { draw, isVisible: () => visible && plotly !== null, primary }
    drawable.current = self

    const intersection = new IntersectionObserver(
      ([entry]) => {
        visible = entry?.isIntersecting ?? false
        if (visible) drawScheduler.request(self, true)
      },
      { rootMargin: '120px' },
    )
    const resize = new ResizeObserver(([entry]) => {
      if (!entry) return
      size = { width: Math.floor(entry.contentRect.width), height: Math.floor(entry.contentRect.height) }
      drawScheduler.request(self, true)
    })
    intersection.observe(container)
    resize.observe(container)
    loadPlotly().then(
      (loaded) => {
        plotly = loaded
        drawScheduler.request(self, true)
      },
      () =>
        setStatus({ state: 'failed', message: 'The chart library could not be loaded; reload the page.' }),
    )
    return () => {
      disposed = true
      drawable.current = null
      intersection.disconnect()
      resize.disconnect()
      drawScheduler.forget(self)
      plotly?.purge(element)
    }
  }, [primary])

  useEffect(() => {
    const stops = stores.map((store) =>
      store.subscribe(() => {
        if (drawable.current) drawScheduler.request(drawable.current)
      }),
    )
    return () => {
      for (const stop of stops) stop()
    }
  }, [stores])

  return (
    <div ref={frame} className={classes['frame']} style={{ height }} role="img" aria-label={label}>
      <div
        ref={plot}
        className={classes['plot']}
        data-empty={status.state === 'drawn' && status.empty !== null}
      />
      {status.state !== 'drawn' || status.empty !== null ? (
        <Center className={classes['overlay']}>
          {status.state === 'loading' ? (
            <Loader size="sm" aria-label="Loading the chart" />
          ) : (
            <Text c="dimmed" size="sm" ta="center" maw={320}>
              {status.state === 'failed' ? status.message : status.empty}
            </Text>
          )}
        </Center>
      ) : null}
    </div>
  )
}

/** Point at a curve: its run is highlighted in every chart. Click: the x value under the pointer. Drag: a part of x. */
function listen(
  element: PlotlyHTMLElement,
  { pick, zoom }: { pick: (x: number) => void; zoom: (view: View | null) => void },
): void {
  element.on('plotly_relayout', (changes) => {
    const [from, to] = [changes['xaxis.range[0]'], changes['xaxis.range[1]']].map(Number)
    const isLogX = (element as unknown as { layout: Partial<Layout> }).layout.xaxis?.type === 'log'
    const value = (position: number) => (isLogX ? 10 ** position : position)
    if (Number.isFinite(from) && Number.isFinite(to)) zoom({ from: value(from!), to: value(to!) })
    else if (changes['xaxis.autorange']) zoom(null)
  })
  element.on('plotly_hover', (event: PlotHoverEvent) => {
    const [pointerY] = (event as unknown as { yvals?: number[] }).yvals ?? []
    const nearest = event.points
      .filter((point) => typeof point.y === 'number')
      .map((point) => ({ point, distance: distanceTo(pointerY, point.y as number, isLog(point)) }))
      .sort((a, b) => a.distance - b.distance)[0]
    highlightRun(nearest ? (nearest.point.data.legendgroup ?? null) : null)
  })
  element.on('plotly_unhover', () => highlightRun(null))
  element.on('plotly_click', (event) => {
    const x = event.points[0]?.x
    if (typeof x === 'number') pick(x)
  })
}

function isLog(point: PlotHoverEvent['points'][number]): boolean {
  return (point as unknown as { yaxis?: { type?: string } }).yaxis?.type === 'log'
}

/** `pointer` is in axis units: the exponent on a logarithmic axis. */
function distanceTo(pointer: number | undefined, value: number, log: boolean): number {
  if (pointer === undefined) return 0
  return Math.abs((log ? Math.log10(value) : value) - (log ? Math.log10(pointer) : pointer))
}
