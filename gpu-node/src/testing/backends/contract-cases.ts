/**
 * The cases of the contract suite: each a differentiable op on odd shapes beside its float64 oracle.
 */
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import { tensor1d, tensor2d } from '@tensorflow/tfjs-core'
import { causalAttention } from '../../ops/attention.ts'
import { crossEntropy } from '../../ops/cross-entropy.ts'
import { dropout } from '../../ops/dropout.ts'
import { add, detach, linear, lowRankLinear, matMul, mutedLinear } from '../../ops/linear.ts'
import { moraMap } from '../../ops/mora.ts'
import { embedding, hadamardWeight, rmsNorm, rope, scaleColumns, swiglu } from '../../ops/pointwise.ts'
import { Random } from '../../random.ts'
import * as oracle from './float64-oracle.ts'

export interface OpCase {
  name: string
  /** Shapes of the differentiable inputs, filled with seeded normal numbers. */
  inputs: Record<string, readonly number[]>
  run(inputs: Record<string, Tensor>): Tensor
  oracle(inputs: Record<string, Float64Array>): Float64Array
  /**
   * Where a gradient is by definition not the derivative of the output: what it is the derivative of, by input.
   */
  shadows?: Record<string, (inputs: Record<string, Float64Array>) => Float64Array>
}

/** Normal numbers that float32 represents, so that both sides start from the same. */
export function normalValues(count: number, seed: number): Float32Array {
  const random = new Random(seed)
  return Float32Array.from({ length: count }, () => random.normal())
}

const matMulCases: OpCase[] = [false, true].flatMap((transposeA) =>
  [false, true].flatMap((transposeB) =>
    [1, 3].map((slices) => ({
      name: `matMul, A ${transposeA ? 'transposed' : 'as it is'}, B ${transposeB ? 'transposed' : 'as it is'}, ${slices} slices`,
      inputs: {
        a: [slices, ...(transposeA ? [5, 4] : [4, 5])],
        b: [slices, ...(transposeB ? [7, 5] : [5, 7])],
      },
      run: ({ a, b }) => matMul(a!, b!, { transposeA, transposeB, factor: 0.5 }),
      oracle: ({ a, b }) =>
        joined(slices, (s) =>
          oracle
            .product(part(a!, s, slices), part(b!, s, slices), [4, 5, 7], { transposeA, transposeB })
            .map((x) => 0.5 * x),
        ),
    })),
  ),
)

const linearShapes = [
  { rows: 1, m: 3, n: 5, r: 1 },
  { rows: 7, m: 5, n: 3, r: 3 },
  { rows: 19, m: 17, n: 33, r: 2 },
]

const linearCases: OpCase[] = linearShapes.flatMap(({ rows, m, n, r }) => [
  {
    name: `linear with bias, ${rows} rows, ${m} to ${n}`,
    inputs: { x: [rows, m], w: [m, n], bias: [n] },
    run: ({ x, w, bias }) => linear(x!, w!, bias),
    oracle: ({ x, w, bias }) => oracle.withBias(oracle.product(x!, w!, [rows, m, n]), bias!),
  },
  {
    name: `lowRankLinear with bias, ${rows} rows, ${m} to ${n}, rank ${r}`,
    inputs: { x: [rows, m], w: [m, n], a: [m, r], b: [r, n], bias: [n] },
    run: ({ x, w, a, b, bias }) => lowRankLinear(x!, w!, a!, b!, 0.75, bias),
    oracle: ({ x, w, a, b, bias }) => {
      const adapted = oracle.product(oracle.product(x!, a!, [rows, m, r]), b!, [rows, r, n])
      return oracle.withBias(oracle.plus(oracle.product(x!, w!, [rows, m, n]), adapted, 0.75), bias!)
    },
  },
])

