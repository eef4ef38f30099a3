/**
 * Direct weight update, shared by HD-PiSSA and its ablations (arXiv 2505.18777 §4.2): K adapters per module, stacked as
 * A [K, m, r] and B [K, r, n], move W and not themselves:
 *
 *   W ← (1 − η λ) W + c Σ_k (dA_k B_k + A_k dB_k + dA_k dB_k)        dA_k, dB_k: Adam's changes on device k
 *
 * `WeightWriter` is where W lives: in place, in place with Kahan's compensation, as W_0 and ΔW apart, or rounded to
 * bfloat16 after each step.
 */
import type { MethodConfigOf } from '@rankscope/protocol'
import type { Tensor, Variable } from '@tensorflow/tfjs-core'
import type { LowRankTerm } from '../linalg/spectrum.ts'
import { decodeFloat32, encodeFloats } from '../model/dtypes.ts'
import { roundBfloat16 } from '../ops/bfloat16.ts'
import { accumulate, compensatedAccumulate, copy, directUpdate, scale, zeroParameter } from '../ops/update.ts'
import { type MethodState, readValues } from '../optim/state.ts'
import type { ModuleShape, TargetModule } from './method.ts'

/** What one step changes W by: factor Σ_k (dA_k b_k + a_k dB_k (+ dA_k dB_k)). */
export interface DirectChange {
  readonly a: Tensor
  readonly b: Tensor
  readonly deltaA: Tensor
  readonly deltaB: Tensor
  readonly factor: number
  readonly secondOrder: boolean
}

export interface WeightWriter {
  /** Adds a change to W after decaying W by the factor 1 − decay. */
  write(change: DirectChange, decay: number): void
  /** After and before (null: `after` is ΔW itself), for the spectrum of W_T − W_0. */
  delta(before: () => Promise<Float32Array>): Promise<{ after: Float32Array; before: Float32Array | null }>
}

/** As in the configuration of HD-PiSSA. */
export interface WeightPrecision {
  readonly compensated: MethodConfigOf<'hd-pissa'>['compensated']
  readonly weightStorage: MethodConfigOf<'hd-pissa'>['weightStorage']
}

/** Float32 in place, as the paper has it. */
export const plainFloat32: WeightPrecision = { compensated: 'none', weightStorage: 'float32' }

/** W itself always holds the weight that the model computes with. */
export function weightWriter(
  target: TargetModule,
  state: MethodState,
  { compensated, weightStorage }: WeightPrecision,
): WeightWriter {
  const { name, weight, rows, columns } = target
  const difference: WeightWriter['delta'] = async (before) => ({
    after: await readValues(weight),
    before: await before(),
  })
  if (weightStorage === 'bfloat16') return bfloat16Writer(target, state)
  switch (compensated) {
    case 'none':
      state.adopt(`${name}.W`, weight)
      return {
        write(change, decay) {
          if (decay !== 0) scale(weight, 1 - decay)
          directUpdate({ w: weight, ...change })
        },
        delta: difference,
      }
    case 'kahan': {
      state.adopt(`${name}.W`, weight)
      const lost = state.zeros(`${name}.compensation`, [rows, columns])
      return {
        write(change, decay) {
          const step = zeroParameter([rows, columns])
          directUpdate({ w: step, ...change })
          if (decay !== 0) accumulate(step, weight, -decay)
          compensatedAccumulate(weight, lost, step)
          step.dispose()
        },
        delta: difference,
      }
    }
    case 'separate': {
      const start = zeroParameter([rows, columns])
      copy(start, weight)
      state.own(start)
      const sum = state.zeros(`${name}.deltaW`, [rows, columns])
      const join = () => {
        copy(weight, start)
        accumulate(weight, sum)
      }
      join()
      return {
        write(change, decay) {
          if (decay !== 0) accumulate(sum, weight, -decay)
          directUpdate({ w: sum, ...change })
          join()
        },
        delta: async () => ({ after: await readValues(sum), before: null }),
      }
    }
    default:
      return compensated satisfies never
  }
}

/** W in float32 memory, but only with values that bfloat16 has, W_0 included. */
function bfloat16Writer({ name, weight }: TargetModule, state: MethodState): WeightWriter {
  state.adopt(`${name}.W`, weight)
  roundToBfloat16(weight)
  return {
    write(change, decay) {
      if (decay !== 0) scale(weight, 1 - decay)
      directUpdate({ w: weight, ...change })
      roundToBfloat16(weight)
    },
    delta: async (before) => ({
      after: await readValues(weight),
      before: decodeFloat32(encodeFloats(await before(), 'BF16'), 'BF16'),
    }),
  }
}

function roundToBfloat16(weight: Variable): void {
  const rounded = roundBfloat16(weight)
  copy(weight, rounded)
  rounded.dispose()
}

/** target += factor · Σ_k a_k b_k, for a [K, m, r] and b [K, r, n]. */
export function addProducts(target: Variable, a: Tensor, b: Tensor, factor: number): void {
  // Both terms of the first-order form are the same product, hence the half.
  directUpdate({ w: target, a, b, deltaA: a, deltaB: b, factor: factor / 2, secondOrder: false })
}

/** a [K, m, r] and b [K, r, n] as K low-rank terms factor · a_k b_k. */
export function deviceTerms(
  { rows, columns }: ModuleShape,
  a: Float32Array,
  b: Float32Array,
  rank: number,
  factor: number,
): LowRankTerm[] {
  return Array.from({ length: a.length / (rows * rank) }, (_, k) => ({
    left: a.slice(k * rows * rank, (k + 1) * rows * rank),
    right: b.slice(k * rank * columns, (k + 1) * rank * columns),
    inner: rank,
    factor,
  }))
}

/** Variables that are written anew in each use, one per shape. */
export class Scratch {
  readonly #state: MethodState
  readonly #bySlot = new Map<string, Variable>()

  constructor(state: MethodState) {
    this.#state = state
  }

  get(slot: string, shape: readonly number[]): Variable {
    const key = `${slot} ${shape.join()}`
    const known = this.#bySlot.get(key)
    if (known) return known
    const made = this.#state.own(zeroParameter(shape))
    this.#bySlot.set(key, made)
    return made
  }
}
