/** What the hover box of a line figure says: the values near the pointer, raw and smoothed told apart. Pure. */
import { formatExact } from '../common/format.ts'
import type { LineAxis, LineCurve, LineFigure } from './figure.ts'
import type { Place } from './paint.ts'

export type HoverRow = { runId: string; label: string; colour: string; text: string }
export type Hover = {
  /** Where it is, e.g. “step 54,580”. */
  title: string
  /** The x that it tells of, and the run whose curve is nearest to the pointer. */
  x: number
  runId: string
  rows: HoverRow[]
  /** Curves that are not listed. */
  more: number
  /** Points to be marked: of the nearest curve. */
  point: { x: number; y: number } | null
}

const mostRows = 10
/** Beyond its end by more than this a curve has nothing to say, in pixels. */
const reach = 24

/** Null where the pointer (in the pixels of `place`) is near no curve. */
export function hoverAt(figure: LineFigure, place: Place, pointer: { x: number; y: number }): Hover | null {
  const found = [
    ...figure.curves.map((curve) => ({ curve, y: curve.y, text: curveText(curve, figure.yAxis) })),
    ...figure.bands.map((band) => ({
      curve: band,
      y: band.mean,
      text: (index: number) =>
        `${figure.yAxis.format(band.mean[index]!)}, ${band.called}: ${figure.yAxis.format(band.low[index]!)} to ${figure.yAxis.format(band.high[index]!)}`,
    })),
  ].flatMap(({ curve, y, text }) => {
    const index = nearestIndex(curve.x, place, pointer.x)
    if (index === null) return []
    const x = curve.x[index]!
    const atY = Number.isFinite(y[index]!) ? place.y(y[index]!) : Number.POSITIVE_INFINITY
    return { curve, x, y: y[index]!, text: () => text(index), distance: Math.abs(atY - pointer.y) }
  })
  // Sorting keeps the order of equals, so that an axis full of NaN still lists its curves.
  found.sort((a, b) => (a.distance === b.distance ? 0 : a.distance - b.distance))
  const [nearest] = found
  if (!nearest) return null
  const { format, title } = figure.xAxis
  return {
    title: format(nearest.x).startsWith('i = ') ? format(nearest.x) : `${title} ${format(nearest.x)}`,
    x: nearest.x,
    runId: nearest.curve.runId,
    rows: found.slice(0, mostRows).map(({ curve, x, text }) => ({
      runId: curve.runId,
      label: curve.label,
      colour: curve.colour,
      // A curve without a point right there tells where its nearest one is.
      text: x === nearest.x ? text() : `${text()} (at ${format(x)})`,
    })),
    more: Math.max(0, found.length - mostRows),
    point: Number.isFinite(nearest.y) ? { x: nearest.x, y: nearest.y } : null,
  }
}

/** What one point says, e.g. “smoothed 0.541, raw 0.532”, or of joined points “0.41 to 0.62, last 0.5 (8 points)”. */
function curveText(curve: LineCurve, { format, log }: LineAxis): (index: number) => string {
  const { raw, called, y } = curve
  const misfits = new Map<number, string[]>()
  for (const { x, kind, count } of curve.misfits)
    misfits.set(x, [...(misfits.get(x) ?? []), count > 1 ? `${formatExact(count)} × ${kind}` : kind])
  return (index) => {
    const wrong = misfits.get(curve.x[index]!) ?? []
    const value = y[index]!
    const parts: string[] = []
    if (called !== null && Number.isFinite(value)) parts.push(`${called} ${format(value)}`)
    if (raw) {
      const [low, high, last] = [raw.low[index]!, raw.high[index]!, raw.last[index]!]
      const name = called === null ? '' : 'raw '
      if (raw.counts[index]! > 1) {
        const shown = Number.isFinite(last) && !(log && last <= 0) ? `, last ${format(last)}` : ''
        const range = Number.isNaN(low) ? '' : `${name}${format(low)} to ${format(high)}${shown} `
        parts.push(`${range}(${formatExact(Math.round(raw.counts[index]!))} points)`)
      } else if (Number.isFinite(last) && !(log && last <= 0)) parts.push(`${name}${format(last)}`)
    } else if (called === null && Number.isFinite(value)) parts.push(format(value))
    return [...parts, ...wrong].join(', ') || 'no value'
  }
}

/** Index of the point nearest to the pointer; null where the curve has ended or has not begun. */
function nearestIndex(x: Float64Array, place: Place, pointer: number): number | null {
  if (x.length === 0) return null
  let low = 0
  let high = x.length - 1
  while (low < high) {
    const middle = (low + high) >>> 1
    if (place.x(x[middle]!) < pointer) low = middle + 1
    else high = middle
  }
  const before = Math.max(0, low - 1)
  const near = pointer - place.x(x[before]!) <= place.x(x[low]!) - pointer ? before : low
  const away = Math.abs(place.x(x[near]!) - pointer)
  const isInside = pointer >= place.x(x[0]!) && pointer <= place.x(x.at(-1)!)
  return isInside || away <= reach ? near : null
}