const mutedCases: OpCase[] = [
  { devices: 1, rows: 3, m: 4, n: 5, r: 2 },
  { devices: 3, rows: 6, m: 6, n: 7, r: 2 },
  { devices: 4, rows: 4, m: 5, n: 4, r: 1 },
].map(({ devices, rows, m, n, r }) => {
  const adapters = ({ x, a, b }: Record<string, Float64Array>) =>
    joined(devices, (k) => {
      const perDevice = rows / devices
      const t = oracle.product(part(x!, k, devices), part(a!, k, devices), [perDevice, m, r])
      return oracle.product(t, part(b!, k, devices), [perDevice, r, n]).map((y) => 2 * y)
    })
  return {
    name: `mutedLinear, ${devices} devices, ${rows} rows, ${m} to ${n}, rank ${r}: the adapters get gradients, the output and x do not see them`,
    inputs: { x: [rows, m], w: [m, n], a: [devices, m, r], b: [devices, r, n], bias: [n] },
    run: ({ x, w, a, b, bias }) => mutedLinear(x!, detach(w!), a!, b!, 2, bias),
    oracle: ({ x, w, bias }) => oracle.withBias(oracle.product(x!, w!, [rows, m, n]), bias!),
    shadows: { a: adapters, b: adapters, w: () => new Float64Array(rows * n) },
  }
})

const dropoutCases: OpCase[] = [
  { rows: 1, width: 1, examples: 1 },
  { rows: 6, width: 7, examples: 3 },
  { rows: 130, width: 129, examples: 1 },
].map(({ rows, width, examples }) => {
  const random = new Random(96)
  const keys = Int32Array.from({ length: 2 * examples }, () => random.uint32() | 0)
  const mask = oracle.dropoutMask(keys, (rows * width) / examples, 0.4)
  return {
    name: `dropout, ${rows} x ${width} in ${examples} examples`,
    inputs: { x: [rows, width] },
    run: ({ x }) => dropout(x as Tensor2D, { keys, threshold: 0.4 * 2 ** 32, factor: 1.5 }),
    oracle: ({ x }) => x!.map((value, i) => 1.5 * mask[i]! * value),
  }
})

/** x itself goes through W, what dropout leaves of it through the adapter; two layers of one input. */
const droppingAdapterCases: OpCase[] = [
  { rows: 2, m: 3, n: 5, r: 1, examples: 2 },
  { rows: 130, m: 9, n: 7, r: 3, examples: 5 },
].map(({ rows, m, n, r, examples }) => {
  const random = new Random(97)
  const keys = Int32Array.from({ length: 2 * examples }, () => random.uint32() | 0)
  const mask = oracle.dropoutMask(keys, (rows * m) / examples, 0.3)
  const dropout = { keys, threshold: Math.floor(0.3 * 2 ** 32), factor: 1 / 0.7 }
  return {
    name: `lowRankLinear with dropout beside a layer of the same input, ${rows} rows in ${examples} examples, ${m} to ${n}`,
    inputs: { x: [rows, m], w: [m, n], a: [m, r], b: [r, n], bias: [n] },
    run: ({ x, w, a, b, bias }) => add(linear(x!, w!), lowRankLinear(x!, w!, a!, b!, 0.75, bias, dropout)),
    oracle: ({ x, w, a, b, bias }) => {
      const seen = x!.map((value, i) => (mask[i]! * value) / 0.7)
      const adapted = oracle.product(oracle.product(seen, a!, [rows, m, r]), b!, [rows, r, n])
      const base = oracle.product(x!, w!, [rows, m, n]).map((y) => 2 * y)
      return oracle.withBias(oracle.plus(base, adapted, 0.75), bias!)
    },
  }
})

