/**
 * Curves on a canvas. uPlot has the axes, the scales and the dragged zoom; the curves are painted into its canvas, and
 * pointing at them paints into a second one above it, so that moving the mouse redraws nothing below.
 */
import { useEffect, useRef, useState } from 'react'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { ChartFrame, type FrameStatus } from './chart-frame.tsx'
import type { ChartTheme, LineAxis, LineFigure } from './figure.ts'
import { currentlyPointed, pointAt, subscribeToPointed } from './highlight.ts'
import { type Hover, hoverAt } from './hover.ts'
import { HoverBox } from './hover-box.tsx'
import type { ChartProps } from './live-chart.tsx'
import { paintFigure, paintStrong, placeOf, unitPosition } from './paint.ts'
import { labelRows } from './rank-marks.ts'
import { linearTicks, logTicks, tickLabels } from './ticks.ts'
import { useChartTheme } from './use-chart-theme.ts'
import { type Painter, type Size, useDrawable } from './use-drawable.ts'
import type { View } from './zoom.ts'

/** Pixels that a drag must cover to count as a zoom. */
const leastDrag = 6
/** About what the axes and paddings left and right of a plot take, for placing labels. */
const sideMargins = 72

export type LineChartProps = ChartProps<LineFigure> & {
  /** The x axis was zoomed, or shows the whole again (null). */
  onZoom?: (view: View | null) => void
}

type Pointing = { hover: Hover; left: number; top: number } | null

export function LineChart(props: LineChartProps) {
  const { build, stores, label, height, primary = false, onDrawn, onPick, onZoom } = props
  const frame = useRef<HTMLDivElement>(null)
  const plot = useRef<HTMLDivElement>(null)
  const theme = useChartTheme()
  const latest = useRef({ build, onDrawn, onPick, onZoom, theme })
  const [status, setStatus] = useState<FrameStatus>({ state: 'loading' })
  const [summary, setSummary] = useState('')
  const [pointing, setPointing] = useState<Pointing>(null)
  useEffect(() => {
    latest.current = { build, onDrawn, onPick, onZoom, theme }
  })
  useDrawable({
    frame,
    stores,
    topics: props.topics,
    primary,
    onSeen: props.onSeen,
    inputs: [build, onDrawn, onPick, onZoom, theme],
    mount: () =>
      linePainter(plot.current!, {
        build: (size) => latest.current.build(size),
        theme: () => latest.current.theme,
        drawn: (figure) => {
          setStatus((before) =>
            before.state === 'drawn' && before.empty === figure.empty
              ? before
              : { state: 'drawn', empty: figure.empty },
          )
          setSummary(summaryOf(figure))
          latest.current.onDrawn?.(figure)
        },
        pointing: setPointing,
        pick: (x) => latest.current.onPick?.(x),
        zoom: (view) => latest.current.onZoom?.(view),
      }),
  })
  return (
    <ChartFrame frame={frame} plot={plot} label={`${label}${summary}`} height={height} status={status}>
      {pointing ? <HoverBox {...pointing} /> : null}
    </ChartFrame>
  )
}

/** For those who do not see the lines: what is drawn, over which axes, and the ranks that are marked. */
function summaryOf({ curves, bands, marks, xAxis, yAxis }: LineFigure): string {
  const names = [...curves, ...bands].map(({ label }) => label)
  const listed = names.length > 5 ? [...names.slice(0, 4), `${names.length - 4} more`] : names
  const marked = marks.flatMap(({ label }) => (label === '' ? [] : label))
  return [
    `. ${yAxis.title} over ${xAxis.title}: ${listed.join(', ')}`,
    ...(marked.length > 0 ? [`marked: ${marked.join(', ')}`] : []),
  ].join('; ')
}

type Callbacks = {
  build: (size: Size) => LineFigure
  theme: () => ChartTheme
  drawn: (figure: LineFigure) => void
  pointing: (pointing: Pointing) => void
  pick: (x: number) => void
  zoom: (view: View | null) => void
}

