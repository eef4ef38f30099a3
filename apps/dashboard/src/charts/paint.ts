/** Curves of a line figure on a canvas: where values lie, and strokes for lines, raw values, bands, marks and misfits. */
import type { Range } from './axis-range.ts'
import type { ChartTheme, LineBand, LineCurve, LineFigure, Misfit } from './figure.ts'
import { labelRows } from './rank-marks.ts'

/** Pixels of a plot area, and the figure’s ranges over it. */
export type Place = {
  left: number
  top: number
  width: number
  height: number
  x: (value: number) => number
  y: (value: number) => number
}

export function placeOf(figure: LineFigure, area: Omit<Place, 'x' | 'y'>): Place {
  const x = unitPosition(figure.xAxis)
  const y = unitPosition(figure.yAxis)
  return {
    ...area,
    x: (value) => area.left + x(value) * area.width,
    y: (value) => area.top + (1 - y(value)) * area.height,
  }
}

/** From the range of an axis to 0 … 1. */
export function unitPosition({ log, range }: { log: boolean; range: Range }): (value: number) => number {
  const scale = log ? Math.log10 : (value: number) => value
  const low = scale(range[0])
  const span = scale(range[1]) - low || 1
  return (value) => (scale(value) - low) / span
}

const dashPatterns: Record<LineCurve['dash'], number[]> = {
  solid: [],
  dash: [7, 4],
  dot: [2, 3],
  dashdot: [7, 3, 2, 3],
}

/** Everything but axes. `ratio`: canvas pixels per CSS pixel. */
export function paintFigure(
  context: CanvasRenderingContext2D,
  figure: LineFigure,
  place: Place,
  theme: ChartTheme,
  ratio: number,
): void {
  context.save()
  paintMarks(context, figure, place, theme, ratio)
  context.beginPath()
  context.rect(place.left, place.top - 2 * ratio, place.width, place.height + 4 * ratio)
  context.clip()
  for (const level of figure.levels) {
    context.strokeStyle = level.colour ?? theme.dimmed
    stroke(context, { width: ratio, dash: [2 * ratio, 3 * ratio] }, () => {
      context.moveTo(place.left, place.y(level.y))
      context.lineTo(place.left + place.width, place.y(level.y))
    })
  }
  for (const band of figure.bands) paintBand(context, band, place, ratio)
  for (const curve of figure.curves) if (curve.raw) paintRaw(context, curve, place, ratio)
  for (const curve of figure.curves) paintLine(context, curve, place, ratio, 1.8)
  for (const curve of figure.curves) paintMisfits(context, curve, place, ratio)
  context.restore()
}

/** One curve above all others, and what its values vary by. */
export function paintStrong(
  context: CanvasRenderingContext2D,
  figure: LineFigure,
  runId: string,
  place: Place,
  ratio: number,
): boolean {
  const curves = figure.curves.filter((curve) => curve.runId === runId)
  const bands = figure.bands.filter((band) => band.runId === runId)
  for (const band of bands) paintBand(context, band, place, ratio)
  for (const curve of curves) {
    if (curve.raw) paintRaw(context, curve, place, ratio)
    paintLine(context, curve, place, ratio, 3)
    paintMisfits(context, curve, place, ratio)
  }
  return curves.length + bands.length > 0
}

function paintLine(
  context: CanvasRenderingContext2D,
  { x, y, colour, dash, markers }: Pick<LineCurve, 'x' | 'y' | 'colour' | 'dash' | 'markers'>,
  place: Place,
  ratio: number,
  width: number,
): void {
  context.strokeStyle = colour
  const pattern = dashPatterns[dash].map((length) => length * ratio)
  stroke(context, { width: width * ratio, dash: pattern }, () => tracePath(context, x, y, place))
  if (!markers) return
  context.fillStyle = colour
  const radius = (x.length > 60 ? 1.8 : 2.6) * ratio
  for (let index = 0; index < x.length; index++) {
    if (!Number.isFinite(y[index]!)) continue
    context.beginPath()
    context.arc(place.x(x[index]!), place.y(y[index]!), radius, 0, 2 * Math.PI)
    context.fill()
  }
}

function tracePath(
  context: CanvasRenderingContext2D,
  x: ArrayLike<number>,
  y: ArrayLike<number>,
  place: Place,
): void {
  let isOpen = false
  for (let index = 0; index < x.length; index++) {
    const value = y[index]!
    if (!Number.isFinite(value)) isOpen = false
    else if (isOpen) context.lineTo(place.x(x[index]!), place.y(value))
    else {
      context.moveTo(place.x(x[index]!), place.y(value))
      isOpen = true
    }
  }
}