/** h beside m and n: dividing both, neither, larger than both (one block, wrapped), with columns to spare and missing. */
const moraCases: OpCase[] = [
  { rows: 1, m: 8, n: 8, h: 4 },
  { rows: 7, m: 7, n: 5, h: 4 },
  { rows: 3, m: 5, n: 13, h: 4 },
  { rows: 4, m: 13, n: 3, h: 2 },
  { rows: 2, m: 3, n: 2, h: 8 },
  { rows: 131, m: 9, n: 10, h: 6 },
].flatMap(({ rows, m, n, h }) =>
  [false, true].map((rotates) => {
    const blocks = Math.ceil(m / h)
    const [cos, sin] = [normalValues((blocks * h) / 2, 94), normalValues((blocks * h) / 2, 95)]
    const table = (values: Float32Array) => tensor2d(values, [blocks, h / 2])
    return {
      name: `moraMap on a layer of the same input, ${rotates ? 'rotation' : 'sharing'}, ${rows} rows, ${m} to ${n}, size ${h}`,
      inputs: { x: [rows, m], w: [m, n], square: [h, h] },
      run: ({ x, w, square }) =>
        moraMap(x!, square!, {
          columns: n,
          sum: linear(x!, w!),
          tables: rotates ? { cos: table(cos), sin: table(sin) } : undefined,
        }),
      oracle: ({ x, w, square }) =>
        oracle.plus(
          oracle.product(x!, w!, [rows, m, n]),
          oracle.mora(x!, square!, [rows, m, n, h], rotates ? { cos, sin } : undefined),
        ),
    }
  }),
)

/** What q, k and v, or gate and up, do: the gradients of several layers add up in their common input. */
const sharedInputCase: OpCase = {
  name: 'the gradients of layers with one input, an adapter and a residual add up',
  inputs: { x: [5, 4], gain: [4], w: [4, 4], a: [4, 2], b: [2, 4] },
  run: ({ x, gain, w, a, b }) => {
    const h = rmsNorm(x!, gain!, 1e-5)
    return add(add(x!, linear(h, w!)), add(lowRankLinear(h, w!, a!, b!, 0.5), linear(x!, w!)))
  },
  oracle: ({ x, gain, w, a, b }) => {
    const h = oracle.rmsNorm(x!, gain!, 1e-5)
    const adapted = oracle.product(oracle.product(h, a!, [5, 4, 2]), b!, [5, 2, 4])
    const fromH = oracle.product(h, w!, [5, 4, 4]).map((y) => 2 * y)
    return oracle.plus(oracle.plus(x!, oracle.plus(fromH, adapted, 0.5)), oracle.product(x!, w!, [5, 4, 4]))
  },
}

const attentionShapes = [
  { batch: 1, sequence: 1, heads: 1, keyValueHeads: 1, headDim: 2 },
  { batch: 2, sequence: 7, heads: 4, keyValueHeads: 2, headDim: 6 },
  { batch: 1, sequence: 9, heads: 3, keyValueHeads: 1, headDim: 4, window: 3 },
  { batch: 1, sequence: 5, heads: 2, keyValueHeads: 2, headDim: 4, window: 8 },
  { batch: 1, sequence: 67, heads: 2, keyValueHeads: 1, headDim: 2 },
  { batch: 1, sequence: 41, heads: 1, keyValueHeads: 1, headDim: 2, window: 17 },
]

const attentionCases: OpCase[] = attentionShapes.map((shape) => {
  const { batch, sequence, heads, keyValueHeads, headDim, window } = shape
  const rows = batch * sequence
  return {
    name: `causalAttention, ${batch} x ${sequence} tokens, ${heads} heads over ${keyValueHeads}, window ${window ?? 'none'}`,
    inputs: {
      q: [rows, heads * headDim],
      k: [rows, keyValueHeads * headDim],
      v: [rows, keyValueHeads * headDim],
    },
    run: ({ q, k, v }) => causalAttention(q!, k!, v!, shape),
    oracle: ({ q, k, v }) => oracle.attention(q!, k!, v!, shape),
  }
})

