/** How methods start: METHODS §8, invariants 1 to 7 and 43. */
import {
  methodConfigSchema,
  type RankscopeError,
  type TargetModuleName,
  targetModuleNames,
} from '@rankscope/protocol'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { selectBackend } from '../backends/select.ts'
import { selectLinearAlgebra } from '../linalg/select.ts'
import type { LlamaConfig } from '../model/config.ts'
import { linearShape } from '../model/parameters.ts'
import { Random } from '../random.ts'
import { distance, matrix, multiply, norm, plus, slices, transposed } from '../testing/methods/float64.ts'
import { ToyLayer, type ToySettings } from '../testing/methods/toy-layer.ts'
import { componentSlices, gradientScale } from './hd-pissa.ts'
import { trainableParameterCount } from './index.ts'
import { kaimingUniform } from './kaiming.ts'
import { squareSize } from './mora.ts'

beforeAll(async () => {
  await selectBackend('auto', { threads: 1 })
})

const variants: ToySettings['method'][] = [
  { name: 'full' },
  { name: 'lora', rank: 2, alpha: 4 },
  { name: 'lora', rank: 2, init: 'gaussian', rankStabilized: true },
  { name: 'pissa', rank: 2, alpha: 3 },
  { name: 'pissa', rank: 2, svd: 'randomized', svdIterations: 4 },
  { name: 'hd-pissa', rank: 1 },
  { name: 'hd-pissa', rank: 1, slices: 'shared-top' },
  { name: 'hd-pissa', rank: 1, compensated: 'separate' },
  { name: 'hd-pissa', rank: 1, compensated: 'kahan', adapters: 'evolving' },
  { name: 'dora', rank: 2, alpha: 4 },
  { name: 'dora', rank: 2, detachNorm: false },
  { name: 'mora', rank: 1, type: 1 },
  { name: 'mora', rank: 1, type: 6 },
  { name: 'hira', rank: 2 },
  { name: 'lora-dwu', rank: 2 },
  { name: 'intermediate', rank: 1 },
]

describe.each(variants)('invariant 1: step 0 of %j leaves the output as it was', (method) => {
  it.each([1, 2])('with %i devices, in training, inference and the merged weight', async (devices) => {
    const [plain, toy] = [
      await ToyLayer.make({ method: { name: 'full' }, devices }),
      await ToyLayer.make({ method, devices }),
    ]
    const expected = await plain.output()
    const inference = toy.adaptation.inference()
    const tolerance = method.name === 'pissa' ? 1e-6 : 1e-7
    expect(distance(await toy.output(), expected)).toBeLessThan(tolerance)
    expect(distance(await toy.output(inference.linear), expected)).toBeLessThan(tolerance)
    expect(distance(await toy.merged(), toy.w0)).toBeLessThan(tolerance)
    if (method.name === 'hd-pissa') {
      expect(await toy.output()).toEqual(expected)
      expect(await toy.weight()).toEqual(toy.w0)
    }
    inference.dispose()
    for (const used of [plain, toy]) used.dispose()
  })
})

describe('invariant 2: W_res + s A0 B0 = W', () => {
  it.each([
    { svd: 'full', alpha: 2 },
    { svd: 'full', alpha: 7.5 },
    { svd: 'randomized', alpha: 2, svdIterations: 1 },
    { svd: 'randomized', alpha: 0.5 },
  ])('%j', async (options) => {
    const toy = await ToyLayer.make({ method: { name: 'pissa', rank: 2, ...options }, rows: 9, columns: 7 })
    const a = matrix(await toy.named('A0'), 9, 2)
    const b = matrix(await toy.named('B0'), 2, 7)
    const sum = plus(matrix(await toy.weight(), 9, 7), multiply(a, b), options.alpha / 2)
    expect(distance(sum.values, toy.w0)).toBeLessThan(1e-7)
    toy.dispose()
  })
})

