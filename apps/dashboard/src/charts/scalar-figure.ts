/** Figure of one scalar over the run, for any number of runs: raw values faint, smoothed ones on top. Pure. */
import type { Data } from 'plotly.js'
import type { Series } from '../live/series.ts'
import type { Dash } from '../runs/run-colours.ts'
import { type Band, meanBand } from './band.ts'
import { envelope } from './decimate.ts'
import { axis, baseLayout, type ChartTheme, curveTable, type Figure } from './figure.ts'
import { smooth } from './smoothing.ts'
import { timeUnit, xValues } from './x-axis.ts'
import { countInView, type Detail, indicesInView, type View, withDetail } from './zoom.ts'

export type XAxis = 'step' | 'tokens' | 'time'

/** A run as charts see it. */
export type Curve = {
  runId: string
  label: string
  colour: string
  dash: Dash
  /** Another run is being pointed at, or this one. */
  emphasis: 'normal' | 'strong' | 'faint'
  /** Runs of one configuration but different seeds have one key; null where runs are not grouped. */
  group: string | null
  series: ReadonlyMap<string, Series>
  /** When the run began, for the time axis. */
  originMs: number
}

export type ScalarOptions = {
  /** Scalar name, e.g. `train/loss`. */
  name: string
  yTitle: string
  xAxis: XAxis
  logX: boolean
  logY: boolean
  /** Weight of the moving average, 0 for none. */
  smoothing: number
  /** Few points, such as evaluations: draw each one. */
  markers: boolean
  /** How numbers of the y axis read: as they are, as a share, or with SI prefixes. */
  format: 'plain' | 'percent' | 'si'
  theme: ChartTheme
  empty: string
  /** Points drawn per curve at most: about one per pixel of the plot. */
  points: number
  /** The part of the x axis that is shown (seconds for time), and finer points of it by run; null for the whole. */
  zoom: { view: View; details: ReadonlyMap<string, Detail> } | null
}

const numberFormats = {
  plain: {},
  percent: { tickformat: '~%', hoverformat: '.1%', rangemode: 'tozero' },
  si: { tickformat: '~s', hoverformat: '.4~s' },
} as const

export function scalarFigure(curves: readonly Curve[], options: ScalarOptions): Figure {
  const present = curves.filter((curve) => (curve.series.get(options.name)?.length ?? 0) > 0)
  const seconds = timeUnit(present.map((curve) => lastElapsedSeconds(curve, options.name)))
  const prepared = present.map((curve) => prepare(curve, options, seconds.divisor))
  const grouped = groupsOf(prepared)
  const single = prepared.filter((one) => one.curve.group === null)
  const traces = [...single.flatMap((one) => lines(one, options)), ...grouped.flatMap(bandTraces)]
  const xTitle = { step: 'step', tokens: 'tokens seen', time: `time since start (${seconds.unit})` }[
    options.xAxis
  ]
  return {
    traces,
    layout: {
      ...baseLayout(options.theme),
      uirevision: `${options.xAxis} ${options.logX} ${options.logY}`,
      xaxis: { ...axis(options.theme, xTitle), type: options.logX ? 'log' : 'linear' },
      yaxis: {
        ...axis(options.theme, options.yTitle),
        type: options.logY ? 'log' : 'linear',
        ...numberFormats[options.format],
      },
    },
    drawnPoints: prepared.reduce((sum, one) => sum + one.drawn, 0),
    totalPoints: prepared.reduce((sum, one) => sum + one.total, 0),
    zoomed: options.zoom !== null,
    xUnit: options.xAxis === 'time' ? seconds.divisor : 1,
    empty: present.length === 0 ? options.empty : null,
    table: () =>
      curveTable(
        ['run', options.xAxis, options.name],
        present.map((curve) => {
          const series = curve.series.get(options.name)!
          return {
            label: curve.label,
            x: xValues(curve.series, series, options.xAxis, curve.originMs),
            y: series.last.view(),
          }
        }),
      ),
  }
}

type Prepared = {
  curve: Curve
  steps: ArrayLike<number>
  x: Float64Array
  smoothed: Float64Array
  low: ArrayLike<number>
  high: ArrayLike<number>
  /** Points of what is in view: drawn, and there. */
  drawn: number
  total: number
}