const rowCases: OpCase[] = [
  ...[1, 7].map(
    (rows) =>
      ({
        name: `rmsNorm, ${rows} rows`,
        inputs: { x: [rows, 5], gain: [5] },
        run: ({ x, gain }) => rmsNorm(x!, gain!, 1e-5),
        oracle: ({ x, gain }) => oracle.rmsNorm(x!, gain!, 1e-5),
      }) satisfies OpCase,
  ),
  ...[1, 5].map((sequence) => {
    const shape = { sequence, heads: 3, headDim: 4 }
    const cos = normalValues(2 * 6, 91)
    const sin = normalValues(2 * 6, 92)
    const table = (values: Float32Array) => tensor2d(values, [6, 2])
    return {
      name: `rope, sequences of ${sequence}`,
      inputs: { x: [2 * sequence, 12] },
      run: ({ x }) => rope(x!, table(cos), table(sin), shape),
      oracle: ({ x }) => oracle.rope(x!, cos, sin, shape),
    } satisfies OpCase
  }),
  {
    name: 'swiglu',
    inputs: { gate: [3, 7], up: [3, 7] },
    run: ({ gate, up }) => swiglu(gate!, up!),
    oracle: ({ gate, up }) => oracle.swiglu(gate!, up!),
  },
  {
    name: 'add',
    inputs: { a: [3, 5], b: [3, 5] },
    run: ({ a, b }) => add(a!, b!),
    oracle: ({ a, b }) => oracle.plus(a!, b!),
  },
  {
    name: 'embedding, repeated ids add up',
    inputs: { table: [6, 3] },
    run: ({ table }) => embedding(tensor1d([5, 0, 5, 2, 5], 'int32'), table!),
    oracle: ({ table }) => oracle.embedding([5, 0, 5, 2, 5], table!, 3),
  },
  {
    name: 'scaleColumns',
    inputs: { y: [4, 5], s: [5] },
    run: ({ y, s }) => scaleColumns(y!, s!),
    oracle: ({ y, s }) => y!.map((value, i) => value * s![i % 5]!),
  },
  {
    name: 'hadamardWeight',
    inputs: { w0: [4, 5], a: [4, 2], b: [2, 5] },
    run: ({ w0, a, b }) => hadamardWeight(w0!, a!, b!),
    oracle: ({ w0, a, b }) => oracle.product(a!, b!, [4, 2, 5]).map((delta, i) => w0![i]! * (1 + delta)),
  },
]

const lossCases: OpCase[] = [
  { what: 'some ignored', targets: [3, -100, 0, 6, -100], vocabulary: 7 },
  { what: 'all ignored', targets: [-100, -100], vocabulary: 7 },
  { what: 'one token', targets: [1], vocabulary: 2 },
  { what: 'a large vocabulary', targets: [4098, 0, 17], vocabulary: 4099 },
].map(({ what, targets, vocabulary }) => {
  const rows = targets.length
  const weights = normalValues(rows, 93)
  return {
    name: `crossEntropy, ${what}`,
    inputs: { x: [rows, 3], head: [vocabulary, 3] },
    run: ({ x, head }) => crossEntropy(x!, head!, tensor1d(targets, 'int32'), tensor1d(weights)).loss,
    oracle: ({ x, head }) => Float64Array.of(oracle.dot(oracle.perTokenLoss(x!, head!, targets, 3), weights)),
  }
})

export const opCases: readonly OpCase[] = [
  ...matMulCases,
  ...linearCases,
  ...mutedCases,
  ...moraCases,
  ...dropoutCases,
  ...droppingAdapterCases,
  sharedInputCase,
  ...attentionCases,
  ...rowCases,
  ...lossCases,
]

function part(values: Float64Array, index: number, parts: number): Float64Array {
  const size = values.length / parts
  return values.subarray(index * size, (index + 1) * size)
}

function joined(parts: number, make: (index: number) => Float64Array): Float64Array {
  return Float64Array.from(Array.from({ length: parts }, (_, i) => [...make(i)]).flat())
}