describe('principal slices of HD-PiSSA', () => {
  const [rows, columns, devices, rank] = [10, 8, 3, 2]
  const adapters = async (method: Partial<ToySettings['method']> = {}, count = devices) => {
    const toy = await ToyLayer.make({
      method: { name: 'hd-pissa', rank, ...method },
      rows,
      columns,
      devices: count,
    })
    const a = slices(await toy.named('A'), count, rows, rank)
    const b = slices(await toy.named('B'), count, rank, columns)
    const { w0 } = toy
    toy.dispose()
    return { a, b, w: matrix(w0, rows, columns) }
  }
  const values = (w: { values: Float64Array }) =>
    selectLinearAlgebra().algebra.singularValues(w.values, rows, columns)

  it('invariant 3: A_kᵀ A_k = B_k B_kᵀ = diag(S_k), slices are orthogonal to one another', async () => {
    const { a, b, w } = await adapters()
    const s = values(w)
    for (let i = 0; i < devices; i++)
      for (let j = 0; j < devices; j++) {
        const expected = [i === j ? s[i * rank]! : 0, 0, 0, i === j ? s[i * rank + 1]! : 0]
        const left = multiply(transposed(a[i]!), a[j]!).values
        const right = multiply(b[i]!, transposed(b[j]!)).values
        for (let e = 0; e < 4; e++) {
          expect(left[e]).toBeCloseTo(expected[e]!, 5)
          expect(right[e]).toBeCloseTo(expected[e]!, 5)
        }
      }
  })

  it('invariant 4: Σ A_k B_k is the best approximation of rank K r', async () => {
    const { a, b, w } = await adapters()
    const sum = a.reduce((total, part, k) => plus(total, multiply(part, b[k]!), -1), w)
    const s = values(w)
    const tail = [...s].slice(devices * rank)
    expect(values(sum)[0]).toBeCloseTo(tail[0]!, 5)
    expect(norm(sum) ** 2).toBeCloseTo(
      tail.reduce((total, value) => total + value * value, 0),
      5,
    )
  })

  it('invariant 5: slice 0 is PiSSA’s pair, whatever the number of devices', async () => {
    const pissa = await ToyLayer.make({ method: { name: 'pissa', rank }, rows, columns })
    const [a0, b0] = [await pissa.named('A0'), await pissa.named('B0')]
    for (const count of [1, 3, 4]) {
      const { a, b } = await adapters({}, count)
      expect(distance(a[0]!.values, a0)).toBe(0)
      expect(distance(b[0]!.values, b0)).toBe(0)
    }
    pissa.dispose()
  })

  it('every assignment gives each component once; shared-top gives the first r to all', () => {
    const parts = (kind: 'contiguous' | 'strided' | 'random' | 'shared-top') =>
      componentSlices(kind, 3, 2, new Random(3))
    expect(parts('contiguous')).toEqual([
      [0, 1],
      [2, 3],
      [4, 5],
    ])
    expect(parts('strided')).toEqual([
      [0, 3],
      [1, 4],
      [2, 5],
    ])
    expect(parts('random').flat().sort()).toEqual([0, 1, 2, 3, 4, 5])
    expect(parts('random')).not.toEqual(parts('contiguous'))
    expect(parts('shared-top')).toEqual([
      [0, 1],
      [0, 1],
      [0, 1],
    ])
  })

  it('clampRank fills up with zeros what the matrix does not have', async () => {
    const { a, b, w } = await adapters({ clampRank: true }, 5)
    expect(norm(a[4]!) + norm(b[4]!)).toBe(0)
    const sum = a.reduce((total, part, k) => plus(total, multiply(part, b[k]!), -1), w)
    expect(norm(sum)).toBeLessThan(1e-5)
  })

  it('alpha mode peft: the singular values are divided by the scale', async () => {
    const [plain, divided] = [await adapters(), await adapters({ alphaMode: 'peft', alpha: 8 })]
    expect(distance(plus(divided.a[1]!, divided.a[1]!).values, plain.a[1]!.values)).toBeLessThan(1e-6)
  })
})

