/** Linear layers, normalisation and elementwise kernels composed of TensorFlow.js ops. Shapes: ../kernels.ts. */

import type { Tensor } from '@tensorflow/tfjs-core'
import {
  add,
  concat,
  gather,
  matMul,
  mean,
  mul,
  neg,
  reshape,
  rsqrt,
  scatterND,
  sigmoid,
  slice,
  square,
  sub,
  sum as sumOf,
} from '@tensorflow/tfjs-core'
import type { FusedKernels } from '../kernels.ts'
import { composedDropout } from './dropout.ts'

type Composed = FusedKernels<Tensor>

export const composedLinear = {
  matMul: ({ a, b }, { transposeA, transposeB, factor }) => {
    const product = matMul(a, b, transposeA, transposeB)
    return factor === 1 ? product : mul(product, factor)
  },

  linear: ({ x, w, bias }) => withBias(matMul(x, w), bias),

  lowRankLinear: (inputs, { scale, dropout }) => {
    const { x } = inputs
    return lowRankSum(inputs, scale, dropout ? composedDropout.dropout({ x }, dropout) : x)
  },

  mutedLinear: ({ x, w, bias }) => withBias(matMul(x, w), bias),

  linearInputGradient: ({ dy, w, dt, a, sum }, { dropout } = {}) => {
    const dx = matMul(dy, w, false, true)
    if (!dt || !a) return withSum(dx, sum)
    const branch = matMul(dt, a, false, true)
    return withSum(add(dx, dropout ? composedDropout.dropout({ x: branch }, dropout) : branch), sum)
  },

  adapterGradients: ({ x, dy, a, b }, { scale }) => {
    const devices = a.shape[0]!
    const perDevice = (t: Tensor) => reshape(t, [devices, t.shape[0]! / devices, t.shape[1]!])
    const scaled = (t: Tensor) => (scale === 1 ? t : mul(t, scale))
    const [xs, dys] = [perDevice(x), perDevice(dy)]
    const u = scaled(matMul(dys, b, false, true))
    const db = matMul(scaled(matMul(xs, a)), dys, true, false)
    return [matMul(xs, u, true, false), db, reshape(u, [x.shape[0]!, a.shape[2]!])]
  },

  columnSum: ({ x }) => sumOf(x, 0),
  columnDot: ({ a, b }) => sumOf(mul(a, b), 0),
  add: ({ a, b }) => add(a, b),
  scaleByScalar: ({ x, factor }) => mul(x, factor),
  scaleColumns: ({ y, s }) => mul(y, s),
  hadamardWeight: ({ w0, a, b }) => mul(w0, add(matMul(a, b), 1)),
} satisfies Partial<Composed>

export const composedPointwise = {
  rmsNorm: ({ x, gain }, { epsilon }) => {
    const inverseRms = rsqrt(add(mean(square(x), 1, true), epsilon))
    return [mul(mul(x, inverseRms), gain), reshape(inverseRms, [x.shape[0]!])]
  },

  rmsNormInputGradient: ({ dy, x, gain, inverseRms, sum }) => {
    const inverse = reshape(inverseRms, [x.shape[0]!, 1])
    const scaled = mul(dy, gain)
    const projection = mul(mean(mul(scaled, x), 1, true), square(inverse))
    return withSum(mul(sub(scaled, mul(x, projection)), inverse), sum)
  },

  rmsNormGainGradient: ({ dy, x, inverseRms }) =>
    sumOf(mul(mul(dy, x), reshape(inverseRms, [x.shape[0]!, 1])), 0),

  rope: ({ x, cos, sin }, { sequence, heads, headDim, inverse }) => {
    const half = headDim / 2
    const batch = x.shape[0]! / sequence
    const table = (t: Tensor) => reshape(slice(t, [0, 0], [sequence, half]), [1, sequence, 1, half])
    const perHead = reshape(x, [batch, sequence, heads, headDim])
    const part = (from: number) => slice(perHead, [0, 0, 0, from], [batch, sequence, heads, half])
    const [c, s] = [table(cos), inverse ? neg(table(sin)) : table(sin)]
    const [first, second] = [part(0), part(half)]
    const rotated = [sub(mul(first, c), mul(second, s)), add(mul(second, c), mul(first, s))]
    return reshape(concat(rotated, 3), x.shape)
  },

  swiglu: ({ gate, up }) => mul(mul(gate, sigmoid(gate)), up),

  swigluGradient: ({ dy, gate, up }) => {
    const s = sigmoid(gate)
    const silu = mul(gate, s)
    // silu' = s + silu (1 - s)
    const slope = add(s, mul(silu, sub(1, s)))
    return [mul(mul(dy, up), slope), mul(dy, silu)]
  },

  embedding: ({ ids, table }) => gather(table, ids),

  embeddingGradient: ({ dy, ids }, { vocabulary }) =>
    scatterND(reshape(ids, [ids.size, 1]), dy, [vocabulary, dy.shape[1]!]),
} satisfies Partial<Composed>

/** x w + scale (seen a) b (+ bias), `seen` being x or what dropout left of it. */
export function lowRankSum(
  { x, w, a, b, bias }: Parameters<Composed['lowRankLinear']>[0],
  scale: number,
  seen: Tensor,
): Tensor {
  const t = matMul(seen, a)
  return withBias(add(matMul(x, w), matMul(scale === 1 ? t : mul(t, scale), b)), bias)
}

function withSum(dx: Tensor, sum: Tensor | undefined): Tensor {
  return sum ? add(dx, sum) : dx
}

function withBias(y: Tensor, bias: Tensor | undefined): Tensor {
  return bias ? add(y, bias) : y
}
