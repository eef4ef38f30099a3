/** Products with bfloat16 operands on every backend: the rounding itself, and which operands are rounded. */
import type { Tensor } from '@tensorflow/tfjs-core'
import { memory, tensor, tensor1d } from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, test } from 'vitest'
import { contractBackends } from '../testing/backends/contract-backends.ts'
import { normalValues } from '../testing/backends/contract-cases.ts'
import { expectClose } from '../testing/backends/expect-close.ts'
import { dropoutMask, product, withBias } from '../testing/backends/float64-oracle.ts'
import { causalAttention } from './attention.ts'
import { roundBfloat16 } from './bfloat16.ts'
import { type ComputeDtype, computingIn, precision } from './compute-dtype.ts'
import { crossEntropy } from './cross-entropy.ts'
import { record, walkBack } from './gradients.ts'
import { linear, lowRankLinear, matMul, mutedLinear } from './linear.ts'
import { moraMap } from './mora.ts'
import { hadamardWeight } from './pointwise.ts'

/** The nearest number of 8 significant bits above the grid of 2⁻¹³³, ties to even, from the definition in float64. */
function nearest(x: number): number {
  if (!Number.isFinite(x) || x === 0) return x
  let exponent = Math.max(-126, Math.floor(Math.log2(Math.abs(x))) - 1)
  while (2 ** (exponent + 1) <= Math.abs(x)) exponent++
  const steps = x / 2 ** (exponent - 7) // exact: a power of two
  const below = Math.floor(steps)
  const rest = steps - below
  const up = rest > 0.5 || (rest === 0.5 && below % 2 !== 0)
  const rounded = (up ? below + 1 : below) * 2 ** (exponent - 7)
  return Math.abs(rounded) >= 2 ** 128 ? Math.sign(x) * Number.POSITIVE_INFINITY : rounded
}

const r = (values: ArrayLike<number>): Float64Array => Float64Array.from(values, nearest)

test('a scope ends with its function, also where that throws', () => {
  const narrow = { operands: 'bfloat16', products: 'TF32' } as const
  expect(computingIn({ products: 'TF32' }, () => computingIn({ operands: 'bfloat16' }, precision))).toEqual(
    narrow,
  )
  expect(() =>
    computingIn(narrow, () => {
      throw new Error('stop')
    }),
  ).toThrow('stop')
  expect(precision()).toEqual({ operands: 'float32', products: 'float32' })
})

