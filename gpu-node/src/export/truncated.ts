/**
 * Any update as a LoRA adapter of rank R: ΔW ≈ U_R S_R V_Rᵀ = A B with A = U_R √S_R [m, R], B = √S_R V_Rᵀ [R, n], the best
 * approximation of that rank (Eckart and Young 1936). What it leaves out is measured on the factors as they are stored.
 */
import type { LinearAlgebra } from '../linalg/linear-algebra.ts'
import type { TopSvd } from '../linalg/top-svd.ts'
import type { AdapterPair, LoraAdapter } from './adapter.ts'

export interface TruncatedPair extends AdapterPair {
  /** ‖ΔW − A B‖_F, and the same relative to ‖ΔW‖_F (0 where ΔW = 0). */
  readonly error: number
  readonly relativeError: number
}

/** `top` has R or fewer triplets of `delta` [m, n], all of them where R exceeds min(m, n): zeros fill the factors. */
export function truncatedPair(
  algebra: LinearAlgebra,
  module: string,
  { rows, columns, delta }: { rows: number; columns: number; delta: Float64Array },
  top: TopSvd,
  rank: number,
): TruncatedPair {
  const kept = top.s.length
  const a = new Float32Array(rows * rank)
  const b = new Float32Array(rank * columns)
  for (let k = 0; k < kept; k++) {
    const root = Math.sqrt(top.s[k]!)
    for (let i = 0; i < rows; i++) a[i * rank + k] = root * top.u[i * kept + k]!
    for (let j = 0; j < columns; j++) b[k * columns + j] = root * top.v[j * kept + k]!
  }
  const product = algebra.multiply(Float64Array.from(a), Float64Array.from(b), { rows, inner: rank, columns })
  const size = norm(delta)
  const error = norm(delta.map((value, i) => value - product[i]!))
  return { module, rows, columns, a, b, error, relativeError: size === 0 ? 0 : error / size }
}

/** With α = R, so that PEFT's scale is 1. */
export function truncatedAdapter(rank: number, pairs: readonly TruncatedPair[]): LoraAdapter {
  return { rank, alpha: rank, rankStabilized: false, dropout: 0, pairs }
}

function norm(values: Float64Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0))
}
