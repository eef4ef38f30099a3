/** Updates of parameters in place, as loops over host memory; formulas: ../kernels.ts. */
import type { Tensor } from '@tensorflow/tfjs-core'
import { matMul, tidy } from '@tensorflow/tfjs-core'
import type { AdamMoments, AdamSettings, UpdateKernels } from '../../../ops/update-kernels.ts'
import type { HostMemory } from './memory.ts'
import { squaresOf } from './sums.ts'

type Four = [Float32Array, Float32Array, Float32Array, Float32Array]

export function hostUpdates(memory: HostMemory): UpdateKernels {
  const { allocate, floats, changed } = memory

  const addTo = (target: Tensor, x: Tensor, factor: number): void => {
    const [to, from] = [floats(target), floats(x)]
    for (let i = 0; i < to.length; i++) to[i]! += factor * from[i]!
    changed(target)
  }

  /** Moves the moments; target = keep * target + the change of each element. One loop, for the sake of its speed. */
  const adam = (target: Tensor, keep: number, change: AdamMoments & AdamSettings): void => {
    const { beta1, beta2, epsilon, step, learningRate, gradientFactor } = change
    const [values, m, v, gradient] = [target, change.m, change.v, change.gradient].map(floats) as Four
    const firstFactor = -learningRate / (1 - beta1 ** step)
    const secondFactor = 1 / Math.sqrt(1 - beta2 ** step)
    const [share1, share2] = [1 - beta1, 1 - beta2]
    for (let i = 0; i < m.length; i++) {
      const g = gradient[i]! * gradientFactor
      const first = beta1 * m[i]! + share1 * g
      const second = beta2 * v[i]! + share2 * g * g
      m[i] = first
      v[i] = second
      values[i] = values[i]! * keep + (firstFactor * first) / (Math.sqrt(second) * secondFactor + epsilon)
    }
    changed(target)
  }

  return {
    upload: (values, shape) => {
      const made = allocate(shape)
      floats(made).set(values)
      return made
    },

    accumulate: addTo,

    compensatedAccumulate: (target, compensation, x, factor) => {
      const [to, lost, from] = [floats(target), floats(compensation), floats(x)]
      for (let i = 0; i < to.length; i++) {
        const y = Math.fround(factor * from[i]! - lost[i]!)
        const before = to[i]!
        to[i] = before + y
        lost[i] = Math.fround(to[i]! - before) - y
      }
      changed(target)
    },

    copy: (target, source) => {
      floats(target).set(floats(source))
      changed(target)
    },

    scale: (target, factor) => {
      const values = floats(target)
      if (factor === 0) values.fill(0)
      else for (let i = 0; i < values.length; i++) values[i]! *= factor
      changed(target)
    },

    sumOfSquares: async (tensors) =>
      tensors.reduce((total, tensor) => total + squaresOf(floats(tensor), 0, tensor.size), 0),

    adamW: (change) => adam(change.parameter, 1 - change.learningRate * change.weightDecay, change),

    adamDelta: (change) => {
      floats(change.delta).fill(0) // what it held may be no number
      adam(change.delta, 1, change)
    },

    lowRankUpdate: (target, left, right, factor) => tidy(() => addTo(target, matMul(left, right), factor)),

    directUpdate: ({ w, a, b, deltaA, deltaB, factor, secondOrder }) =>
      tidy(() => {
        const [devices, m, r] = a.shape as [number, number, number]
        const [rank, n] = [devices * r, b.shape[2]!]
        const [left, right] = [allocate([m, 2 * rank]), allocate([2 * rank, n])]
        const [packed, adapters, deltas] = [floats(left), floats(a), floats(deltaA)]
        for (let k = 0; k < devices; k++)
          for (let row = 0; row < m; row++)
            for (let j = 0; j < r; j++) {
              const from = (k * m + row) * r + j
              const to = row * 2 * rank + k * r + j
              packed[to] = deltas[from]!
              packed[to + rank] = adapters[from]! + (secondOrder ? deltas[from]! : 0)
            }
        floats(right).set(floats(b))
        floats(right).set(floats(deltaB), rank * n)
        addTo(w, matMul(left, right), factor)
      }),

    writeRows: (target, rows, x) => {
      const width = x.shape[1]!
      const [to, from] = [floats(target), floats(x)]
      rows.forEach((row, i) => {
        to.set(from.subarray(i * width, (i + 1) * width), row * width)
      })
      changed(target)
    },
  }
}
