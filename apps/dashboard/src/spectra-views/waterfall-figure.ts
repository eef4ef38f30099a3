/**
 * The spectra of one module over all steps as one picture: index down, step across, colour the logarithm of σᵢ; or the
 * same as a surface. Instead of σᵢ its ratio to another spectrum: of one step of the same run, or of another run at each
 * step. Pure.
 */
import type { Data, Layout } from 'plotly.js'
import { axis, baseLayout, type ChartTheme, type PlotlyFigure } from '../charts/figure.ts'
import { logTicks, tickLabels } from '../charts/ticks.ts'
import { formatExact, formatNumber } from '../common/format.ts'
import type { SpectrumEntry } from '../live/spectra.ts'

export type WaterfallOptions = {
  /** Divide by this spectrum of each step, or by one for all; null: σᵢ itself. */
  reference: { label: string; at: (step: number) => Float64Array | null } | null
  shape: 'heatmap' | 'surface'
  /** Steps that the run has, of which `entries` are shown. */
  totalSteps: number
  /** Entries whose values are still on their way. */
  missing: number
  theme: ChartTheme
  empty: string
}

export type WaterfallEntry = SpectrumEntry & { singularValues: Float64Array }

/** Rows of the picture at most. */
const mostRows = 200
/** Below this share of the largest value everything is rounding: the colours end there. */
const smallestShare = 1e-8

export function waterfallFigure(entries: readonly WaterfallEntry[], options: WaterfallOptions): PlotlyFigure {
  const { reference, shape, theme } = options
  const length = Math.max(0, ...entries.map(({ singularValues }) => singularValues.length))
  const indices = spacedIndices(length, mostRows)
  const references = entries.map(({ step }) => reference?.at(step) ?? null)
  const value = (entry: number, index: number): number => {
    const sigma = entries[entry]!.singularValues[index]
    if (sigma === undefined) return Number.NaN
    if (!reference) return sigma
    const other = references[entry]?.[index]
    return other !== undefined && other > 0 ? sigma / other : Number.NaN
  }
  const values = indices.map((index) => entries.map((_, entry) => value(entry, index)))
  const positive = values.flat().filter((one) => one > 0 && Number.isFinite(one))
  const top = Math.log10(Math.max(...positive, Number.MIN_VALUE))
  const bottom = Math.max(Math.log10(Math.min(...positive)), top + Math.log10(smallestShare))
  // A ratio is as far from 1 when it is doubled as when it is halved.
  const reach = reference ? Math.max(0.05, Math.abs(top), Math.abs(Math.log10(Math.min(...positive)))) : 0
  const [low, high] = reference ? [-reach, reach] : [bottom, top > bottom ? top : bottom + 1]
  const z = values.map((row) => row.map((one) => (one > 0 ? Math.max(low, Math.log10(one)) : null)))
  const what = reference ? `σᵢ / σᵢ of ${reference.label}` : 'σᵢ of ΔW'
  const shared = {
    x: entries.map(({ step }) => step),
    // Plotly's logarithmic axes of surfaces have wrong ticks; both shapes take logarithms and labels of their own.
    y: indices.map((index) => Math.log10(index + 1)),
    z,
    // Plotly formats the one cell that is pointed at; all of them here would take longer than drawing.
    customdata: values.map((row, at) => row.map((one) => [indices[at]! + 1, one])),
    hovertemplate: `step %{x:,d}, i = %{customdata[0]:,d}<br>${what} = %{customdata[1]:.4~g}<extra></extra>`,
    colorscale: reference ? 'RdBu' : 'Viridis',
    colorbar: { title: { text: what, side: 'right' }, thickness: 12, ...colourTicks(low, high) },
  }
  const trace =
    shape === 'heatmap'
      ? { type: 'heatmap', ...shared, zmin: low, zmax: high, zsmooth: false }
      : { type: 'surface', ...shared, cmin: low, cmax: high }
  const points = indices.length * entries.length
  return {
    kind: 'plotly',
    needs: shape,
    traces: [trace as unknown as Data],
    layout: shape === 'heatmap' ? flatLayout(theme, length) : surfaceLayout(theme, length, what, low, high),
    drawnPoints: points,
    totalPoints: length * options.totalSteps,
    notes: [
      entries.length < options.totalSteps
        ? `${formatExact(entries.length)} of ${formatExact(options.totalSteps)} steps, evenly spaced`
        : [],
      indices.length < length
        ? `${formatExact(indices.length)} of ${formatExact(length)} indices, closer at the start`
        : [],
      options.missing > 0 ? `${formatExact(options.missing)} steps still loading` : [],
      !reference && positive.some((one) => Math.log10(one) < low)
        ? 'values below 1e-8 of the largest take the last colour'
        : [],
    ].flat(),
    empty: entries.length === 0 ? options.empty : null,
    table: () => [
      ['step', 'index', reference ? 'ratio' : 'singularValue'],
      ...indices.flatMap((index, row) =>
        entries.map(({ step }, column) => [step, index + 1, values[row]![column]!]),
      ),
    ],
  }
}

/** Every index where there are few; else the first ones singly and the later ones in growing distances. */
export function spacedIndices(length: number, most: number): number[] {
  if (length <= most) return Array.from({ length }, (_, index) => index)
  const found = new Set<number>()
  for (let at = 0; at < 4 * most && found.size < most; at++)
    found.add(Math.min(length - 1, Math.round(length ** (at / (most * 1.35)) - 1)))
  found.add(length - 1)
  return [...found].sort((a, b) => a - b)
}

/** Evenly spaced ones of a list, the first and the last among them. */
export function spaced<T>(list: readonly T[], most: number): T[] {
  if (list.length <= most) return [...list]
  return Array.from(
    { length: most },
    (_, index) => list[Math.round((index * (list.length - 1)) / (most - 1))]!,
  )
}

/** The colours mean logarithms, their labels values. */
function colourTicks(low: number, high: number): { tickvals: number[]; ticktext: string[] } {
  const tickvals = Array.from({ length: 5 }, (_, index) => low + (index * (high - low)) / 4)
  return { tickvals, ticktext: tickvals.map((tick) => formatNumber(10 ** tick, 2)) }
}

/** Round indices, where their logarithms stand. */
function indexTicks(length: number): { tickvals: number[]; ticktext: string[] } {
  const ticks = logTicks(1, Math.max(2, length), 12)
  return { tickvals: ticks.map(Math.log10), ticktext: tickLabels(ticks, 'count') }
}

function flatLayout(theme: ChartTheme, length: number): Partial<Layout> {
  return {
    ...baseLayout(theme),
    hovermode: 'closest',
    margin: { l: 58, r: 14, t: 8, b: 40 },
    uirevision: 'waterfall',
    xaxis: { ...axis(theme, 'step'), tickformat: ',d' },
    yaxis: { ...axis(theme, 'index i of the singular value'), autorange: 'reversed', ...indexTicks(length) },
  }
}

function surfaceLayout(
  theme: ChartTheme,
  length: number,
  what: string,
  low: number,
  high: number,
): Partial<Layout> {
  const side = { gridcolor: theme.grid, color: theme.dimmed }
  return {
    ...baseLayout(theme),
    margin: { l: 0, r: 0, t: 0, b: 0 },
    uirevision: 'waterfall',
    scene: {
      xaxis: { ...side, title: { text: 'step' }, tickformat: ',d' },
      yaxis: { ...side, title: { text: 'index i' }, ...indexTicks(length) },
      zaxis: { ...side, title: { text: what }, ...colourTicks(low, high) },
    },
  }
}
