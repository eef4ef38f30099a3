/** Figure of one scalar over the run, for any number of runs: raw values faint, smoothed ones on top. Pure. */
import { scalarNames } from '@rankscope/protocol'
import { formatExact, formatNumber, formatPercent } from '../common/format.ts'
import type { Series } from '../live/series.ts'
import type { Dash } from '../runs/run-colours.ts'
import { extentOf, rangeAround } from './axis-range.ts'
import { meanBand } from './band.ts'
import { envelope } from './decimate.ts'
import type { LineBand, LineCurve, LineFigure } from './figure.ts'
import { misfitNote, misfitsOf } from './misfits.ts'
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
  /** Runs of one configuration but different seeds have one key; null where runs are not grouped. */
  group: string | null
  series: ReadonlyMap<string, Series>
  /** When the run began, for the time axis. */
  originMs: number
}

export type NumberKind = 'plain' | 'percent' | 'si'

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
  format: NumberKind
  empty: string
  /** Points drawn per curve at most: about one per pixel of the plot. */
  points: number
  /** The part of the x axis that is shown (seconds for time), and finer points of it by run; null for the whole. */
  zoom: { view: View; details: ReadonlyMap<string, Detail> } | null
}

const numbers = {
  plain: { ticks: 'number', format: (value: number) => formatNumber(value, 4) },
  percent: { ticks: 'percent', format: (value: number) => formatPercent(value) },
  si: { ticks: 'count', format: (value: number) => formatExact(value) },
} as const

export function scalarFigure(curves: readonly Curve[], options: ScalarOptions): LineFigure {
  const told = curves.filter((curve) => (curve.series.get(options.name)?.length ?? 0) > 0)
  // Without tokens there is no place on an axis of tokens: steps in their stead would be told as tokens.
  const present = told.filter(
    (curve) => options.xAxis !== 'tokens' || (curve.series.get(scalarNames.tokens)?.length ?? 0) > 0,
  )
  const seconds = timeUnit(present.map((curve) => lastElapsedSeconds(curve, options.name)))
  const prepared = present.map((curve) => prepare(curve, options, seconds.divisor))
  const groups = groupsOf(prepared)
  const lines = prepared.filter((one) => one.group === null).map((one) => one.line)
  const bands = groups.map((members) => bandOf(members, options.logY))
  const xTitle = { step: 'step', tokens: 'tokens seen', time: `time since start (${seconds.unit})` }
  const shown = options.zoom?.view
  const unit = options.xAxis === 'time' ? seconds.divisor : 1
  const xs = lines.length > 0 ? lines.map((line) => line.x) : bands.map((band) => band.x)
  const withoutTokens = told.length - present.length
  return {
    kind: 'lines',
    curves: lines,
    bands,
    marks: [],
    levels: [],
    xAxis: {
      title: xTitle[options.xAxis],
      log: options.logX,
      range: shown
        ? [shown.from / unit, shown.to / unit]
        : tight(extentOf([...xs, ...bands.map((band) => band.x)], options.logX), options.logX),
      ticks: 'count',
      format: (value) => formatExact(value, 5),
    },
    yAxis: {
      title: options.yTitle,
      log: options.logY,
      range: rangeAround(extentOf(valuesOf(lines, bands, shown, unit), options.logY), {
        log: options.logY,
        fromZero: options.format === 'percent',
      }),
      ...numbers[options.format],
    },
    drawnPoints: prepared.reduce((sum, one) => sum + one.drawn, 0),
    totalPoints: prepared.reduce((sum, one) => sum + one.total, 0),
    zoomed: options.zoom !== null,
    xUnit: unit,
    notes: [
      misfitNote(prepared.map((one) => one.line)) ?? [],
      smoothingNote(prepared) ?? [],
      withoutTokens === 0 ? [] : `${withoutTokens} of ${told.length} runs tell no tokens and are left out`,
      groups.some((members) => isCut(members)) ? 'means end where the shortest run of their group ends' : [],
    ].flat(),
    empty:
      present.length > 0
        ? null
        : withoutTokens > 0
          ? 'The shown runs tell no tokens; choose another x axis.'
          : options.empty,
    table: () => scalarTable(present, options),
  }
}

/** How sparse the values are that a smoothed line was made of, where the server joined some. */
function smoothingNote(prepared: readonly Prepared[]): string | null {
  const share = Math.max(...prepared.map((one) => (one.line.called === null ? 1 : one.pointsPerValue)))
  return share >= 1.5 ? `smoothed from one value in ${Math.round(share)}: zoom in for all` : null
}