describe('invariant 6: initial values', () => {
  it('Kaiming: |A| < 1/√m with variance 1/(3m)', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 400 }), fc.integer(), (rows, seed) => {
        const values = kaimingUniform(new Random(seed), rows, 4)
        expect(values.every((value) => Math.abs(value) <= Math.fround(1 / Math.sqrt(rows)))).toBe(true)
      }),
      { seed: 7, numRuns: 30 },
    )
    const values = kaimingUniform(new Random(5), 50, 4000)
    const variance = values.reduce((sum, value) => sum + value * value, 0) / values.length
    expect(variance).toBeCloseTo(1 / 150, 4)
  })

  it('LoRA’s B is zero, its Gaussian A has deviation 1/r; DoRA’s magnitudes are the column norms', async () => {
    const toy = await ToyLayer.make({
      method: { name: 'lora', rank: 40, init: 'gaussian' },
      rows: 64,
      columns: 48,
    })
    const a = await toy.named('A')
    const deviation = Math.sqrt(a.reduce((sum, value) => sum + value * value, 0) / a.length)
    expect(deviation * 40).toBeCloseTo(1, 1)
    expect((await toy.named('B')).every((value) => value === 0)).toBe(true)
    const dora = await ToyLayer.make({ method: { name: 'dora', rank: 2 } })
    const magnitude = await dora.named('magnitude')
    const w = matrix(dora.w0, 8, 6)
    magnitude.forEach((value, j) => {
      expect(value).toBeCloseTo(norm({ values: w.values.filter((_, i) => i % 6 === j) }), 5)
    })
    for (const used of [toy, dora]) used.dispose()
  })

  it.each([
    [64, 32, 8, 6, 28],
    [64, 64, 8, 6, 32],
    [172, 64, 8, 6, 42],
    [64, 32, 4, 1, 20],
    [64, 64, 4, 1, 23],
    [172, 64, 4, 1, 31],
    [4096, 4096, 16, 6, 362],
  ] as const)(
    'MoRA’s square of a [%i, %i] weight at rank %i, type %i, has side %i',
    (rows, columns, rank, type, side) => {
      expect(squareSize({ rank, type }, { rows, columns })).toBe(side)
    },
  )
})

describe('invariant 7: what cannot work is refused with its reason', () => {
  const attempt = (method: ToySettings['method'], devices = 1) =>
    ToyLayer.make({ method, devices }).then(
      () => null,
      (error: RankscopeError) => error,
    )

  it.each([
    [{ name: 'hd-pissa', rank: 2 }, 4],
    [{ name: 'hd-pissa', rank: 7, slices: 'shared-top' }, 1],
    [{ name: 'intermediate', rank: 2 }, 4],
    [{ name: 'pissa', rank: 7 }, 1],
  ] as const)('%j with %i devices asks for more components than there are', async (method, devices) => {
    const error = await attempt(method, devices)
    expect(error).toMatchObject({ code: 'RANK_TOO_LARGE' })
  })

  it('alpha must be positive', () => {
    for (const name of ['lora', 'pissa', 'hd-pissa', 'dora', 'lora-dwu'])
      expect(methodConfigSchema.safeParse({ name, alpha: 0 }).success).toBe(false)
  })

  it('the floor of alpha / r is taken only where it is asked for', () => {
    const config = { rank: 8, alpha: 20, alphaMode: 'gradient', legacyFloorAlpha: false } as const
    expect(gradientScale(config)).toBe(2.5)
    expect(gradientScale({ ...config, legacyFloorAlpha: true })).toBe(2)
    expect(gradientScale({ ...config, alphaMode: 'none' })).toBe(1)
  })
})

describe('invariant 43: trainable parameters to the unit', () => {
  const shape = (hiddenSize: number, intermediateSize: number, layers: number, keyValueHeads: number) =>
    ({ hiddenSize, intermediateSize, layers, heads: 32, keyValueHeads, headDim: 128 }) as LlamaConfig
  const llama2 = shape(4096, 11_008, 32, 32)
  const count = (config: LlamaConfig, method: ToySettings['method'], targets: readonly TargetModuleName[]) =>
    targets.reduce((sum, name) => {
      const [rows, columns] = linearShape(config, name)
      return (
        sum + config.layers * trainableParameterCount(methodConfigSchema.parse(method), { rows, columns })
      )
    }, 0)
  const five = ['q_proj', 'k_proj', 'v_proj', 'up_proj', 'down_proj'] as const

  it.each([
    ['Llama-2-7B', llama2, 39_976_960],
    ['Llama-3.1-8B', shape(4096, 14_336, 32, 8), 41_943_040],
    ['Mistral-7B', shape(4096, 14_336, 32, 8), 41_943_040],
  ])('%s, r = 16, all seven linears', (_, config, expected) => {
    for (const name of ['lora', 'pissa', 'hd-pissa', 'hira', 'intermediate'] as const)
      expect(count(config, { name, rank: 16 }, targetModuleNames)).toBe(expected)
  })

  it.each([
    ['lora', 56_098_816],
    ['hd-pissa', 56_098_816],
    ['hira', 56_098_816],
    ['dora', 56_975_360],
    ['mora', 55_990_528],
  ] as const)('%s on Llama-2-7B, r = 32, q, k, v, up and down', (name, expected) => {
    expect(count(llama2, { name, rank: 32 }, five)).toBe(expected)
  })
})
