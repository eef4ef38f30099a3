/**
 * A numeric check of the active backend: one forward and backward pass of a toy block against results that were
 * computed in float64, and matrix products large enough to reach a library's blocked code.
 */
import type { Tensor, Variable } from '@tensorflow/tfjs-core'
import { tensor1d, tensor2d, tidy } from '@tensorflow/tfjs-core'
import { causalAttention } from '../ops/attention.ts'
import { crossEntropy } from '../ops/cross-entropy.ts'
import { valueAndGradients } from '../ops/gradients.ts'
import { add, linear, lowRankLinear, matMul } from '../ops/linear.ts'
import { embedding, rmsNorm, rope, swiglu } from '../ops/pointwise.ts'
import { parameter } from '../ops/update.ts'

/** Largest relative error that passes; float32 gives about 1e-6 here, a wrong kernel 1e-2 and more. */
const tolerance = 1e-4

/** 2 sequences of 5 tokens, width 8, 2 query heads that share 1 key-value head, adapters of rank 2. */
const shape = { batch: 2, sequence: 5, heads: 2, keyValueHeads: 1, headDim: 4 }
const weightShapes = {
  table: [11, 8],
  gain: [8],
  query: [8, 8],
  queryA: [8, 2],
  queryB: [2, 8],
  key: [8, 4],
  value: [8, 4],
  gate: [8, 8],
  up: [8, 8],
} as const
type WeightName = keyof typeof weightShapes
const weightNames = Object.keys(weightShapes) as WeightName[]

export const toy = {
  shape,
  weightShapes,
  epsilon: 1e-5,
  scale: 0.5,
  ids: Int32Array.from([1, 5, 2, 9, 3, 10, 0, 4, 4, 7]),
  targets: Int32Array.from([5, 2, 9, 3, -100, 0, 4, 4, 7, -100]),
  /** Weight of each row in the loss. */
  weights: new Float32Array(10).fill(0.125),
  values: Object.fromEntries(
    weightNames.map((name, i) => [
      name,
      wave(
        weightShapes[name].reduce<number>((n, d) => n * d, 1),
        i,
      ),
    ]),
  ) as Record<WeightName, Float32Array>,
  /** cos and sin of position * 100^(-j/2), [5,2] each. */
  cos: wavelengths(Math.cos),
  sin: wavelengths(Math.sin),
}

/**
 * In float64: the loss, then for each weight, in the order of `weightShapes`, the sum of the squares of its gradient.
 * The contract suite recomputes them.
 */
export const toyResults: readonly number[] = [
  3.8244276848322, 1.6781692659511054, 0.315443551097593, 0.001639220312122146, 0.00014691830995220903,
  0.0001738454473919612, 0.042150627973227814, 0.15223446373802269, 0.044961166341258824,
  0.015328960928625436,
]

export async function selfCheck(): Promise<{ passed: boolean; detail: string }> {
  const errors = [...(await toyErrors()), ...(await productErrors())]
  const largest = errors.some(Number.isNaN) ? Number.NaN : Math.max(...errors)
  return { passed: largest <= tolerance, detail: `largest relative error ${largest.toExponential(1)}` }
}

async function toyErrors(): Promise<number[]> {
  const weights = Object.fromEntries(
    weightNames.map((name) => [name, parameter(toy.values[name], weightShapes[name])]),
  ) as Record<WeightName, Variable>
  const all = weightNames.map((name) => weights[name])
  const { value, gradients } = valueAndGradients(() => toyLoss(weights), all)
  const found = [(await value.data())[0]!]
  for (const gradient of gradients) {
    let total = 0
    for (const g of await gradient.data()) total += g * g
    found.push(total)
  }
  for (const tensor of [value, ...gradients, ...all]) tensor.dispose()
  return found.map((x, i) => Math.abs(x / toyResults[i]! - 1))
}

function toyLoss(w: Record<WeightName, Tensor>) {
  return tidy(() => {
    const { sequence, heads, keyValueHeads, headDim } = shape
    const cos = tensor2d(toy.cos, [sequence, headDim / 2])
    const sin = tensor2d(toy.sin, [sequence, headDim / 2])
    const x = embedding(tensor1d(toy.ids, 'int32'), w.table)
    const h = rmsNorm(x, w.gain, toy.epsilon)
    const q = rope(lowRankLinear(h, w.query, w.queryA, w.queryB, toy.scale), cos, sin, {
      sequence,
      heads,
      headDim,
    })
    const k = rope(linear(h, w.key), cos, sin, { sequence, heads: keyValueHeads, headDim })
    const y = add(x, causalAttention(q, k, linear(h, w.value), shape))
    const z = add(y, swiglu(linear(y, w.gate), linear(y, w.up)))
    return crossEntropy(z, w.table, tensor1d(toy.targets, 'int32'), tensor1d(toy.weights)).loss
  })
}

/** Products of [129,257] and [257,130] in all four ways of storing them, against sums in float64. */
async function productErrors(): Promise<number[]> {
  const [m, k, n] = [129, 257, 130]
  const a = wave(m * k, 100)
  const b = wave(k * n, 101)
  const errors: number[] = []
  for (const transposeA of [false, true])
    for (const transposeB of [false, true]) {
      const product = tidy(() => {
        const left = tensor2d(a, transposeA ? [k, m] : [m, k])
        const right = tensor2d(b, transposeB ? [n, k] : [k, n])
        return matMul(left, right, { transposeA, transposeB })
      })
      const found = await product.data()
      product.dispose()
      // Every 97th element: enough to meet every block and its remainders.
      for (let at = 0; at < m * n; at += 97) {
        const [row, column] = [Math.floor(at / n), at % n]
        let exact = 0
        for (let i = 0; i < k; i++) {
          const left = a[transposeA ? i * m + row : row * k + i]!
          exact += left * b[transposeB ? column * k + i : i * n + column]!
        }
        errors.push(Math.abs(found[at]! - exact) / Math.sqrt(k))
      }
    }
  return errors
}

/** Smooth, deterministic numbers in (-0.8, 0.8) without structure that products could cancel. */
function wave(count: number, seed: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => 0.8 * Math.sin(1 + 7.13 * seed + 2.399963 * i))
}

function wavelengths(f: (angle: number) => number): Float32Array {
  const half = shape.headDim / 2
  return Float32Array.from({ length: shape.sequence * half }, (_, i) =>
    f(Math.floor(i / half) * 100 ** (-(i % half) / 2)),
  )
}