describe.each(await contractBackends())('%s', (_, { backend, missing }) => {
  describe.skipIf(missing)('bfloat16', () => {
    beforeAll(async () => {
      await backend.start({ threads: 2 })
    })

    // A GPU may replace subnormal numbers by zero.
    const keepsSubnormals = backend.name !== 'webgpu'

    test(`the nearest bfloat16 of every upper half of a float32, at and beside the ties${keepsSubnormals ? '' : ', subnormal ones left out'}`, async () => {
      const lower = [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff]
      const bits = Uint32Array.from({ length: 0x10000 * lower.length }, (_, i) => {
        return Math.floor(i / lower.length) * 0x10000 + lower[i % lower.length]!
      })
      const all = new Float32Array(bits.buffer)
      const values = keepsSubnormals ? all : all.filter((x) => !(Math.abs(x) < 2 ** -126))
      const x = tensor(values)
      const rounded = roundBfloat16(x)
      const found = await rounded.data()
      const wrong: string[] = []
      for (let i = 0; i < values.length; i++) {
        const exact = nearest(values[i]!)
        // NaN is NaN; zeros of either sign are equal.
        if (!(found[i] === exact || (Number.isNaN(found[i]) && Number.isNaN(exact))))
          wrong.push(`${values[i]}: ${found[i]}, not ${exact}`)
      }
      expect(wrong.slice(0, 5)).toEqual([])
      for (const made of [x, rounded]) made.dispose()
    })

    test.each(exactCases)(
      '%s: operands and incoming gradient rounded, then products in float32, where they are emulated bit for bit',
      async (_, { shapes, output, run }) => {
        const raw = shapes.map((shape, i) => normalValues(sizeOf(shape), i + 1))
        const seed = normalValues(sizeOf(output), 77)
        const rounded = [...raw, seed].map((values) => Float32Array.from(r(values)))
        const found = await outputAndGradients('bfloat16', shapes, raw, run, seed)
        const expected = await outputAndGradients('float32', shapes, rounded, run, rounded.at(-1)!)
        // Products of bfloat16 operands may be added up in another order than those of float32.
        if (backend.name === 'cuda')
          for (const [i, values] of expected.entries()) expectClose(found[i]!, values, `result ${i}`)
        else expect(found).toEqual(expected)
        const plain = await outputAndGradients('float32', shapes, raw, run, seed)
        for (const [i, values] of found.entries()) expect(values, `${i}`).not.toEqual(plain[i])
      },
    )

    test.each(adapterShapes)(
      'lowRankLinear %o: X A and dY Bᵀ are rounded as well, biases are not',
      async ({ rows, m, n, rank }) => {
        const scale = 0.75
        const shapes = [[rows, m], [m, n], [m, rank], [rank, n], [n]]
        const [x, w, a, b, bias] = shapes.map((shape, i) => normalValues(sizeOf(shape), i + 1))
        const dy = normalValues(rows * n, 77)
        const found = await outputAndGradients(
          'bfloat16',
          shapes,
          [x!, w!, a!, b!, bias!],
          ([x, w, a, b, bias]) => lowRankLinear(x!, w!, a!, b!, scale, bias),
          dy,
        )
        const [X, W, A, B, G] = [x!, w!, a!, b!, dy].map(r)
        const t = r(product(X!, A!, [rows, m, rank]))
        const branch = product(t, B!, [rows, rank, n])
        const u = r(product(G!, B!, [rows, n, rank], { transposeB: true }).map((value) => value * scale))
        const expected = [
          withBias(
            product(X!, W!, [rows, m, n]).map((value, i) => value + scale * branch[i]!),
            bias!,
          ),
          product(G!, W!, [rows, n, m], { transposeB: true }).map(
            (value, i) => value + product(u, A!, [rows, rank, m], { transposeB: true })[i]!,
          ),
          product(X!, G!, [m, rows, n], { transposeA: true }),
          product(X!, u, [m, rows, rank], { transposeA: true }),
          product(t, G!, [rank, rows, n], { transposeA: true }).map((value) => value * scale),
          Float64Array.from({ length: n }, (_, j) =>
            dy.filter((_, i) => i % n === j).reduce((p, q) => p + q, 0),
          ),
        ]
        // A value beside a tie may be rounded the other way than in float64: by one part in 256, in one term of a sum.
        for (const [i, values] of expected.entries()) expectClose(found[i]!, values, `result ${i}`)
      },
    )

    test('lowRankLinear with dropout: what dropout left of x is rounded, and dropout follows the rounded product', async () => {
      const [rows, m, n, rank] = [12, 6, 5, 2]
      const shapes = [
        [rows, m],
        [m, n],
        [m, rank],
        [rank, n],
      ]
      const values = shapes.map((shape, i) => normalValues(sizeOf(shape), i + 1))
      const dy = normalValues(rows * n, 77)
      const keys = Int32Array.of(5, 6, 7, 8)
      const dropout = { keys, threshold: Math.floor(0.3 * 2 ** 32), factor: 1 / 0.7 }
      const run = ([x, w, a, b]: Tensor[]) => lowRankLinear(x!, w!, a!, b!, 0.5, undefined, dropout)
      const [y, dx, , da, db] = await outputAndGradients('bfloat16', shapes, values, run, dy)
      const mask = dropoutMask(keys, (rows * m) / 2, 0.3).map((kept) => kept / 0.7)
      const seen = r(values[0]!.map((value, i) => Math.fround(value * mask[i]!)))
      const [X, W, A, B, G] = [...values, dy].map(r)
      const t = r(product(seen, A!, [rows, m, rank]))
      const u = r(product(G!, B!, [rows, n, rank], { transposeB: true }).map((value) => value * 0.5))
      const branch = product(t, B!, [rows, rank, n])
      const base = product(X!, W!, [rows, m, n])
      expectClose(
        y!,
        base.map((value, i) => value + 0.5 * branch[i]!),
        'output',
      )
      const through = product(u, A!, [rows, rank, m], { transposeB: true })
      const direct = product(G!, W!, [rows, n, m], { transposeB: true })
      expectClose(
        dx!,
        direct.map((value, i) => value + mask[i]! * through[i]!),
        'gradient of x',
      )
      expectClose(da!, product(seen, u, [m, rows, rank], { transposeA: true }), 'gradient of A')
      const exactB = product(t, G!, [rank, rows, n], { transposeA: true }).map((value) => value * 0.5)
      expectClose(db!, exactB, 'gradient of B')
    })

    test('mutedLinear: the adapters’ gradients per device follow the same rule', async () => {
      const [devices, each, m, n, rank, scale] = [2, 5, 6, 7, 3, 2]
      const rows = devices * each
      const shapes = [
        [rows, m],
        [devices, m, rank],
        [devices, rank, n],
      ]
      const [x, a, b] = shapes.map((shape, i) => normalValues(sizeOf(shape), i + 1))
      const w = normalValues(m * n, 9)
      const dy = normalValues(rows * n, 77)
      const [y, dx, da, db] = await outputAndGradients(
        'bfloat16',
        shapes,
        [x!, a!, b!],
        ([x, a, b]) => mutedLinear(x!, tensor(w, [m, n]), a!, b!, scale),
        dy,
      )
      expectClose(y!, product(r(x!), r(w), [rows, m, n]), 'output')
      expectClose(dx!, product(r(dy), r(w), [rows, n, m], { transposeB: true }), 'gradient of x')
      for (let k = 0; k < devices; k++) {
        const part = (values: Float32Array) =>
          r(values).slice((k * values.length) / 2, ((k + 1) * values.length) / 2)
        const [X, A, B, G] = [x!, a!, b!, dy].map(part)
        const t = r(product(X!, A!, [each, m, rank]))
        const u = r(product(G!, B!, [each, n, rank], { transposeB: true }).map((value) => value * scale))
        const half = (values: Float32Array) =>
          values.slice((k * values.length) / 2, ((k + 1) * values.length) / 2)
        expectClose(half(da!), product(X!, u, [m, each, rank], { transposeA: true }), `A of device ${k}`)
        const exactB = product(t, G!, [rank, each, n], { transposeA: true }).map((value) => value * scale)
        expectClose(half(db!), exactB, `B of device ${k}`)
      }
    })

    test.each([false, true])(
      'moraMap, rotation %s: what is multiplied is rounded, not x',
      async (rotates) => {
        const [rows, m, h] = [70, 12, 4]
        const blocks = rotates ? 3 : 1
        const n = blocks * h
        const angles = [normalValues(3 * 2, 94), normalValues(3 * 2, 95)]
        const tables = () =>
          rotates ? { cos: tensor(angles[0]!, [3, 2]), sin: tensor(angles[1]!, [3, 2]) } : undefined
        const shapes = [
          [rows, m],
          [h, h],
        ]
        const [x, square] = shapes.map((shape, i) => normalValues(sizeOf(shape), i + 1))
        const dy = normalValues(rows * n, 77)
        const run = ([x, square]: Tensor[]) => moraMap(x!, square!, { columns: n, tables: tables() })
        const identity = Float32Array.from({ length: h * h }, (_, i) => (i % (h + 1) === 0 ? 1 : 0))
        // The map of the identity is C(x), and n is so chosen that D is the identity.
        const [compressed] = await outputAndGradients('float32', shapes, [x!, identity], run, dy)
        const [z, q, u] = [compressed!, square!, dy].map(r)
        const found = await outputAndGradients('bfloat16', shapes, [x!, square!], run, dy)
        expectClose(found[0]!, product(z!, q!, [rows * blocks, h, h]), 'output')
        expectClose(found[2]!, product(z!, u!, [h, rows * blocks, h], { transposeA: true }), 'gradient of M')
        const rounded = [x!, Float32Array.from(q!)]
        const [, dx] = await outputAndGradients('float32', shapes, rounded, run, Float32Array.from(u!))
        // Where products add up in another order, as above.
        if (backend.name === 'cuda') expectClose(found[1]!, dx!, 'gradient of x')
        else expect(found[1]).toEqual(dx)
      },
    )

    test('hadamardWeight: A B of rounded factors, W0 and the elementwise product in float32', async () => {
      const [m, n, rank] = [6, 7, 3]
      const shapes = [
        [m, n],
        [m, rank],
        [rank, n],
      ]
      const [w0, a, b] = shapes.map((shape, i) => normalValues(sizeOf(shape), i + 1))
      const dy = normalValues(m * n, 77)
      const run = ([w0, a, b]: Tensor[]) => hadamardWeight(w0!, a!, b!)
      const [y, , da, db] = await outputAndGradients('bfloat16', shapes, [w0!, a!, b!], run, dy)
      const change = product(r(a!), r(b!), [m, rank, n])
      expectClose(
        y!,
        change.map((value, i) => w0![i]! * (1 + value)),
        'output',
      )
      const through = r(w0!.map((value, i) => value * dy[i]!))
      expectClose(da!, product(through, r(b!), [m, n, rank], { transposeB: true }), 'gradient of A')
      expectClose(db!, product(r(a!), through, [rank, m, n], { transposeA: true }), 'gradient of B')
    })
  })
})

