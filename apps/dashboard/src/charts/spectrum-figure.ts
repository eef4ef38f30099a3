/** Figure of singular values of ΔW over their index, for any number of runs, with the ranks that theory marks. Pure. */
import type { RankMark } from '@rankscope/protocol'
import type { Data, Layout } from 'plotly.js'
import type { SpectrumEntry } from '../live/spectra.ts'
import { axis, baseLayout, type ChartTheme, curveTable, type Figure } from './figure.ts'
import { labelRows } from './rank-marks.ts'
import type { Curve } from './scalar-figure.ts'

export type SpectrumCurve = Pick<Curve, 'runId' | 'label' | 'colour' | 'dash' | 'emphasis'> & {
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
  /** Name the curves: their colours do not tell them apart. */
  legend?: boolean
  /** σ₁ of the largest spectrum over all steps, so that the axis stands still while the step moves; null: fit. */
  largest: number | null
  /** Width of the plot area in pixels, to place labels. */
  widthPixels: number
  theme: ChartTheme
  empty: string
}

/** Singular values below this share of σ₁ are float64 rounding and would stretch the axis. */
const smallestShare = 1e-10

export function spectrumFigure(curves: readonly SpectrumCurve[], options: SpectrumOptions): Figure {
  const length = Math.max(1, ...curves.map((curve) => curve.entry.singularValues.length))
  const scaled = curves.map((curve) => {
    const first = curve.entry.singularValues[0] ?? 0
    const factor = options.normalised && first > 0 ? 1 / first : 1
    return { curve, factor, y: curve.entry.singularValues.map((value) => value * factor) }
  })
  const traces = scaled.map(({ curve, y }): Data => {
    const faint = curve.emphasis === 'faint'
    return {
      type: 'scatter',
      mode: y.length <= 160 ? 'lines+markers' : 'lines',
      name: curve.label,
      x: Float64Array.from(y, (_, index) => index + 1),
      // A logarithmic axis has no place for zero: such values end the curve.
      y: options.logY ? y.map((value) => (value > 0 ? value : Number.NaN)) : y,
      opacity: faint ? 0.18 : 1,
      line: { color: curve.colour, width: curve.emphasis === 'strong' ? 3 : 1.8, dash: curve.dash },
      marker: { size: 4, color: curve.colour },
    }
  })
  const xRange = options.logX ? [Math.log10(0.9), Math.log10(length * 1.1)] : [0, length + 1]
  const marks = markShapes(options, xRange as [number, number])
  const floors = options.showFloor ? floorShapes(scaled, options.theme) : []
  return {
    traces,
    layout: {
      ...baseLayout(options.theme),
      margin: { l: 58, r: 14, t: 12 + 17 * marks.rows, b: 40 },
      showlegend: options.legend ?? false,
      legend: { x: 0, y: 0, yanchor: 'bottom', bgcolor: 'rgba(0,0,0,0)', font: { size: 11 } },
      uirevision: `${options.logX} ${options.logY} ${options.normalised} ${length}`,
      xaxis: {
        ...axis(options.theme, 'index i of the singular value'),
        type: options.logX ? 'log' : 'linear',
        range: xRange,
        hoverformat: 'd',
      },
      yaxis: {
        ...axis(options.theme, options.normalised ? 'σᵢ / σ₁' : 'singular value σᵢ of ΔW'),
        type: options.logY ? 'log' : 'linear',
        ...yRange(scaled, options),
        ...(options.logY ? { dtick: 1 } : {}),
      },
      shapes: [...marks.shapes, ...floors],
      annotations: marks.annotations,
    },
    drawnPoints: scaled.reduce((sum, one) => sum + one.y.length, 0),
    totalPoints: scaled.reduce((sum, one) => sum + one.y.length, 0),
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

/** From σ₁ down to the smallest value worth seeing, in whole decades. */
function yRange(scaled: readonly Scaled[], options: SpectrumOptions): Partial<Layout['yaxis']> {
  if (!options.logY) return { rangemode: 'tozero' }
  const tops = scaled.map(({ y }) => y[0] ?? 0).filter((value) => value > 0)
  const top = options.normalised ? 1 : Math.max(options.largest ?? 0, ...tops)
  if (!(top > 0)) return {}
  let bottom = top
  for (const { y } of scaled)
    for (const value of y) if (value > top * smallestShare && value < bottom) bottom = value
  return { range: [Math.floor(Math.log10(bottom) - 0.15), Math.log10(top) + 0.25] }
}

function markShapes(options: SpectrumOptions, [x0, x1]: [number, number]) {
  const place = (rank: number) => (options.logX ? Math.log10(rank + 0.5) : rank + 0.5)
  const inside = options.marks.filter((mark) => place(mark.rank) < x1)
  const pixels = inside.map((mark) => ((place(mark.rank) - x0) / (x1 - x0)) * options.widthPixels)
  const texts = inside.map((mark) => `${mark.label} = ${mark.rank}`)
  const rows = labelRows(
    pixels,
    texts.map((text) => text.length * 6.4),
  )
  const rowCount = rows.length === 0 ? 0 : Math.max(...rows) + 1
  const shapes: Partial<Layout>['shapes'] = inside.map((mark) => ({
    type: 'line',
    x0: options.logX ? mark.rank + 0.5 : place(mark.rank),
    x1: options.logX ? mark.rank + 0.5 : place(mark.rank),
    y0: 0,
    y1: 1,
    yref: 'paper',
    layer: 'below',
    line: { color: options.theme.dimmed, width: mark.bound ? 1.6 : 1, dash: mark.bound ? 'solid' : 'dot' },
  }))
  const annotations: Partial<Layout>['annotations'] = inside.map((mark, index) => ({
    x: place(mark.rank),
    xref: 'x',
    y: 1,
    yref: 'paper',
    yanchor: 'bottom',
    yshift: 2 + 16 * (rowCount - 1 - rows[index]!),
    text: mark.bound ? `<b>${texts[index]}</b>` : texts[index]!,
    showarrow: false,
    font: { size: 11, color: options.theme.text },
  }))
  return { shapes, annotations, rows: rowCount }
}

/** A dotted line per run whose update is rounded in place. */
function floorShapes(scaled: readonly Scaled[], theme: ChartTheme): NonNullable<Partial<Layout>['shapes']> {
  return scaled
    .filter(({ curve }) => curve.floor !== null && curve.emphasis !== 'faint')
    .map(({ curve, factor }) => ({
      type: 'line',
      x0: 0,
      x1: 1,
      xref: 'paper',
      y0: curve.floor! * factor,
      y1: curve.floor! * factor,
      layer: 'below',
      line: { color: scaled.length === 1 ? theme.dimmed : curve.colour, width: 1, dash: 'dot' },
    }))
}
