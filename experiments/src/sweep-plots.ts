/** The figures of a sweep for print: its metric over every numeric axis, against ‖ΔW‖_F and against effective rank. Pure. */
import { figureLabel, figureMeta, type SweepSpec } from '@rankscope/protocol'
import { bestSettings } from './best-settings.ts'
import { type Plot, type PlotSeries, plotSvg } from './plot.ts'
import { estimate } from './statistics.ts'
import { lineOf, linesIn } from './sweep-lines.ts'
import { metricRules, type RunResult } from './sweep-results.ts'

/** Name of each figure’s file, and its text. */
export function sweepFigures(spec: SweepSpec, results: readonly RunResult[]): Record<string, string> {
  const numeric = spec.axes.filter(
    ({ path, values }) =>
      path !== 'seed' && values.length > 1 && values.every((value) => typeof value === 'number'),
  )
  const { test } = metricRules[spec.metric]
  const has = (measure: string) => results.some(({ measures }) => isNumber(measures[measure]))
  return Object.fromEntries([
    ...numeric.map(({ path }) => [
      `${test}-over-${shortPath(path)}.svg`,
      overAxis(spec, results, path, test),
    ]),
    ...['frobenius', 'effectiveRank']
      .filter((measure) => has(measure) && has(test))
      .map((measure) => [`${test}-against-${measure}.svg`, against(spec, results, measure, test)]),
  ])
}

/** Shares are drawn in percent. */
function shownAs(measure: string): { title: string; factor: number } {
  const title = figureLabel(measure)
  return figureMeta(measure)?.isShare ? { title: `${title} (%)`, factor: 100 } : { title, factor: 1 }
}

/** A measure over a setting: every run, the mean over seeds with a band of one standard deviation, the best setting. */
export function overAxis(
  spec: SweepSpec,
  results: readonly RunResult[],
  path: string,
  measure: string,
): string {
  const best = bestSettings(results, spec.metric)
  const shown = shownAs(measure)
  const value = (result: RunResult) => {
    const raw = result.measures[measure]
    return isNumber(raw) ? shown.factor * raw : raw
  }
  const series = linesIn(results).map((line): PlotSeries => {
    const own = results.filter((result) => lineOf(result) === line && isNumber(result.point[path]))
    const x = (result: RunResult) => result.point[path] as number
    const seen = own.filter((result) => result.outcome === 'finished' && isNumber(value(result)))
    const at = (position: number) =>
      estimate(seen.filter((result) => x(result) === position).map((result) => value(result)!))!
    const positions = [...new Set(seen.map(x))].sort((one, other) => one - other)
    const setting = best.find((each) => each.setting.line === line)?.setting
    const starred = setting?.results.filter((result) => seen.includes(result)) ?? []
    const off = results.filter((result) => lineOf(result) === line && !isNumber(result.point[path]))
    const offValues = off.flatMap((result) => (result.outcome === 'finished' ? (value(result) ?? []) : []))
    return {
      name: line,
      level: own.length === 0 ? (estimate(offValues)?.mean ?? null) : null,
      dots: seen.map((result) => ({ x: x(result), y: value(result)! })),
      line: positions.map((position) => {
        const { mean, deviation } = at(position)
        return { x: position, y: mean, low: mean - (deviation ?? 0), high: mean + (deviation ?? 0) }
      }),
      marked:
        starred.length === 0
          ? []
          : [{ x: x(starred[0]!), y: estimate(starred.map((result) => value(result)!))!.mean }],
      lost: own.filter(({ outcome }) => outcome === 'diverged' || outcome === 'failed').map(x),
    }
  })
  const values = spec.axes.find((axis) => axis.path === path)!.values as number[]
  const isWide = Math.min(...values) > 0 && Math.max(...values) / Math.min(...values) >= 8
  // Where they lie close on the axis their names would meet.
  const isFew = values.length <= 9 && (isWide || values.length <= 4)
  const hasLevel = series.some(({ level }) => level !== null && level !== undefined)
  return drawn(spec, results, series, {
    title: `${figureLabel(measure)} over ${shortPath(path)}`,
    x: { title: path, log: isWide, ...(isFew ? { at: values } : {}) },
    y: { title: shown.title },
    says: `${hasLevel ? 'A dashed line is a method that has no such setting. ' : ''}Dots are runs; lines are means over seeds and whatever else varies, bands one standard deviation (n − 1); a star is a line’s best setting, a cross at the foot a run that diverged or failed.`,
  })
}

/** One measure of every finished run against another. */
export function against(
  spec: SweepSpec,
  results: readonly RunResult[],
  horizontal: string,
  vertical: string,
): string {
  const seen = results.filter(
    ({ outcome, measures }) =>
      outcome === 'finished' && isNumber(measures[horizontal]) && isNumber(measures[vertical]),
  )
  const series = linesIn(results).map(
    (line): PlotSeries => ({
      name: line,
      dots: seen
        .filter((result) => lineOf(result) === line)
        .map(({ measures }) => ({
          x: shownAs(horizontal).factor * measures[horizontal]!,
          y: shownAs(vertical).factor * measures[vertical]!,
        })),
    }),
  )
  const xs = series.flatMap(({ dots }) => dots.map(({ x }) => x))
  const isWide = xs.length > 0 && Math.min(...xs) > 0 && Math.max(...xs) / Math.min(...xs) >= 8
  const short = (measure: string) => figureMeta(measure)?.title ?? measure
  return drawn(spec, results, series, {
    title: `${short(vertical)} against ${short(horizontal)}`,
    x: { title: shownAs(horizontal).title, log: isWide },
    y: { title: shownAs(vertical).title },
    says: 'One dot per finished run.',
  })
}

/** The caption names the runs, the modules, the step and n. */
function drawn(
  spec: SweepSpec,
  results: readonly RunResult[],
  series: readonly PlotSeries[],
  { says, ...plot }: Pick<Plot, 'title' | 'x' | 'y'> & { says: string },
): string {
  const count = (outcome: RunResult['outcome']) => results.filter((each) => each.outcome === outcome).length
  const seeds = new Set(results.map(({ seed }) => seed)).size
  const steps = [...new Set(results.flatMap(({ measures }) => measures['steps'] ?? []))]
  const stepText = steps.length === 1 ? `step ${steps[0]}` : 'the last step of each run'
  const caption = [
    `${spec.name}: n = ${count('finished')} finished runs of ${results.length} (${count('diverged')} diverged, ${count('failed')} failed, ${count('pending')} to come), ${seeds} ${seeds === 1 ? 'seed' : 'seeds'}, all target modules, ${stepText}.`,
    says,
  ].join(' ')
  return plotSvg({
    ...plot,
    caption,
    series: series.filter(
      ({ dots, lost = [], level = null }) => dots.length + lost.length > 0 || level !== null,
    ),
  })
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number'
}

function shortPath(path: string): string {
  return path.slice(path.lastIndexOf('.') + 1)
}