function prepare(curve: Curve, options: ScalarOptions, secondsDivisor: number): Prepared {
  const { zoom } = options
  const whole = curve.series.get(options.name)!
  const detail = zoom?.details.get(curve.runId)
  const series = withDetail(whole, detail)
  const x = xValues(curve.series, series, options.xAxis, curve.originMs)
  const [start, end] = zoom ? indicesInView(x, zoom.view) : [0, x.length]
  const seen = zoom ? countInView(x, zoom.view) : series.length
  if (options.xAxis === 'time') for (let index = 0; index < x.length; index++) x[index]! /= secondsDivisor
  const drawable = options.logY ? positive : (values: Float64Array) => values
  const smoothed = smooth(drawable(series.last.view()), options.smoothing)
  const inView = (values: Float64Array) => drawable(values.subarray(start, end))
  const joined = envelope(inView(series.low.view()), inView(series.high.view()), options.points)
  const pick = (values: ArrayLike<number>) =>
    Float64Array.from(joined.index, (index) => values[start + index]!)
  return {
    curve,
    steps: pick(series.steps.view()),
    x: pick(x),
    smoothed: pick(smoothed),
    low: joined.low,
    high: joined.high,
    drawn: Math.min(seen, joined.index.length),
    total: zoom ? pointsInView(series, detail, seen) : series.total,
  }
}

/** How many points the run has in view: `seen` of them are here, each of which may stand for several. */
function pointsInView(series: Series, detail: Detail | undefined, seen: number): number {
  const source = detail && detail.rewinds === series.rewinds ? detail.points : series
  return source.length === 0 ? seen : Math.round((seen * source.total) / source.length)
}

function lines(prepared: Prepared, options: ScalarOptions): Data[] {
  const { curve, x } = prepared
  const faint = curve.emphasis === 'faint'
  const strong = curve.emphasis === 'strong'
  const main: Data = {
    type: 'scatter',
    // A single point has no line to show.
    mode: options.markers || x.length === 1 ? 'lines+markers' : 'lines',
    name: curve.label,
    x,
    y: prepared.smoothed,
    opacity: faint ? 0.18 : 1,
    line: { color: curve.colour, width: strong ? 3 : 1.8, dash: curve.dash },
    marker: { size: x.length > 60 ? 4 : 6, color: curve.colour },
    legendgroup: curve.runId,
  }
  if (options.markers || (options.smoothing === 0 && !isJoined(prepared))) return [main]
  const zigzag = zigzagOf(prepared)
  const raw: Data = {
    type: 'scatter',
    mode: 'lines',
    name: `${curve.label} (raw)`,
    x: zigzag.x,
    y: zigzag.y,
    opacity: faint ? 0.06 : 0.28,
    line: { color: curve.colour, width: 1 },
    hoverinfo: 'skip',
    showlegend: false,
    legendgroup: curve.runId,
  }
  return [raw, main]
}

function groupsOf(prepared: readonly Prepared[]): Prepared[][] {
  const groups = new Map<string, Prepared[]>()
  for (const one of prepared) {
    const key = one.curve.group
    if (key !== null) groups.set(key, [...(groups.get(key) ?? []), one])
  }
  return [...groups.values()]
}

/** Mean of a group’s runs, and one standard deviation around it. */
function bandTraces(members: Prepared[]): Data[] {
  const first = members[0]!
  const band: Band = meanBand(members.map((one) => ({ steps: one.steps, x: one.x, y: one.smoothed })))
  const { colour, label } = first.curve
  const faint = members.every((one) => one.curve.emphasis === 'faint')
  const outline = { x: band.x, type: 'scatter' as const, mode: 'lines' as const, hoverinfo: 'skip' as const }
  const hidden = { line: { width: 0, color: colour }, showlegend: false, legendgroup: first.curve.runId }
  return [
    { ...outline, ...hidden, y: band.low },
    { ...outline, ...hidden, y: band.high, fill: 'tonexty', fillcolor: `${colour}${faint ? '12' : '33'}` },
    {
      type: 'scatter',
      mode: 'lines',
      name: members.length > 1 ? `${label} (mean of ${members.length})` : label,
      x: band.x,
      y: band.mean,
      opacity: faint ? 0.2 : 1,
      line: { color: colour, width: 2, dash: first.curve.dash },
      legendgroup: first.curve.runId,
    },
  ]
}

/** A logarithmic axis has no place for zero and below: a gap. */
function positive(values: Float64Array): Float64Array {
  return values.map((value) => (value > 0 ? value : Number.NaN))
}

function isJoined(prepared: Prepared): boolean {
  return prepared.total > prepared.drawn
}

/** Low and high of each point in turn; plain values where nothing was joined. */
function zigzagOf(prepared: Prepared): { x: Float64Array; y: Float64Array } {
  const length = prepared.x.length
  if (!isJoined(prepared)) return { x: prepared.x, y: Float64Array.from(prepared.low) }
  const x = new Float64Array(2 * length)
  const y = new Float64Array(2 * length)
  for (let index = 0; index < length; index++) {
    x[2 * index] = x[2 * index + 1] = prepared.x[index]!
    y[2 * index] = prepared.low[index]!
    y[2 * index + 1] = prepared.high[index]!
  }
  return { x, y }
}

function lastElapsedSeconds(curve: Curve, name: string): number {
  const times = curve.series.get(name)!.timesMs
  return (times.at(times.length - 1) - curve.originMs) / 1000
}
