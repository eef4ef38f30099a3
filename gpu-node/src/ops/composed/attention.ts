/**
 * Attention composed of TensorFlow.js ops. Query heads of one key-value head are stacked along the sequence, so that
 * keys and values are never repeated: with R = H/G, q becomes [B*G, R*S, hd] against k, v [B*G, S, hd].
 */

import type { Tensor } from '@tensorflow/tfjs-core'
import {
  add,
  exp,
  greaterEqual,
  less,
  logicalAnd,
  logSumExp as logSumExpOf,
  matMul,
  mul,
  range,
  reshape,
  softmax,
  sub,
  sum,
  tensor2d,
  transpose,
  where,
} from '@tensorflow/tfjs-core'
import type { AttentionShape, FusedKernels } from '../kernels.ts'

/** Added to the scores of keys that a query must not see: exp of it is 0, and unlike -Infinity it is no NaN source. */
const hidden = -1e30

export const composedAttention = {
  causalAttention: ({ q, k, v }, shape) => {
    const { batch, heads, sequence } = shape
    const scores = maskedScores(grouped(q, shape), grouped(k, shape), shape)
    const logSumExp = logSumExpOf(scores, 2, true)
    const probabilities = stacked(exp(sub(scores, logSumExp)), shape)
    const output = matMul(probabilities, grouped(v, shape))
    return [ungrouped(output, shape), reshape(logSumExp, [batch, heads, sequence])]
  },

  causalAttentionGradient: ({ dOutput, output, logSumExp, q, k, v }, shape) => {
    const { batch, heads, sequence, headDim } = shape
    const [queries, keys, values] = [grouped(q, shape), grouped(k, shape), grouped(v, shape)]
    const dOut = grouped(dOutput, shape)
    const scores = maskedScores(queries, keys, shape)
    const logNorm = reshape(logSumExp, [batch * heads, sequence, 1])
    const probabilities = stacked(exp(sub(scores, logNorm)), shape)
    const dProbabilities = matMul(dOut, values, false, true)
    const rowDot = sum(mul(dOut, grouped(output, shape)), 2, true)
    const dScores = mul(mul(probabilities, sub(dProbabilities, rowDot)), 1 / Math.sqrt(headDim))
    const dq = matMul(dScores, keys)
    const dk = matMul(dScores, queries, true, false)
    const dv = matMul(probabilities, dOut, true, false)
    return [ungrouped(dq, shape), ungrouped(dk, shape), ungrouped(dv, shape)]
  },

  cachedAttention: ({ q, keys, values, lengths }, { heads, keyValueHeads, headDim, window }) => {
    const [batch, capacity] = keys.shape as [number, number, number]
    const perGroup = heads / keyValueHeads
    const cached = (t: Tensor) =>
      reshape(transpose(reshape(t, [batch, capacity, keyValueHeads, headDim]), [0, 2, 1, 3]), [
        batch * keyValueHeads,
        capacity,
        headDim,
      ])
    const queries = reshape(mul(q, 1 / Math.sqrt(headDim)), [batch * keyValueHeads, perGroup, headDim])
    const scores = reshape(matMul(queries, cached(keys), false, true), [batch, heads, capacity])
    const position = reshape(range(0, capacity, 1, 'int32'), [1, 1, capacity])
    const end = reshape(lengths, [batch, 1, 1])
    const before = less(position, end)
    const visible = window > 0 ? logicalAnd(before, greaterEqual(position, sub(end, window))) : before
    const probabilities = softmax(add(scores, where(visible, 0, hidden)), 2)
    const mixed = matMul(reshape(probabilities, [batch * keyValueHeads, perGroup, capacity]), cached(values))
    return reshape(mixed, [batch, heads * headDim])
  },
} satisfies Partial<FusedKernels<Tensor>>

/** [N, X*hd] -> [B*G, (X/G)*S, hd] for X = H or G heads. */
function grouped(t: Tensor, { batch, sequence, keyValueHeads, headDim }: AttentionShape): Tensor {
  const heads = t.shape[1]! / headDim
  const perHead = transpose(reshape(t, [batch, sequence, heads, headDim]), [0, 2, 1, 3])
  return reshape(perHead, [batch * keyValueHeads, (heads / keyValueHeads) * sequence, headDim])
}

/** The inverse of `grouped`. */
function ungrouped(t: Tensor, { batch, sequence, headDim }: AttentionShape): Tensor {
  const heads = t.size / (batch * sequence * headDim)
  const perHead = transpose(reshape(t, [batch, heads, sequence, headDim]), [0, 2, 1, 3])
  return reshape(perHead, [batch * sequence, heads * headDim])
}

/** Scaled and masked scores, [B*H, S, S]. */
function maskedScores(queries: Tensor, keys: Tensor, shape: AttentionShape): Tensor {
  const { batch, heads, sequence, headDim } = shape
  const scores = matMul(mul(queries, 1 / Math.sqrt(headDim)), keys, false, true)
  return add(reshape(scores, [batch * heads, sequence, sequence]), causalMask(shape))
}

/** [B*H, S, S] -> [B*G, R*S, S] */
function stacked(t: Tensor, { batch, sequence, heads, keyValueHeads }: AttentionShape): Tensor {
  return reshape(t, [batch * keyValueHeads, (heads / keyValueHeads) * sequence, sequence])
}

/** [S, S]: 0 where key j is visible to query i (i - window < j <= i), `hidden` elsewhere. */
function causalMask({ sequence, window }: AttentionShape): Tensor {
  const mask = new Float32Array(sequence * sequence).fill(hidden)
  for (let i = 0; i < sequence; i++)
    mask.fill(0, i * sequence + firstVisible(i, window), i * sequence + i + 1)
  return tensor2d(mask, [sequence, sequence])
}

const firstVisible = (query: number, window: number): number =>
  window > 0 ? Math.max(0, query - window + 1) : 0