type Prepared = {
  /** Of the run, per value that is here. */
  pointsPerValue: number
  group: string | null
  line: LineCurve
  steps: Float64Array
  /** The last step that the run has. */
  lastStep: number
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
  // Of all points that are here, before any is joined for the screen.
  const smoothed =
    options.smoothing > 0 ? smooth(series.means.view(), options.smoothing, series.counts.view()) : null
  const inView = (name: 'low' | 'high' | 'nans' | 'counts') => series[name].view().subarray(start, end)
  const joined = envelope(inView('low'), inView('high'), options.points)
  const pick = (values: ArrayLike<number>) =>
    Float64Array.from(joined.index, (index) => values[start + index]!)
  const nans = joined.sum(inView('nans'))
  const counts = joined.sum(inView('counts'))
  const total = zoom ? pointsInView(series, detail, seen) : series.total
  const drawn = Math.min(seen, joined.index.length)
  const last = pick(series.last.view())
  const drawable = (values: Float64Array) => (options.logY ? positive(values) : values)
  const pickedX = pick(x)
  const { runId, label, colour, dash } = curve
  return {
    group: curve.group,
    pointsPerValue: seen === 0 ? 1 : total / seen,
    line: {
      runId,
      label,
      colour,
      dash,
      markers: options.markers || pickedX.length === 1,
      x: pickedX,
      y: drawable(smoothed ? pick(smoothed) : last),
      called: smoothed ? 'smoothed' : null,
      raw:
        smoothed || total > drawn
          ? { low: drawable(joined.low), high: drawable(joined.high), last, counts }
          : null,
      misfits: misfitsOf(pickedX, joined, nans, options.logY),
    },
    steps: pick(series.steps.view()),
    lastStep: whole.steps.at(whole.length - 1),
    drawn,
    total,
  }
}

/** How many points the run has in view: `seen` of them are here, each of which may stand for several. */
function pointsInView(series: Series, detail: Detail | undefined, seen: number): number {
  const source = detail && detail.rewinds === series.rewinds ? detail.points : series
  return source.length === 0 ? seen : Math.round((seen * source.total) / source.length)
}

function groupsOf(prepared: readonly Prepared[]): Prepared[][] {
  const groups = new Map<string, Prepared[]>()
  for (const one of prepared) {
    if (one.group !== null) groups.set(one.group, [...(groups.get(one.group) ?? []), one])
  }
  return [...groups.values()]
}

function bandOf(members: readonly Prepared[], log: boolean): LineBand {
  const { runId, label, colour, dash, called } = members[0]!.line
  const band = meanBand(
    members.map(({ steps, line }) => ({ steps, x: line.x, y: line.y })),
    log,
  )
  const mean = log ? 'geometric mean' : 'mean'
  return {
    runId,
    label: members.length > 1 ? `${label} (${mean} of ${members.length})` : label,
    colour,
    dash,
    ...band,
    called: `95 % of the ${mean}${called ? `, ${called}` : ''}`,
  }
}

/** Whether a member goes on beyond where its group’s mean has to end. */
function isCut(members: readonly Prepared[]): boolean {
  return new Set(members.map((one) => one.lastStep)).size > 1
}

/** What the y axis has to hold: lines, raw values and bands, as far as they are in view. */
function* valuesOf(
  lines: readonly LineCurve[],
  bands: readonly LineBand[],
  view: View | undefined,
  unit: number,
): Iterable<Float64Array> {
  const cut = (x: Float64Array, values: Float64Array) => {
    if (!view) return values
    const [start, end] = indicesInView(x, { from: view.from / unit, to: view.to / unit })
    return values.subarray(start, end)
  }
  for (const { x, y, raw } of lines) {
    yield cut(x, y)
    if (raw) yield* [cut(x, raw.low), cut(x, raw.high)]
  }
  for (const { x, mean, low, high } of bands) yield* [cut(x, mean), cut(x, low), cut(x, high)]
}

/** An x axis ends where its curves do; one point stands in the middle. */
function tight(extent: readonly [number, number] | null, log: boolean): readonly [number, number] {
  return extent && extent[1] > extent[0] ? extent : rangeAround(extent, { log })
}

/** A logarithmic axis has no place for zero and below: a gap. */
function positive(values: Float64Array): Float64Array {
  return values.map((value) => (value > 0 ? value : Number.NaN))
}

/** Every point that is here, a zoomed stretch singly; where some were joined, with the extremes, the number and the NaN of those they stand for. */
function scalarTable(curves: readonly Curve[], options: ScalarOptions): (string | number)[][] {
  const all = curves.map((curve) =>
    withDetail(curve.series.get(options.name)!, options.zoom?.details.get(curve.runId)),
  )
  const isJoined = all.some((series) => series.total > series.length)
  const extra = isJoined ? ['min', 'max', 'points', 'nan'] : []
  const rows: (string | number)[][] = [['run', options.xAxis, options.name, ...extra]]
  curves.forEach((curve, position) => {
    const series = all[position]!
    const x = xValues(curve.series, series, options.xAxis, curve.originMs)
    for (let index = 0; index < series.length; index++) {
      const row = [curve.label, x[index]!, series.last.at(index)]
      if (isJoined) row.push(series.low.at(index), series.high.at(index), Math.round(series.counts.at(index)))
      if (isJoined) row.push(series.nans.at(index))
      rows.push(row)
    }
  })
  return rows
}

function lastElapsedSeconds(curve: Curve, name: string): number {
  const times = curve.series.get(name)!.timesMs
  return (times.at(times.length - 1) - curve.originMs) / 1000
}
