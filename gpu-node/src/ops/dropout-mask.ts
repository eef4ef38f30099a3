/**
 * Which entries dropout drops: entry i of an example with the key (k₀, k₁) where mix(mix(i ⊕ k₀) + k₁) < p · 2³². A hash in
 * place of a generator's stream: every entry for itself, in any order, the same on every backend.
 */
import type { Random } from '../random.ts'

/** A key of two words per example. */
export type DropoutKeys = Int32Array

/** The words of a key from a stream of its own. */
export function drawKey(random: Random): [number, number] {
  return [random.uint32() | 0, random.uint32() | 0]
}

/** Fills `mask`, `size` entries an example, with 0 or `factor`. */
export function fillDropoutMask(
  mask: Float32Array,
  keys: DropoutKeys,
  { size, threshold, factor }: { size: number; threshold: number; factor: number },
): void {
  for (let start = 0, key = 0; start < mask.length; start += size, key += 2) {
    const [first, second] = [keys[key]!, keys[key + 1]!]
    for (let i = 0; i < size; i++) {
      const word = mix(mix(i ^ first) + second) >>> 0
      mask[start + i] = word < threshold ? 0 : factor
    }
  }
}

/** A bijection of 32 bits with a bias below 0.2 (C. Wellons’s “lowbias32”). */
function mix(word: number): number {
  let x = Math.imul(word ^ (word >>> 16), 0x7feb352d)
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b)
  return x ^ (x >>> 16)
}
