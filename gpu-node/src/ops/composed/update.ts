/** Updates of parameters by assigning new tensors, for backends whose memory cannot be written from here. */

import type { Tensor, Variable } from '@tensorflow/tfjs-core'
import {
  add,
  concat,
  div,
  gather,
  matMul,
  mul,
  reshape,
  sqrt,
  square,
  stack,
  sub,
  sum,
  tensor,
  tensor1d,
  tidy,
  transpose,
  zerosLike,
} from '@tensorflow/tfjs-core'
import type { AdamMoments, AdamSettings, UpdateKernels } from '../update-kernels.ts'

export const composedUpdateKernels: UpdateKernels = {
  // The cpu backend keeps the array that it is given, hence the copy.
  upload: (values, shape) => tensor(values.slice(), shape, 'float32'),

  accumulate: (target, x, factor) => assign(target, () => add(target, factor === 1 ? x : mul(x, factor))),

  compensatedAccumulate: (target, compensation, x, factor) => {
    tidy(() => {
      const y = sub(mul(x, factor), compensation)
      const t = add(target, y)
      compensation.assign(sub(sub(t, target), y))
      target.assign(t)
    })
  },

  copy: (target, source) => assign(target, () => reshape(mul(source, 1), target.shape)),

  scale: (target, factor) => assign(target, () => (factor === 0 ? zerosLike(target) : mul(target, factor))),

  sumOfSquares: async (tensors) => {
    // Not addN: a GPU binds only a few buffers at once, and webgpu's addN takes no heed of it.
    const sums = tidy(() => sum(stack(tensors.map((t) => sum(square(t))))))
    const [value] = await sums.data()
    sums.dispose()
    return value!
  },

  adamW: (change) => {
    const { parameter, learningRate, weightDecay } = change
    const delta = moveMoments(change)
    assign(parameter, () => add(mul(parameter, 1 - learningRate * weightDecay), delta))
    delta.dispose()
  },

  adamDelta: (change) => {
    const delta = moveMoments(change)
    assign(change.delta, () => delta)
    delta.dispose()
  },

  lowRankUpdate: (target, left, right, factor) =>
    assign(target, () => add(target, matMul(left, factor === 1 ? right : mul(right, factor)))),

  directUpdate: ({ w, a, b, deltaA, deltaB, factor, secondOrder }) =>
    assign(w, () => {
      const [devices, m, r] = a.shape as [number, number, number]
      const columns = (t: Tensor) => reshape(transpose(t, [1, 0, 2]), [m, devices * r])
      const rows = (t: Tensor) => reshape(t, [devices * r, b.shape[2]!])
      const left = concat([columns(deltaA), columns(secondOrder ? add(a, deltaA) : a)], 1)
      const right = concat([rows(b), rows(deltaB)], 0)
      return add(w, mul(matMul(left, right), factor))
    }),

  writeRows: (target, rows, x) =>
    assign(target, () => {
      const width = x.shape[1]!
      const count = target.size / width
      const source = new Int32Array(count).fill(-1)
      rows.forEach((row, i) => {
        source[row] = i
      })
      // Every row of the target comes from itself or, behind the target's rows, from x.
      const pick = tensor1d(
        source.map((i, row) => (i < 0 ? row : count + i)),
        'int32',
      )
      const candidates = concat([reshape(target, [count, width]), x], 0)
      return reshape(gather(candidates, pick), target.shape)
    }),
}

/** Moves m and v by the gradient and returns -learningRate * m̂ / (sqrt(v̂) + epsilon), which the caller disposes of. */
function moveMoments(change: AdamMoments & AdamSettings): Tensor {
  const { m, v, gradient, gradientFactor, learningRate, beta1, beta2, epsilon, step } = change
  const g = tidy(() => mul(gradient, gradientFactor))
  assign(m, () => add(mul(m, beta1), mul(g, 1 - beta1)))
  assign(v, () => add(mul(v, beta2), mul(square(g), 1 - beta2)))
  g.dispose()
  return tidy(() => {
    const denominator = add(mul(sqrt(v), 1 / Math.sqrt(1 - beta2 ** step)), epsilon)
    return mul(div(m, denominator), -learningRate / (1 - beta1 ** step))
  })
}

function assign(target: Variable, next: () => Tensor): void {
  tidy(() => target.assign(next()))
}
