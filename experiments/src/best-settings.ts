/**
 * The best setting of each line (sweep-lines.ts): chosen by the mean over seeds on validation data, reported on test data, so that
 * nobody chooses by what is then reported. Pure.
 *
 * Only a setting of which every run finished can be chosen, as long as there is one: a rate at which one seed in three
 * diverges is not the best rate, however well the other two did. Among equal means the first in the order of the axes
 * is taken, and the others are named as ties.
 */
import type { SelectionMetric, SweepPoint } from '@rankscope/protocol'
import { pointKey } from './expand-sweep.ts'
import { type Estimate, estimate } from './statistics.ts'
import { lineOf } from './sweep-lines.ts'
import { metricRules, type Outcome, type RunResult, settingOf } from './sweep-results.ts'

/** All runs of one setting. */
export type Setting = {
  line: string
  /** Without the seed. */
  point: SweepPoint
  results: readonly RunResult[]
  counts: Readonly<Record<Outcome, number>>
  /** Over the finished runs; null without any. */
  validation: Estimate | null
  test: Estimate | null
}

export type BestSetting = {
  setting: Setting
  /** Settings with the same mean, which were not taken for coming later. */
  ties: readonly Setting[]
  /** false: there was no validation data, so that the choice was made by what is reported, and flatters. */
  byValidation: boolean
  /** false: every setting of the line had runs that failed, diverged or are still to come. */
  isComplete: boolean
}

/** In the order of the results. */
export function settingsOf(results: readonly RunResult[]): Setting[] {
  const groups = new Map<string, RunResult[]>()
  for (const result of results) {
    const key = `${lineOf(result)} ${pointKey(settingOf(result.point))}`
    const group = groups.get(key)
    if (group) group.push(result)
    else groups.set(key, [result])
  }
  return [...groups.values()].map((group) => {
    const counts = { finished: 0, diverged: 0, failed: 0, pending: 0 }
    for (const { outcome } of group) counts[outcome]++
    const finished = group.filter(({ outcome }) => outcome === 'finished')
    return {
      line: lineOf(group[0]!),
      point: settingOf(group[0]!.point),
      results: group,
      counts,
      validation: estimate(known(finished.map(({ validation }) => validation))),
      test: estimate(known(finished.map(({ test }) => test))),
    }
  })
}

/** One per line that has any result, in the order of the results. */
export function bestSettings(results: readonly RunResult[], metric: SelectionMetric): BestSetting[] {
  const settings = settingsOf(results)
  const lines = [...new Set(settings.map(({ line }) => line))]
  return lines.flatMap(
    (line) =>
      bestOf(
        settings.filter((setting) => setting.line === line),
        metric,
      ) ?? [],
  )
}

function bestOf(settings: readonly Setting[], metric: SelectionMetric): BestSetting | null {
  // One setting without validation data must not be compared by test against others by validation.
  const scored = settings.filter(({ counts }) => counts.finished > 0)
  const byValidation = scored.length > 0 && scored.every(({ validation }) => validation !== null)
  const score = (setting: Setting) => (byValidation ? setting.validation : setting.test)?.mean ?? null
  const usable = scored.filter((setting) => score(setting) !== null)
  const complete = usable.filter(({ counts, results }) => counts.finished === results.length)
  const mostFinished = Math.max(...usable.map(({ counts }) => counts.finished))
  const candidates =
    complete.length > 0 ? complete : usable.filter(({ counts }) => counts.finished === mostFinished)
  if (candidates.length === 0) return null
  const sign = metricRules[metric].better === 'high' ? 1 : -1
  const top = Math.max(...candidates.map((setting) => sign * score(setting)!))
  const [setting, ...ties] = candidates.filter((candidate) => sign * score(candidate)! === top)
  return { setting: setting!, ties, byValidation, isComplete: complete.length > 0 }
}

function known(values: readonly (number | null)[]): number[] {
  return values.filter((value) => value !== null)
}