/** The parts of a chart that live as long as its element. */
function linePainter(element: HTMLElement, callbacks: Callbacks): Painter {
  let figure: LineFigure | null = null
  let chart: uPlot | null = null
  let shape = ''
  let overlay: HTMLCanvasElement | null = null
  let pointer: { x: number; y: number } | null = null

  /** The plot area in the CSS pixels of the overlay. */
  const area = (shown: LineFigure) => {
    const { clientWidth: width, clientHeight: height } = chart!.over
    return placeOf(shown, { left: 0, top: 0, width, height })
  }

  const paintOverlay = () => {
    if (!chart || !overlay || !figure) return
    const ratio = devicePixelRatio
    const { clientWidth, clientHeight } = chart.over
    const [width, height] = [Math.round(clientWidth * ratio), Math.round(clientHeight * ratio)]
    if (overlay.width !== width || overlay.height !== height) Object.assign(overlay, { width, height })
    const context = overlay.getContext('2d')!
    context.clearRect(0, 0, width, height)
    if (figure.empty !== null) return
    const theme = callbacks.theme()
    const place = placeOf(figure, { left: 0, top: 0, width, height })
    const { runId, x } = currentlyPointed()
    const others = new Set([...figure.curves, ...figure.bands].map((curve) => curve.runId))
    if (runId !== null && others.has(runId) && others.size > 1) {
      context.globalAlpha = 0.72
      context.fillStyle = theme.background
      context.fillRect(0, 0, width, height)
      context.globalAlpha = 1
      paintStrong(context, figure, runId, place, ratio)
    }
    if (x && x.axis === figure.xAxis.title) {
      const at = place.x(x.value)
      context.strokeStyle = theme.dimmed
      context.lineWidth = ratio
      context.setLineDash([3 * ratio, 3 * ratio])
      context.beginPath()
      context.moveTo(at, 0)
      context.lineTo(at, height)
      context.stroke()
      context.setLineDash([])
    }
    const point = pointer ? hoverAt(figure, area(figure), pointer)?.point : null
    if (point) {
      context.fillStyle = theme.text
      context.beginPath()
      context.arc(place.x(point.x), place.y(point.y), 3.5 * ratio, 0, 2 * Math.PI)
      context.fill()
    }
  }

  const point = () => {
    if (!chart || !figure || pointer === null || figure.empty !== null) {
      pointAt(null, null)
      callbacks.pointing(null)
      return
    }
    const hover = hoverAt(figure, area(figure), pointer)
    pointAt(hover?.runId ?? null, hover && { axis: figure.xAxis.title, value: hover.x })
    const { offsetLeft, offsetTop } = chart.over
    callbacks.pointing(hover && { hover, left: offsetLeft + pointer.x, top: offsetTop + pointer.y })
    paintOverlay()
  }

  const make = (size: Size, rows: number, first: LineFigure) => {
    chart?.destroy()
    const options = plotOptions(size, rows, () => figure ?? first, callbacks.theme)
    options.hooks = {
      draw: [
        (self) => {
          if (!figure) return
          const { left, top, width, height } = self.bbox
          const place = placeOf(figure, { left, top, width, height })
          paintFigure(self.ctx, figure, place, callbacks.theme(), uPlot.pxRatio)
          paintOverlay()
        },
      ],
      setCursor: [
        (self) => {
          const { left = -1, top = -1 } = self.cursor
          const next = left < 0 || top < 0 ? null : { x: left, y: top }
          if (next === null && pointer === null) return
          pointer = next
          point()
        },
      ],
      setSelect: [
        (self) => {
          const { left, width } = self.select
          if (width >= leastDrag)
            callbacks.zoom({ from: self.posToVal(left, 'x'), to: self.posToVal(left + width, 'x') })
          self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
        },
      ],
    }
    chart = new uPlot(options, extremes(first), element)
    overlay = document.createElement('canvas')
    overlay.className = 'chart-overlay'
    chart.over.append(overlay)
    chart.over.addEventListener('dblclick', () => callbacks.zoom(null))
    chart.over.addEventListener('click', () => {
      const x = figure && pointer ? hoverAt(figure, area(figure), pointer)?.x : null
      if (typeof x === 'number') callbacks.pick(x)
    })
  }

  const stop = subscribeToPointed(paintOverlay)
  return {
    draw: (size) => {
      const next = callbacks.build(size)
      const rows = markRows(next, size.width)
      const nextShape = shapeOf(next, callbacks.theme(), rows)
      figure = next
      if (!chart || nextShape !== shape) make(size, rows, next)
      else {
        if (chart.width !== size.width || chart.height !== size.height) chart.setSize(size)
        chart.setData(extremes(next))
      }
      shape = nextShape
      callbacks.drawn(next)
      if (pointer !== null) point()
      return true
    },
    dispose: () => {
      stop()
      if (pointer !== null) pointAt(null, null)
      chart?.destroy()
    },
  }
}

