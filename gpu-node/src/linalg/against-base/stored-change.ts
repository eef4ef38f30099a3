/**
 * What of an update a save in bfloat16 would still see (arXiv 2606.07082): the entries where bf16(W0 + ΔW) differs from
 * bf16(W0), and where they lie: among the principal entries (the largest of |rank-k reconstruction of W0|) and among the
 * small ones (the smallest of |W0|), each a share alpha of all.
 */
import { float32BitsToBfloat16 } from '../../half-floats.ts'
import type { FloatArray, LinearAlgebra } from '../linear-algebra.ts'
import { leadingColumns } from '../matrix.ts'
import type { BaseDecomposition } from './base-decomposition.ts'

/** alpha of the masks: what the overlap would be by chance. */
export const maskShare = 0.3
/** An entry has changed where |w+ - w0| > this times max(|w+|, |w0|). */
const relativeChange = 1e-3

export interface EntryMasks {
  /** 1 where the entry is among the largest of the reconstruction. */
  readonly principal: Uint8Array
  /** 1 where the entry is among the smallest of W0. */
  readonly low: Uint8Array
}

export interface StoredChange {
  /** Share of entries that bfloat16 tells apart. */
  readonly visible: number
  /** Share of entries that changed by more than a thousandth of themselves. */
  readonly relative: number
  /** Share of the visible ones inside each mask; null where none is visible. */
  readonly inPrincipal: number | null
  readonly inLow: number | null
}

export function entryMasks(
  algebra: LinearAlgebra,
  { rows, columns, w, u, s, v }: Pick<BaseDecomposition, 'rows' | 'columns' | 'w' | 'u' | 's' | 'v'>,
  rank: number,
): EntryMasks {
  const left = leadingColumns(u, rows, s.length, rank).map((value, i) => value * s[i % rank]!)
  const right = leadingColumns(v, columns, s.length, rank)
  const reconstruction = algebra.multiply(left, right, { rows, inner: rank, columns, transposeRight: true })
  return { principal: largest(reconstruction), low: largest(w, -1) }
}

/** Marks ⌊alpha · count⌋ entries of largest magnitude (of smallest with `sign` -1); of equal ones those that come first. */
function largest(values: FloatArray, sign: 1 | -1 = 1): Uint8Array {
  const magnitudes = Float64Array.from(values, (value) => sign * Math.abs(value))
  const wanted = Math.floor(maskShare * magnitudes.length)
  const marked = new Uint8Array(magnitudes.length)
  if (wanted === 0) return marked
  const limit = nthSmallest(magnitudes.slice(), magnitudes.length - wanted)
  let left = wanted
  for (let i = 0; i < magnitudes.length; i++)
    if (magnitudes[i]! > limit) {
      marked[i] = 1
      left--
    }
  for (let i = 0; i < magnitudes.length && left > 0; i++)
    if (magnitudes[i] === limit) {
      marked[i] = 1
      left--
    }
  return marked
}

/** The value at a place of the sorted array, by Hoare's selection; reorders it. */
function nthSmallest(values: Float64Array, place: number): number {
  let [low, high] = [0, values.length - 1]
  while (low < high) {
    const pivot = values[(low + high) >>> 1]!
    let [left, right] = [low, high]
    while (left <= right) {
      while (values[left]! < pivot) left++
      while (values[right]! > pivot) right--
      if (left <= right) {
        const held = values[left]!
        values[left++] = values[right]!
        values[right--] = held
      }
    }
    if (place <= right) high = right
    else if (place >= left) low = left
    else break
  }
  return values[place]!
}

/** Of W+ as it would be saved, by way of float32. */
export function storedChange(w: FloatArray, after: Float64Array, masks: EntryMasks): StoredChange {
  const float = new Float32Array(2)
  const bits = new Uint32Array(float.buffer)
  let [visible, relative, inPrincipal, inLow] = [0, 0, 0, 0]
  for (let i = 0; i < after.length; i++) {
    const [before, now] = [w[i]!, after[i]!]
    if (Math.abs(now - before) > relativeChange * Math.max(Math.abs(now), Math.abs(before))) relative++
    float[0] = before
    float[1] = now
    // -0 and 0 are one value.
    if (float[0] === float[1] || sameInBfloat16(bits[0]!, bits[1]!)) continue
    visible++
    inPrincipal += masks.principal[i]!
    inLow += masks.low[i]!
  }
  const count = after.length
  return {
    visible: visible / count,
    relative: relative / count,
    inPrincipal: visible === 0 ? null : inPrincipal / visible,
    inLow: visible === 0 ? null : inLow / visible,
  }
}

function sameInBfloat16(left: number, right: number): boolean {
  const [a, b] = [float32BitsToBfloat16(left), float32BitsToBfloat16(right)]
  return a === b || ((a | b) & 0x7fff) === 0
}
