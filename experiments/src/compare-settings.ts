/** The lines of a sweep side by side, each at its own best setting, with differences paired over seeds. Pure. */
import type { SelectionMetric } from '@rankscope/protocol'
import { type BestSetting, bestSettings } from './best-settings.ts'
import { type Estimate, pairedDifference } from './statistics.ts'
import type { RunResult } from './sweep-results.ts'

export type ComparedLine = BestSetting & {
  line: string
  /** Test metric minus the baseline’s, over the seeds that both have; null for the baseline, and without a shared seed. */
  difference: (Estimate & { pValue: number | null }) | null
}

/** The baseline is the line that is named, or else the first. */
export function compareLines(
  results: readonly RunResult[],
  metric: SelectionMetric,
  baseline: string | null = null,
): ComparedLine[] {
  const best = bestSettings(results, metric)
  const reference = best.find(({ setting }) => setting.line === baseline) ?? best[0]
  return best.map((candidate) => ({
    ...candidate,
    line: candidate.setting.line,
    difference:
      candidate === reference || reference === undefined
        ? null
        : pairedDifference(testBySeed(candidate), testBySeed(reference)),
  }))
}

function testBySeed({ setting }: BestSetting): Map<string, number> {
  return new Map(
    setting.results.flatMap(({ seed, test, outcome }) =>
      outcome === 'finished' && test !== null ? [[String(seed), test] as const] : [],
    ),
  )
}