type Run = (inputs: Tensor[]) => Tensor

/** Ops whose operands are their inputs: [N, m] and so on, odd on purpose. */
const exactCases: [name: string, { shapes: number[][]; output: number[]; run: Run }][] = [
  [
    'linear',
    {
      shapes: [
        [7, 5],
        [5, 9],
      ],
      output: [7, 9],
      run: ([x, w]) => linear(x!, w!),
    },
  ],
  [
    'matMul of slices, transposed',
    {
      shapes: [
        [2, 5, 4],
        [2, 7, 5],
      ],
      output: [2, 4, 7],
      run: ([a, b]) => matMul(a!, b!, { transposeA: true, transposeB: true, factor: 0.5 }),
    },
  ],
  [
    'causalAttention',
    {
      shapes: [
        [6, 8],
        [6, 4],
        [6, 4],
      ],
      output: [6, 8],
      run: ([q, k, v]) =>
        causalAttention(q!, k!, v!, { batch: 2, sequence: 3, heads: 4, keyValueHeads: 2, headDim: 2 }),
    },
  ],
  [
    'crossEntropy',
    {
      shapes: [
        [5, 3],
        [11, 3],
      ],
      output: [],
      run: ([x, head]) =>
        crossEntropy(x!, head!, tensor1d([3, -100, 0, 6, 10], 'int32'), tensor1d([1, 1, 0.5, 2, 1])).loss,
    },
  ],
]

