/** What answers of a benchmark come to: its score, the further metrics of its protocol, and pass@k of several completions. */
import type { AnsweredItem } from './answer-items.ts'
import type { Benchmark } from './benchmark.ts'
import { passAtK } from './pass-at-k.ts'

export interface Metric {
  readonly name: string
  /** 0..1; null without an item. */
  readonly value: number | null
  /** Half the width of the 95 % interval, by the standard error over the items; null without an item. */
  readonly halfWidth: number | null
}

export interface Score {
  readonly items: number
  /** Completions that were right. */
  readonly correct: number
  /** The first is the benchmark's score. */
  readonly metrics: readonly [Metric, ...Metric[]]
  /** Prompts whose beginning was cut off. */
  readonly cut: number
}

/** `ks`: of pass@k; those beyond the completions of an item are left out. */
export function scoreOf(
  benchmark: Benchmark,
  answers: readonly AnsweredItem[],
  ks: readonly number[] = [],
): Score {
  const byItem = new Map<string, AnsweredItem[]>()
  for (const answer of answers) byItem.set(answer.id, [...(byItem.get(answer.id) ?? []), answer])
  const mean = (name: string, of: (answers: readonly AnsweredItem[]) => number) =>
    metric(name, [...byItem.values()].map(of))
  const share = (is: (answer: AnsweredItem) => boolean) => (all: readonly AnsweredItem[]) =>
    all.filter(is).length / all.length
  const fewest = Math.min(...[...byItem.values()].map(({ length }) => length))
  const further = Object.keys(answers[0]?.also ?? {})
  return {
    items: byItem.size,
    correct: answers.filter(({ correct }) => correct).length,
    cut: answers.filter(({ isCut }) => isCut).length,
    metrics: [
      mean(
        benchmark.metric,
        share(({ correct }) => correct),
      ),
      ...further.map((name) =>
        mean(
          name,
          share(({ also }) => also?.[name] === true),
        ),
      ),
      ...(benchmark.runsPrograms
        ? ks
            .filter((k) => k > 1 && k <= fewest)
            .map((k) =>
              mean(`pass@${k}`, (all) => passAtK(all.length, all.filter(({ correct }) => correct).length, k)),
            )
        : []),
    ],
  }
}

function metric(name: string, values: readonly number[]): Metric {
  if (values.length === 0) return { name, value: null, halfWidth: null }
  const value = values.reduce((sum, each) => sum + each, 0) / values.length
  const variance = values.reduce((sum, each) => sum + (each - value) ** 2, 0) / values.length
  return { name, value, halfWidth: 1.959963984540054 * Math.sqrt(variance / values.length) }
}
