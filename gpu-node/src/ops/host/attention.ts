/**
 * Attention with the products left to the backend's matMul and everything between them as loops over host memory:
 * heads are gathered into [B*G, R*S, hd] (R = H/G query heads per key-value head), scores are [B*G, R*S, S].
 */
import type { Tensor } from '@tensorflow/tfjs-core'
import type { AttentionShape, FusedKernels } from '../kernels.ts'
import { fastExp } from './exp.ts'
import type { HostMemory } from './memory.ts'
import { product, transposed } from './products.ts'

export function hostAttention(memory: HostMemory) {
  const { allocate, floats, integers } = memory
  return {
    causalAttention: ({ q, k, v }, shape) => {
      const logSumExp = allocate([shape.batch, shape.heads, shape.sequence])
      const scores = product(memory, grouped(memory, q, shape), transposed(memory, grouped(memory, k, shape)))
      softmaxRows(floats(scores), floats(logSumExp), shape)
      const output = ungrouped(memory, product(memory, scores, grouped(memory, v, shape)), shape)
      return [output, logSumExp]
    },

    causalAttentionGradient: ({ dOutput, output, logSumExp, q, k, v }, shape) => {
      const [queries, keys] = [grouped(memory, q, shape), grouped(memory, k, shape)]
      const probabilities = product(memory, queries, transposed(memory, keys))
      probabilitiesFromScores(floats(probabilities), floats(logSumExp), shape)
      const dOut = grouped(memory, dOutput, shape)
      const dv = ungrouped(memory, product(memory, transposed(memory, probabilities), dOut), shape)
      const dScores = product(memory, dOut, transposed(memory, grouped(memory, v, shape)))
      const out = grouped(memory, output, shape)
      const rowDots = rowDotProducts(floats(dOut), floats(out), shape.headDim)
      scoreGradients(floats(dScores), floats(probabilities), rowDots, shape)
      const dq = ungrouped(memory, product(memory, dScores, keys), shape)
      const dk = ungrouped(memory, product(memory, transposed(memory, dScores), queries), shape)
      return [dq, dk, dv]
    },

    cachedAttention: ({ q, keys, values, lengths }, { heads, keyValueHeads, headDim, window }) => {
      const [batch, capacity, width] = keys.shape as [number, number, number]
      const out = allocate(q.shape)
      const [y, queries, allKeys, allValues] = [floats(out).fill(0), floats(q), floats(keys), floats(values)]
      const scores = new Float64Array(capacity)
      for (let b = 0; b < batch; b++)
        for (let head = 0; head < heads; head++) {
          const query = (b * heads + head) * headDim
          const column = Math.floor((head * keyValueHeads) / heads) * headDim
          const end = integers(lengths)[b]!
          const start = window > 0 ? Math.max(0, end - window) : 0
          let highest = Number.NEGATIVE_INFINITY
          for (let row = start; row < end; row++) {
            const key = (b * capacity + row) * width + column
            let score = 0
            for (let d = 0; d < headDim; d++) score += queries[query + d]! * allKeys[key + d]!
            scores[row] = score / Math.sqrt(headDim)
            highest = Math.max(highest, scores[row]!)
          }
          let total = 0
          for (let row = start; row < end; row++) {
            scores[row] = fastExp(scores[row]! - highest)
            total += scores[row]!
          }
          for (let row = start; row < end; row++) {
            const value = (b * capacity + row) * width + column
            const probability = scores[row]! / total
            for (let d = 0; d < headDim; d++) y[query + d]! += probability * allValues[value + d]!
          }
        }
      return out
    },
  } satisfies Partial<FusedKernels<Tensor>>
}

