/** Figure of singular values of ΔW over their index, for any number of runs, with the ranks that theory marks. Pure. */
import type { RankMark } from '@rankscope/protocol'
import { formatExact, formatNumber } from '../common/format.ts'
import type { SpectrumEntry } from '../live/spectra.ts'
import { type Range, rangeAround } from './axis-range.ts'
import { curveTable, type LineFigure } from './figure.ts'
import type { Curve } from './scalar-figure.ts'

export type SpectrumCurve = Pick<Curve, 'runId' | 'label' | 'colour' | 'dash'> & {
  entry: SpectrumEntry & { singularValues: Float64Array }
  /** Estimated rounding floor of this run, or null. */
  floor: number | null
}

export type SpectrumOptions = {
  logX: boolean
  logY: boolean
  /** Divide by σ₁, to compare shapes. */
  normalised: boolean
  marks: readonly RankMark[]
  showFloor: boolean
  /** σ₁ of the largest spectrum over all steps, so that the axis stands still while the step moves; null: fit. */
  largest: number | null
  notes: string[]
  empty: string
}

/** Singular values below this share of σ₁ are float64 rounding and would stretch the axis. */
const smallestShare = 1e-10

export function spectrumFigure(curves: readonly SpectrumCurve[], options: SpectrumOptions): LineFigure {
  const length = Math.max(1, ...curves.map((curve) => curve.entry.singularValues.length))
  const scaled = curves.map((curve) => {
    const first = curve.entry.singularValues[0] ?? 0
    const factor = options.normalised && first > 0 ? 1 / first : 1
    return { curve, factor, y: curve.entry.singularValues.map((value) => value * factor) }
  })
  const points = scaled.reduce((sum, one) => sum + one.y.length, 0)
  const xRange: Range = options.logX ? [0.9, length * 1.1] : [0, length + 1]
  const { range, below } = yRange(scaled, options)
  return {
    kind: 'lines',
    curves: scaled.map(({ curve, y }) => ({
      runId: curve.runId,
      label: curve.label,
      colour: curve.colour,
      dash: curve.dash,
      markers: y.length <= 160,
      x: Float64Array.from(y, (_, index) => index + 1),
      // A logarithmic axis has no place for zero: such values end the curve.
      y: options.logY ? y.map((value) => (value > 0 ? value : Number.NaN)) : y,
      called: null,
      raw: null,
      misfits: [],
    })),
    bands: [],
    marks: options.marks
      .filter((mark) => mark.rank + 0.5 < xRange[1])
      .map((mark) => ({ x: mark.rank + 0.5, label: `${mark.label} = ${mark.rank}`, strong: mark.bound })),
    levels: options.showFloor
      ? scaled.flatMap(({ curve, factor }) =>
          curve.floor === null
            ? []
            : { y: curve.floor * factor, colour: scaled.length === 1 ? null : curve.colour },
        )
      : [],
    xAxis: {
      title: 'index i of the singular value',
      log: options.logX,
      range: xRange,
      ticks: 'count',
      format: (value) => `i = ${formatExact(value)}`,
    },
    yAxis: {
      title: options.normalised ? 'σᵢ / σ₁' : 'singular value σᵢ of ΔW',
      log: options.logY,
      range,
      ticks: 'number',
      format: (value) => formatNumber(value, 5),
    },
    drawnPoints: points - below,
    totalPoints: points,
    notes: [
      ...options.notes,
      ...(below === 0
        ? []
        : [
            `${below.toLocaleString('en-US')} of ${points.toLocaleString('en-US')} values are 0 or below 1e-10 of the largest (float64 rounding) and lie off the axis`,
          ]),
    ],
    empty: curves.length === 0 ? options.empty : null,
    table: () =>
      curveTable(
        ['run', 'index', 'singularValue'],
        curves.map((curve) => ({
          label: curve.label,
          x: Float64Array.from(curve.entry.singularValues, (_, index) => index + 1),
          y: curve.entry.singularValues,
        })),
      ),
  }
}

type Scaled = { curve: SpectrumCurve; factor: number; y: Float64Array }

/** From σ₁ down to the smallest value worth seeing, in whole decades; `below`: how many values lie under it. */
function yRange(scaled: readonly Scaled[], options: SpectrumOptions): { range: Range; below: number } {
  const tops = scaled.map(({ y }) => y[0] ?? 0).filter((value) => value > 0)
  const top = options.normalised ? 1 : Math.max(options.largest ?? 0, ...tops)
  if (!options.logY) return { range: rangeAround([0, top], { log: false, fromZero: true }), below: 0 }
  if (!(top > 0)) return { range: rangeAround(null, { log: true }), below: 0 }
  let bottom = top
  let below = 0
  for (const { y } of scaled) {
    for (const value of y) {
      if (!(value > top * smallestShare)) below++
      else if (value < bottom) bottom = value
    }
  }
  return { range: [10 ** Math.floor(Math.log10(bottom) - 0.15), top * 10 ** 0.25], below }
}