/** Faint: from low to high at each point, and on to the next. A spike of one point stays a spike. */
function paintRaw(
  context: CanvasRenderingContext2D,
  { x, raw, colour, called }: LineCurve,
  place: Place,
  ratio: number,
): void {
  if (!raw) return
  context.strokeStyle = colour
  context.globalAlpha = called === null ? 0.6 : 0.28
  stroke(context, { width: ratio, dash: [] }, () => {
    let isOpen = false
    for (let index = 0; index < x.length; index++) {
      const [low, high] = [raw.low[index]!, raw.high[index]!]
      const from = Number.isNaN(low) ? high : low
      if (Number.isNaN(from)) {
        isOpen = false
        continue
      }
      const at = place.x(x[index]!)
      if (isOpen) context.lineTo(at, place.y(from))
      else context.moveTo(at, place.y(from))
      isOpen = true
      if (high > from) context.lineTo(at, place.y(high))
    }
  })
  context.globalAlpha = 1
}

function paintBand(context: CanvasRenderingContext2D, band: LineBand, place: Place, ratio: number): void {
  const { x, low, high, mean, colour, dash } = band
  context.fillStyle = colour
  context.globalAlpha = 0.2
  // Gaps (a NaN of one member) part the band.
  for (let start = 0; start < x.length; start++) {
    if (!Number.isFinite(low[start]!) || !Number.isFinite(high[start]!)) continue
    let end = start
    while (end + 1 < x.length && Number.isFinite(low[end + 1]!) && Number.isFinite(high[end + 1]!)) end++
    context.beginPath()
    for (let index = start; index <= end; index++) context.lineTo(place.x(x[index]!), place.y(high[index]!))
    for (let index = end; index >= start; index--) context.lineTo(place.x(x[index]!), place.y(low[index]!))
    context.fill()
    start = end
  }
  context.globalAlpha = 1
  paintLine(context, { x, y: mean, colour, dash, markers: x.length === 1 }, place, ratio, 2)
}

const atTop: Record<Misfit['kind'], boolean> = { NaN: false, '+∞': true, '−∞': false, '≤ 0': false }

/** A cross for NaN, triangles for infinities, a short stroke for what a logarithmic axis cannot hold; at the edge. */
function paintMisfits(
  context: CanvasRenderingContext2D,
  { misfits, colour }: LineCurve,
  place: Place,
  ratio: number,
): void {
  context.strokeStyle = context.fillStyle = colour
  const size = 4 * ratio
  let lastAt = Number.NEGATIVE_INFINITY
  let lastKind: Misfit['kind'] | null = null
  for (const { x, kind } of misfits) {
    const at = place.x(x)
    // One mark per three pixels says as much as many.
    if (kind === lastKind && at - lastAt < 3 * ratio) continue
    lastAt = at
    lastKind = kind
    const edge = atTop[kind] ? place.top + size : place.top + place.height - size
    if (kind === 'NaN')
      stroke(context, { width: 1.6 * ratio, dash: [] }, () => {
        context.moveTo(at - size, edge - size)
        context.lineTo(at + size, edge + size)
        context.moveTo(at - size, edge + size)
        context.lineTo(at + size, edge - size)
      })
    else if (kind === '≤ 0')
      stroke(context, { width: 1.6 * ratio, dash: [] }, () => {
        context.moveTo(at, edge)
        context.lineTo(at, edge + size)
      })
    else {
      const tip = kind === '+∞' ? -size : size
      context.beginPath()
      context.moveTo(at, edge + tip)
      context.lineTo(at - size, edge - tip)
      context.lineTo(at + size, edge - tip)
      context.fill()
    }
  }
}

/** Vertical lines, and above the plot their labels in rows that do not overlap. */
function paintMarks(
  context: CanvasRenderingContext2D,
  { marks }: LineFigure,
  place: Place,
  theme: ChartTheme,
  ratio: number,
): void {
  const inside = marks.filter(({ x }) => place.x(x) >= place.left && place.x(x) <= place.left + place.width)
  context.font = `${11 * ratio}px ${theme.font}`
  const rows = labelRows(
    inside.map(({ x }) => place.x(x)),
    inside.map(({ label }) => context.measureText(label).width * 1.08),
    6 * ratio,
  )
  const last = Math.max(0, ...rows)
  context.textAlign = 'center'
  inside.forEach(({ x, label, strong }, index) => {
    context.strokeStyle = theme.dimmed
    const at = place.x(x)
    stroke(context, { width: (strong ? 1.6 : 1) * ratio, dash: strong ? [] : [2 * ratio, 3 * ratio] }, () => {
      context.moveTo(at, place.top)
      context.lineTo(at, place.top + place.height)
    })
    context.font = `${strong ? 'bold ' : ''}${11 * ratio}px ${theme.font}`
    context.fillStyle = theme.text
    context.fillText(label, at, place.top - (5 + 15 * (last - rows[index]!)) * ratio)
  })
}

function stroke(
  context: CanvasRenderingContext2D,
  { width, dash }: { width: number; dash: number[] },
  trace: () => void,
): void {
  context.lineWidth = width
  context.lineJoin = 'round'
  context.setLineDash(dash)
  context.beginPath()
  trace()
  context.stroke()
}