/** [B*S, X*hd] -> [B*G, (X/G)*S, hd] for X = H or G heads. */
function grouped(memory: HostMemory, t: Tensor, shape: AttentionShape): Tensor {
  const { batch, sequence, keyValueHeads, headDim } = shape
  const heads = t.shape[1]! / headDim
  const out = memory.allocate([batch * keyValueHeads, (heads / keyValueHeads) * sequence, headDim])
  moveHeads(memory.floats(t), memory.floats(out), { ...shape, heads }, 'gather')
  return out
}

/** The inverse of `grouped`. */
function ungrouped(memory: HostMemory, t: Tensor, shape: AttentionShape): Tensor {
  const { batch, sequence, headDim } = shape
  const heads = t.size / (batch * sequence * headDim)
  const out = memory.allocate([batch * sequence, heads * headDim])
  moveHeads(memory.floats(t), memory.floats(out), { ...shape, heads }, 'scatter')
  return out
}

function moveHeads(
  from: Float32Array,
  to: Float32Array,
  { batch, sequence, heads, headDim }: AttentionShape,
  direction: 'gather' | 'scatter',
): void {
  for (let b = 0; b < batch; b++)
    for (let head = 0; head < heads; head++)
      for (let row = 0; row < sequence; row++) {
        const byRow = ((b * sequence + row) * heads + head) * headDim
        const byHead = ((b * heads + head) * sequence + row) * headDim
        const [source, target] = direction === 'gather' ? [byRow, byHead] : [byHead, byRow]
        for (let d = 0; d < headDim; d++) to[target + d] = from[source + d]!
      }
}

const firstVisible = (query: number, window: number): number =>
  window > 0 ? Math.max(0, query - window + 1) : 0

/** Unscaled scores [B*H*S, S] become probabilities, in place. */
function softmaxRows(scores: Float32Array, logSumExp: Float32Array, shape: AttentionShape): void {
  const { sequence, headDim, window } = shape
  const factor = 1 / Math.sqrt(headDim)
  for (let row = 0; row < logSumExp.length; row++) {
    const start = row * sequence
    const query = row % sequence
    let highest = Number.NEGATIVE_INFINITY
    for (let key = firstVisible(query, window); key <= query; key++)
      highest = Math.max(highest, scores[start + key]!)
    let total = 0
    for (let key = firstVisible(query, window); key <= query; key++)
      total += fastExp((scores[start + key]! - highest) * factor)
    logSumExp[row] = highest * factor + Math.log(total)
  }
  probabilitiesFromScores(scores, logSumExp, shape)
}

function probabilitiesFromScores(
  scores: Float32Array,
  logSumExp: Float32Array,
  { sequence, headDim, window }: AttentionShape,
): void {
  const factor = 1 / Math.sqrt(headDim)
  for (let row = 0; row < logSumExp.length; row++) {
    const start = row * sequence
    const query = row % sequence
    const first = firstVisible(query, window)
    const norm = logSumExp[row]!
    scores.fill(0, start, start + first)
    for (let key = first; key <= query; key++)
      scores[start + key] = fastExp(scores[start + key]! * factor - norm)
    scores.fill(0, start + query + 1, start + sequence)
  }
}

/** dScores = probabilities * (dProbabilities - rowDot) / sqrt(hd), in place of dProbabilities. */
function scoreGradients(
  gradients: Float32Array,
  probabilities: Float32Array,
  rowDots: Float64Array,
  { sequence, headDim }: AttentionShape,
): void {
  const factor = 1 / Math.sqrt(headDim)
  for (let row = 0; row < rowDots.length; row++) {
    const dot = rowDots[row]!
    for (let i = row * sequence; i < (row + 1) * sequence; i++)
      gradients[i] = probabilities[i]! * (gradients[i]! - dot) * factor
  }
}

function rowDotProducts(a: Float32Array, b: Float32Array, width: number): Float64Array {
  const dots = new Float64Array(a.length / width)
  for (let row = 0; row < dots.length; row++) {
    let dot = 0
    for (let i = row * width; i < (row + 1) * width; i++) dot += a[i]! * b[i]!
    dots[row] = dot
  }
  return dots
}
