/**
 * Attention with the products left to the backend's matMul and everything between them as loops over host memory, one
 * key-value head of one sequence at a time (attention-heads.ts): scores are [R*S, S], R = H/G query heads per
 * key-value head.
 */
import type { Tensor } from '@tensorflow/tfjs-core'
import type { AttentionShape, FusedKernels } from '../../../ops/kernels.ts'
import { Heads, places, scratch } from './attention-heads.ts'
import { fastExp } from './exp.ts'
import { type HostMemory, matrixOf } from './memory.ts'
import { transposeInto } from './transpose.ts'

export function hostAttention(memory: HostMemory) {
  const { allocate, floats, integers, multiply } = memory
  return {
    causalAttention: ({ q, k, v }, shape) => {
      const { batch, heads, keyValueHeads, sequence, headDim } = shape
      const [output, logSumExp] = [allocate(q.shape), allocate([batch, heads, sequence])]
      const rows = (heads / keyValueHeads) * sequence
      const { queries, keysTransposed, values } = scratch(memory, {
        queries: [rows, headDim],
        keysTransposed: [headDim, sequence],
        values: [sequence, headDim],
      })
      const copies = new Heads(memory, shape)
      for (const place of places(shape)) {
        copies.gather(q, place, queries)
        copies.gatherTransposed(k, place, keysTransposed)
        copies.gather(v, place, values)
        const scores = multiply(queries, keysTransposed)
        const first = (place.batch * keyValueHeads + place.group) * rows
        softmaxRows(floats(scores), floats(logSumExp).subarray(first, first + rows), shape)
        const mixed = multiply(matrixOf(scores), values)
        copies.scatter(matrixOf(mixed), output, place)
        for (const made of [scores, mixed]) made.dispose()
      }
      return [output, logSumExp]
    },

    causalAttentionGradient: ({ dOutput, output, logSumExp, q, k, v }, shape) => {
      const { heads, keyValueHeads, sequence, headDim } = shape
      const [dq, dk, dv] = [allocate(q.shape), allocate(k.shape), allocate(v.shape)]
      const rows = (heads / keyValueHeads) * sequence
      const { queries, keys, keysTransposed, valuesTransposed, out, dOut, turned } = scratch(memory, {
        queries: [rows, headDim],
        keys: [sequence, headDim],
        keysTransposed: [headDim, sequence],
        valuesTransposed: [headDim, sequence],
        out: [rows, headDim],
        dOut: [rows, headDim],
        turned: [sequence, rows],
      })
      const rowDots = new Float64Array(rows)
      /** tᵀ for t [R*S, S], written over the last one. */
      const turn = (t: Tensor) => {
        const target = { values: floats(turned.tensor), start: turned.start, stride: rows }
        transposeInto({ values: floats(t), start: 0, stride: sequence }, target, rows, sequence)
        return turned
      }
      const copies = new Heads(memory, shape)
      for (const place of places(shape)) {
        copies.gather(q, place, queries)
        copies.gather(k, place, keys)
        copies.gatherTransposed(k, place, keysTransposed)
        copies.gatherTransposed(v, place, valuesTransposed)
        copies.gather(output, place, out)
        copies.gather(dOutput, place, dOut)

        const probabilities = multiply(queries, keysTransposed)
        const first = (place.batch * keyValueHeads + place.group) * rows
        probabilitiesFromScores(floats(probabilities), floats(logSumExp).subarray(first, first + rows), shape)
        const dScores = multiply(dOut, valuesTransposed)
        rowDotProducts(floats(dOut.tensor), dOut.start, out.start, rowDots, headDim)
        scoreGradients(floats(dScores), floats(probabilities), rowDots, shape)

        const results = [
          [multiply(turn(probabilities), dOut), dv],
          [multiply(matrixOf(dScores), keys), dq],
          [multiply(turn(dScores), queries), dk],
        ] as const
        for (const [made, total] of results) {
          copies.scatter(matrixOf(made), total, place)
          made.dispose()
        }
        for (const made of [probabilities, dScores]) made.dispose()
      }
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

const firstVisible = (query: number, window: number): number =>
  window > 0 ? Math.max(0, query - window + 1) : 0

/** Unscaled scores [R*S, S] become probabilities, in place. */
function softmaxRows(scores: Float32Array, logSumExp: Float32Array, shape: AttentionShape): void {
  const { sequence, headDim, window } = shape
  const scale = 1 / Math.sqrt(headDim)
  for (let row = 0; row < logSumExp.length; row++) {
    const start = row * sequence
    const query = row % sequence
    const [first, end] = [start + firstVisible(query, window), start + query + 1]
    let highest = Number.NEGATIVE_INFINITY
    for (let i = first; i < end; i++) if (scores[i]! > highest) highest = scores[i]!
    let total = 0
    for (let i = first; i < end; i++) {
      const e = fastExp((scores[i]! - highest) * scale)
      scores[i] = e
      total += e
    }
    logSumExp[row] = highest * scale + Math.log(total)
    const factor = 1 / total
    for (let i = first; i < end; i++) scores[i]! *= factor
    scores.fill(0, start, first)
    scores.fill(0, end, start + sequence)
  }
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

/** Dot products of equal rows of two matrices that begin at `a` and `b`. */
function rowDotProducts(values: Float32Array, a: number, b: number, dots: Float64Array, width: number): void {
  for (let row = 0; row < dots.length; row++) {
    let dot = 0
    const end = a + (row + 1) * width
    for (let i = a + row * width, j = b + row * width; i < end; i++, j++) dot += values[i]! * values[j]!
    dots[row] = dot
  }
}
