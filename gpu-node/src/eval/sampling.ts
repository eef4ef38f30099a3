/** A token drawn from logits by temperature and top-p (Holtzman et al. 2020, nucleus sampling). */
import type { Random } from '../random.ts'

export interface TokenSampling {
  /** Above 0; divides the logits. */
  readonly temperature: number
  /** Only the likeliest tokens that together reach this share are drawn from; 1: all. Ties at the edge stay. */
  readonly topP: number
}

/** Index of the token; one uniform number is taken from `random`. */
export function drawToken(
  logits: Float32Array,
  { temperature, topP }: TokenSampling,
  random: Random,
): number {
  const shares = new Float64Array(logits.length)
  let largest = Number.NEGATIVE_INFINITY
  for (const value of logits) if (value > largest) largest = value
  let total = 0
  for (let i = 0; i < logits.length; i++) {
    shares[i] = Math.exp((logits[i]! - largest) / temperature)
    total += shares[i]!
  }
  const least = topP < 1 ? leastShare(shares, topP * total) : 0
  let kept = 0
  for (const share of shares) if (share >= least) kept += share
  let left = random.uniform() * kept
  let last = 0
  for (let i = 0; i < shares.length; i++) {
    const share = shares[i]!
    if (share < least || share === 0) continue
    last = i
    left -= share
    if (left < 0) return i
  }
  return last
}

/** The smallest of the largest shares that together reach `wanted`. */
function leastShare(shares: Float64Array, wanted: number): number {
  const ascending = shares.slice().sort()
  let sum = 0
  for (let i = ascending.length - 1; i >= 0; i--) {
    sum += ascending[i]!
    if (sum >= wanted) return ascending[i]!
  }
  return 0
}
