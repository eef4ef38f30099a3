/** Which linear algebra this machine has: LAPACK where it loads, plain TypeScript otherwise. */
import { createLapack } from './lapack.ts'
import type { LinearAlgebra } from './linear-algebra.ts'
import { createPortable } from './portable.ts'

export interface LinearAlgebraChoice {
  readonly algebra: LinearAlgebra
  /** Why LAPACK was not taken, or null where it was. */
  readonly lapackMissing: string | null
}

let chosen: LinearAlgebraChoice | undefined

/** Chosen once per thread. `RANKSCOPE_LINEAR_ALGEBRA=portable` forces the fallback. */
export function selectLinearAlgebra(): LinearAlgebraChoice {
  chosen ??= choose(process.env['RANKSCOPE_LINEAR_ALGEBRA'])
  return chosen
}

function choose(forced: string | undefined): LinearAlgebraChoice {
  if (forced === 'portable') return { algebra: createPortable(), lapackMissing: 'portable was asked for' }
  const lapack = createLapack()
  if ('missing' in lapack) return { algebra: createPortable(), lapackMissing: lapack.missing }
  return { algebra: lapack, lapackMissing: null }
}
