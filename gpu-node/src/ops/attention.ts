/**
 * Causal grouped-query attention over whole sequences (training, prompts) and against a cache (greedy decoding).
 */

import type { Tensor, Tensor2D, Variable } from '@tensorflow/tfjs-core'
import { tensor1d, tidy } from '@tensorflow/tfjs-core'
import type { AttentionShape } from './kernels.ts'
import { assertShape, registerFusedGradient } from './register.ts'
import { runFused } from './registry.ts'
import { parameter, updateKernels } from './update.ts'

export type AttentionOptions = Omit<AttentionShape, 'window'> & {
  /** Number of keys that a query sees, itself included; absent: all before it. */
  window?: number
}

/** q [N,H*hd], k and v [N,G*hd], N = batch * sequence -> [N,H*hd]. Probabilities are recomputed in backward. */
export function causalAttention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor2D {
  const { batch, sequence, heads, keyValueHeads, headDim } = options
  const rowsFit = [q, k, v].every((t) => t.rank === 2 && t.shape[0] === batch * sequence)
  const widthFits = q.shape[1] === heads * headDim && k.shape[1] === keyValueHeads * headDim
  assertShape(
    rowsFit && widthFits && v.shape[1] === k.shape[1] && heads % keyValueHeads === 0,
    'causalAttention',
    q,
    k,
    v,
  )
  const shape = { batch, sequence, heads, keyValueHeads, headDim, window: options.window ?? 0 }
  return runFused('causalAttention', { q, k, v }, shape)[0] as Tensor2D
}

registerFusedGradient('causalAttention', {
  saveInputs: ['q', 'k', 'v'],
  saveOutputs: [true, true],
  gradient: (dOutput, [q, k, v, output, logSumExp], shape) => {
    const inputs = { dOutput, output: output!, logSumExp: logSumExp!, q: q!, k: k!, v: v! }
    const [dq, dk, dv] = runFused('causalAttentionGradient', inputs, shape)
    return { q: () => dq, k: () => dk, v: () => dv }
  },
})

export interface CacheShape {
  batch: number
  /** Rows reserved per sequence: the longest prompt and all that is generated after it. */
  capacity: number
  heads: number
  keyValueHeads: number
  headDim: number
  window?: number
}

/** Keys and values of one layer for a batch of sequences of different lengths. The caller disposes of it. */
export class KeyValueCache {
  readonly #shape: CacheShape
  readonly #keys: Variable
  readonly #values: Variable

  constructor(shape: CacheShape) {
    this.#shape = shape
    const { batch, capacity, keyValueHeads, headDim } = shape
    const zeros = new Float32Array(batch * capacity * keyValueHeads * headDim)
    this.#keys = parameter(zeros, [batch, capacity, keyValueHeads * headDim])
    this.#values = parameter(zeros, [batch, capacity, keyValueHeads * headDim])
  }

  /**
   * k, v [batch*T, G*hd], T rows per sequence: row t of sequence b goes to position positions[b] + t. Rows written
   * beyond a sequence's length (padding) are overwritten later and never seen, see `attend`.
   */
  append(k: Tensor, v: Tensor, positions: readonly number[]): void {
    const { batch, capacity } = this.#shape
    const perSequence = k.shape[0]! / batch
    const rows = Int32Array.from({ length: k.shape[0]! }, (_, i) => {
      const sequence = Math.floor(i / perSequence)
      return sequence * capacity + positions[sequence]! + (i % perSequence)
    })
    const fits = positions.every((position) => position + perSequence <= capacity)
    assertShape(fits && positions.length === batch, 'KeyValueCache.append', k, this.#keys)
    updateKernels().writeRows(this.#keys, rows, k)
    updateKernels().writeRows(this.#values, rows, v)
  }

  /** q [batch, H*hd], one query per sequence at position lengths[b] - 1, whose key was appended -> [batch, H*hd] */
  attend(q: Tensor, lengths: readonly number[]): Tensor2D {
    const { batch, heads, keyValueHeads, headDim, window = 0 } = this.#shape
    assertShape(q.shape[0] === batch && lengths.length === batch, 'KeyValueCache.attend', q, this.#keys)
    return tidy(() => {
      const inputs = { q, keys: this.#keys, values: this.#values, lengths: tensor1d([...lengths], 'int32') }
      return runFused('cachedAttention', inputs, { heads, keyValueHeads, headDim, window }) as Tensor2D
    })
  }

  dispose(): void {
    this.#keys.dispose()
    this.#values.dispose()
  }
}