const adapterShapes = [
  { rows: 1, m: 3, n: 5, rank: 1 },
  { rows: 19, m: 17, n: 33, rank: 2 },
]

/** The output, then the gradient of each input, all copies; nothing is left over. */
async function outputAndGradients(
  dtype: ComputeDtype,
  shapes: readonly number[][],
  values: readonly Float32Array[],
  run: Run,
  seed: Float32Array,
): Promise<Float32Array[]> {
  const before = memory().numTensors
  const inputs = shapes.map((shape, i) => tensor(values[i]!, shape))
  const gradients: Tensor[] = []
  const output = computingIn({ operands: dtype }, () => {
    const { outputs, tape } = record(() => [run(inputs)])
    // The loss has a gradient of one, which it is multiplied by.
    const given = outputs[0]!.size === 1 && outputs[0]!.rank === 0 ? Float32Array.of(1) : seed
    walkBack(tape, inputs, outputs, [tensor(given, outputs[0]!.shape)], (gradient, i) => {
      gradients[i] = gradient
    })
    return outputs[0]!
  })
  const found = await Promise.all([output, ...gradients].map((made) => made.data()))
  const copies = found.map((part) => Float32Array.from(part))
  for (const made of [output, ...gradients, ...inputs]) made.dispose()
  expect(memory().numTensors, 'tensors left over').toBe(before)
  return copies
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((size, d) => size * d, 1)
