/** Chunked cross-entropy composed of TensorFlow.js ops, see `crossEntropy` in ../kernels.ts. */

import type { Tensor, Tensor1D } from '@tensorflow/tfjs-core'
import {
  add,
  cast,
  concat,
  exp,
  greaterEqual,
  keep,
  logSumExp,
  matMul,
  maximum,
  mul,
  oneHot,
  reshape,
  scalar,
  slice,
  sub,
  sum,
  tidy,
  zeros,
} from '@tensorflow/tfjs-core'
import type { FusedKernels } from '../kernels.ts'

/** Logits held at once, in elements: 16 MiB, of which about four copies live at the same time. */
const chunkElements = 2 ** 22

export const composedCrossEntropy = {
  crossEntropy: ({ x, head, targets, weights }, { wantInputGradient, wantHeadGradient }) => {
    const [rows, width] = x.shape as [number, number]
    const vocabulary = head.shape[0]!
    const rowsPerChunk = Math.max(1, Math.floor(chunkElements / vocabulary))
    const losses: Tensor[] = []
    const inputGradients: Tensor[] = []
    let dHead = keep(zeros(wantHeadGradient ? [vocabulary, width] : [1]))

    for (let from = 0; from < rows; from += rowsPerChunk) {
      const count = Math.min(rowsPerChunk, rows - from)
      const [loss, dx, partialHead] = tidy(() => {
        const chunk = slice(x, [from, 0], [count, width])
        const target = slice(targets, from, count) as Tensor1D
        const labelled = cast(greaterEqual(target, 0), 'float32')
        const logits = matMul(chunk, head, false, true)
        const labels = oneHot(maximum(target, scalar(0, 'int32')) as Tensor1D, vocabulary, 1, 0, 'float32')
        const logNorm = logSumExp(logits, 1, true)
        const picked = sum(mul(logits, labels), 1)
        const perToken = mul(sub(reshape(logNorm, [count]), picked), labelled)
        if (!wantInputGradient && !wantHeadGradient) return [perToken]
        const weight = reshape(mul(slice(weights, from, count), labelled), [count, 1])
        const dLogits = mul(sub(exp(sub(logits, logNorm)), labels), weight)
        return [
          perToken,
          wantInputGradient ? matMul(dLogits, head) : undefined,
          wantHeadGradient ? add(dHead, matMul(dLogits, chunk, true, false)) : undefined,
        ].filter((t) => t !== undefined)
      }) as [Tensor, ...Tensor[]]
      losses.push(loss)
      if (dx) inputGradients.push(dx)
      if (partialHead) {
        dHead.dispose()
        dHead = keep(partialHead)
      }
    }

    const perToken = concat(losses)
    const loss = sum(mul(perToken, weights))
    const outputs: [Tensor, Tensor, ...Tensor[]] = [loss, perToken]
    if (wantInputGradient) outputs.push(concat(inputGradients))
    if (wantHeadGradient) outputs.push(dHead)
    else dHead.dispose()
    return outputs
  },
} satisfies Partial<FusedKernels<Tensor>>
