/** Chunked cross-entropy: the backend's matMul for the logits, loops over host memory for the rest. */
import type { Tensor } from '@tensorflow/tfjs-core'
import { slice, tidy } from '@tensorflow/tfjs-core'
import type { FusedKernels } from '../../../ops/kernels.ts'
import { fastExp } from './exp.ts'
import type { HostMemory } from './memory.ts'
import { product, transposed } from './products.ts'

/** Logits held at once, in elements: 16 MiB. */
const chunkElements = 2 ** 22

export function hostCrossEntropy(memory: HostMemory) {
  const { allocate, floats, integers } = memory
  return {
    crossEntropy: ({ x, head, targets, weights }, { wantInputGradient, wantHeadGradient }) => {
      const [rows, width] = x.shape as [number, number]
      const vocabulary = head.shape[0]!
      const rowsPerChunk = Math.max(1, Math.floor(chunkElements / vocabulary))
      const [loss, perToken] = [allocate([]), allocate([rows])]
      const dx = wantInputGradient ? allocate([rows, width]) : undefined
      const dHead = wantHeadGradient ? allocate([vocabulary, width]) : undefined
      if (dHead) floats(dHead).fill(0)

      const headTransposed = transposed(memory, head)
      for (let from = 0; from < rows; from += rowsPerChunk)
        tidy(() => {
          const count = Math.min(rowsPerChunk, rows - from)
          const chunk = slice(x, [from, 0], [count, width])
          const logits = product(memory, chunk, headTransposed)
          const range = [from, from + count] as const
          const target = integers(targets).subarray(...range)
          const weight = floats(weights).subarray(...range)
          const losses = floats(perToken).subarray(...range)
          if (dx || dHead) lossesAndGradients(floats(logits), target, weight, losses)
          else lossesOnly(floats(logits), target, losses)
          if (dx) {
            const part = product(memory, logits, head)
            floats(dx).set(floats(part), from * width)
          }
          if (dHead) {
            const part = product(memory, transposed(memory, logits), chunk)
            const [total, added] = [floats(dHead), floats(part)]
            for (let i = 0; i < total.length; i++) total[i]! += added[i]!
          }
        })

      let total = 0
      const [losses, weight] = [floats(perToken), floats(weights)]
      for (let row = 0; row < rows; row++) total += losses[row]! * weight[row]!
      floats(loss)[0] = total
      return [loss, perToken, ...(dx ? [dx] : []), ...(dHead ? [dHead] : [])]
    },
  } satisfies Partial<FusedKernels<Tensor>>
}

function lossesOnly(logits: Float32Array, targets: Int32Array, losses: Float32Array): void {
  const vocabulary = logits.length / targets.length
  for (let row = 0; row < targets.length; row++) {
    if (targets[row]! < 0) {
      losses[row] = 0
      continue
    }
    const scores = logits.subarray(row * vocabulary, (row + 1) * vocabulary)
    const highest = largest(scores)
    let total = 0
    for (let i = 0; i < vocabulary; i++) total += fastExp(scores[i]! - highest)
    losses[row] = highest + Math.log(total) - scores[targets[row]!]!
  }
}

/** The same, and each row of logits becomes (softmax - one-hot) * weight. */
function lossesAndGradients(
  logits: Float32Array,
  targets: Int32Array,
  weights: Float32Array,
  losses: Float32Array,
): void {
  const vocabulary = logits.length / targets.length
  for (let row = 0; row < targets.length; row++) {
    const scores = logits.subarray(row * vocabulary, (row + 1) * vocabulary)
    const target = targets[row]!
    if (target < 0) {
      losses[row] = 0
      scores.fill(0)
      continue
    }
    const highest = largest(scores)
    const targetScore = scores[target]!
    let total = 0
    for (let i = 0; i < vocabulary; i++) {
      const e = fastExp(scores[i]! - highest)
      scores[i] = e
      total += e
    }
    losses[row] = highest + Math.log(total) - targetScore
    const factor = weights[row]! / total
    for (let i = 0; i < vocabulary; i++) scores[i]! *= factor
    scores[target]! -= weights[row]!
  }
}

function largest(values: Float32Array): number {
  let highest = Number.NEGATIVE_INFINITY
  for (let i = 0; i < values.length; i++) if (values[i]! > highest) highest = values[i]!
  return highest
}
