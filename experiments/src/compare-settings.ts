/** The methods of a sweep side by side, each at its own best setting, with differences paired over seeds. Pure. */
import type { MethodName, SelectionMetric } from '@rankscope/protocol'
import { type BestSetting, bestSettings } from './best-settings.ts'
import { type Estimate, pairedDifference } from './statistics.ts'
import type { RunResult } from './sweep-results.ts'

export type ComparedMethod = BestSetting & {
  method: MethodName
  /** Test metric minus the baseline’s, over the seeds that both have; null for the baseline, and without a shared seed. */
  difference: (Estimate & { pValue: number | null }) | null
}

/** The baseline is the method that is named, or else the first. */
export function compareMethods(
  results: readonly RunResult[],
  metric: SelectionMetric,
  baseline: MethodName | null = null,
): ComparedMethod[] {
  const best = bestSettings(results, metric)
  const reference = best.find(({ setting }) => setting.method === baseline) ?? best[0]
  return best.map((candidate) => ({
    ...candidate,
    method: candidate.setting.method,
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