/** uPlot is given the corners only: its scales follow the figure’s ranges, its own series draw nothing. */
function extremes({ xAxis, yAxis }: LineFigure): uPlot.AlignedData {
  return [[...xAxis.range], [...yAxis.range]]
}

/** What uPlot cannot change once it is made. */
function shapeOf({ xAxis, yAxis }: LineFigure, theme: ChartTheme, rows: number): string {
  return [xAxis.title, xAxis.log, yAxis.title, yAxis.log, theme.scheme, rows].join('|')
}

/** Rows that the labels of marks need above the plot. */
function markRows({ marks, xAxis }: LineFigure, width: number): number {
  const labelled = marks.filter(({ label }) => label !== '')
  const place = unitPosition(xAxis)
  const rows = labelRows(
    labelled.map(({ x }) => place(x) * (width - sideMargins)),
    labelled.map(({ label }) => label.length * 6.8),
  )
  return rows.length === 0 ? 0 : Math.max(...rows) + 1
}

function plotOptions(
  size: Size,
  rows: number,
  current: () => LineFigure,
  theme: () => ChartTheme,
): uPlot.Options {
  const figure = current()
  const { dimmed, grid, font, text } = theme()
  const axis = (which: 'xAxis' | 'yAxis', wanted: (pixels: number) => number): uPlot.Axis => ({
    stroke: () => dimmed,
    font: `11px ${font}`,
    label: figure[which].title,
    labelFont: `12px ${font}`,
    labelSize: 20,
    labelGap: 0,
    gap: 4,
    size: which === 'xAxis' ? 24 : (_, labels) => 12 + 6.4 * Math.max(3, ...(labels ?? []).map(length)),
    grid: { stroke: grid, width: 1 },
    ticks: { stroke: grid, width: 1, size: 4 },
    splits: (self) => ticksOf(current()[which], wanted(which === 'xAxis' ? self.width : self.height)),
    // Every tick is labelled: on logarithmic axes uPlot would choose among them.
    filter: (_, splits) => splits,
    values: (_, splits) => tickLabels(splits, current()[which].ticks),
  })
  const scale = (which: 'xAxis' | 'yAxis'): uPlot.Scale => ({
    time: false,
    distr: figure[which].log ? 3 : 1,
    range: () => [...current()[which].range] as [number, number],
  })
  return {
    ...size,
    padding: [10 + 15 * rows, 14, 0, 0],
    scales: { x: scale('xAxis'), y: scale('yAxis') },
    axes: [axis('xAxis', (width) => width / 90), axis('yAxis', (height) => height / 45)],
    series: [{}, { paths: () => null, points: { show: false }, stroke: text }],
    legend: { show: false },
    cursor: {
      x: false,
      y: false,
      points: { show: false },
      drag: { x: true, y: false, setScale: false, dist: leastDrag },
    },
  }
}

function ticksOf({ range: [min, max], log }: LineAxis, wanted: number): number[] {
  const count = Math.max(2, Math.round(wanted))
  return log ? logTicks(min, max, count) : linearTicks(min, max, count)
}

function length(label: string): number {
  return label.length
}
