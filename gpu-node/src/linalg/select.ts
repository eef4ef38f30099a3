/**
 * Which linear algebra this process has: cuSOLVER where it trains on a GPU, else LAPACK where it loads, else libtensorflow where that is installed, else plain
 * TypeScript. The leading 64 triplets of a 1024 x 1024 matrix cost them, on a CPU, 0.4, 1.1 and 10 s of processor time.
 */
import { RankscopeError } from '@rankscope/protocol'
import { createCuda } from './cuda.ts'
import { createLapack } from './lapack.ts'
import type { LinearAlgebra } from './linear-algebra.ts'
import { createPortable } from './portable.ts'
import { createTensorflow } from './tensorflow.ts'

export interface LinearAlgebraChoice {
  readonly algebra: LinearAlgebra
  /** Those before it, and why each was not taken. */
  readonly rejected: readonly { readonly name: LinearAlgebra['name']; readonly reason: string }[]
}

/** Best first. */
const siblings: Record<LinearAlgebra['name'], () => LinearAlgebra | { readonly missing: string }> = {
  cuda: () => createCuda(() => bestOf(['lapack', 'tensorflow', 'portable']).algebra!),
  lapack: createLapack,
  tensorflow: createTensorflow,
  portable: createPortable,
}

let chosen: LinearAlgebraChoice | undefined

/** Chosen once per thread. `RANKSCOPE_LINEAR_ALGEBRA` names one of them and allows no other. */
export function selectLinearAlgebra(): LinearAlgebraChoice {
  chosen ??= choose(process.env['RANKSCOPE_LINEAR_ALGEBRA'])
  return chosen
}

function choose(forced: string | undefined): LinearAlgebraChoice {
  const names = Object.keys(siblings) as LinearAlgebra['name'][]
  const { algebra, rejected } = bestOf(names.filter((candidate) => !forced || candidate === forced))
  if (algebra) return { algebra, rejected }
  throw new RankscopeError(
    'SETUP_MISSING',
    `RANKSCOPE_LINEAR_ALGEBRA is ${forced}: ${rejected[0]?.reason ?? 'there is no such linear algebra'}`,
    { hint: `Leave it unset, or choose among ${names.join(', ')}.` },
  )
}

function bestOf(names: readonly LinearAlgebra['name'][]): {
  algebra: LinearAlgebra | undefined
  rejected: { name: LinearAlgebra['name']; reason: string }[]
} {
  const rejected: { name: LinearAlgebra['name']; reason: string }[] = []
  for (const name of names) {
    const algebra = siblings[name]()
    if (!('missing' in algebra)) return { algebra, rejected }
    rejected.push({ name, reason: algebra.missing })
  }
  return { algebra: undefined, rejected }
}
