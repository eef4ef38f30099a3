/**
 * One order of examples from several sources: how many of each an epoch has, exactly, and which. Pure functions of
 * sizes, weights and seed; the sampler takes the result like the examples of one source.
 */
import { Random } from '../random.ts'

export interface MixtureSource {
  /** Examples that the source has. */
  readonly size: number
  /** Null, for all sources: in proportion to their sizes. */
  readonly weight: number | null
}

/**
 * Examples per epoch of each source: `total` (null: as many as there are) divided by the weights, what is left over after
 * rounding down going to the largest fractions, the earlier source first where they are equal.
 */
export function mixtureCounts(sources: readonly MixtureSource[], total: number | null): number[] {
  const sizes = sources.map(({ size }) => size)
  const all = total ?? sum(sizes)
  const weights = sources.map(({ size, weight }) => weight ?? size)
  const exact = weights.map((weight) => (all * weight) / sum(weights))
  const counts = exact.map(Math.floor)
  const byFraction = [...exact.keys()].sort(
    (a, b) => exact[b]! - counts[b]! - (exact[a]! - counts[a]!) || a - b,
  )
  for (const index of byFraction.slice(0, all - sum(counts))) counts[index]!++
  return counts
}

/**
 * `count` numbers of examples below `size`: all of them as often as they fit, then a part drawn by seed. File order
 * within each pass.
 */
function drawn(size: number, count: number, random: Random): number[] {
  const passes = Math.floor(count / size)
  const part = Array.from({ length: size }, (_, index) => index)
  random.shuffle(part)
  const rest = part.slice(0, count - passes * size).sort((a, b) => a - b)
  const numbers: number[] = []
  for (let pass = 0; pass < passes; pass++) for (let index = 0; index < size; index++) numbers.push(index)
  return [...numbers, ...rest]
}

export interface MixturePlace {
  /** Number of the source, and of the example within it. */
  readonly source: number
  readonly example: number
}

/**
 * One epoch. Sources take turns such that every beginning of it is in proportion: of each source, within one example of
 * its share.
 */
export function mixtureOrder(
  counts: readonly number[],
  sizes: readonly number[],
  seed: number,
): MixturePlace[] {
  const lists = counts.map((count, source) =>
    drawn(sizes[source]!, count, new Random(seed).fork(`mix ${source}`)),
  )
  const places = lists.flatMap((list, source) =>
    // The k-th of n stands in the middle of the k-th of n equal parts.
    list.map((example, k) => ({ source, example, at: (2 * k + 1) / (2 * list.length) })),
  )
  places.sort((a, b) => a.at - b.at || a.source - b.source)
  return places.map(({ source, example }) => ({ source, example }))
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
