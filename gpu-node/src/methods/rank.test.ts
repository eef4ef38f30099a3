/** Ranks, spectra and merges of ΔW: METHODS §8, invariants 27 to 33. */
import { beforeAll, describe, expect, it } from 'vitest'
import { selectBackend } from '../backends/select.ts'
import { numericalRank } from '../linalg/rank-measures.ts'
import { selectLinearAlgebra } from '../linalg/select.ts'
import { spectrum } from '../linalg/spectrum.ts'
import { distance, type Matrix, matrix, minus, multiply, norm, plus } from '../testing/methods/float64.ts'
import { HdOracle } from '../testing/methods/hd-oracle.ts'
import { ToyLayer, type ToySettings, toyModule } from '../testing/methods/toy-layer.ts'
import { effectiveWeights, hdOracle, moraMap, trainedMatrices } from '../testing/methods/toy-oracle.ts'
import { denseDelta } from '../testing/training/golden-case.ts'
import { Dropout } from './dropout.ts'
import type { DeltaPart } from './method.ts'

beforeAll(async () => {
  await selectBackend('auto', { threads: 1 })
})

const [rows, columns, rate] = [24, 20, 0.02]
const algebra = () => selectLinearAlgebra().algebra
const valuesOf = (w: Matrix) => algebra().singularValues(w.values, w.rows, w.columns)
const spectrumOf = ({ source }: DeltaPart) => spectrum(algebra(), source, () => 0).singularValues
/** Values above 1e-12 of the largest. */
const exactRank = (s: Float64Array) => numericalRank(s, 1e-12 * s[0]!)

async function trained(method: ToySettings['method'], extra: Partial<ToySettings> = {}, steps = 6) {
  const toy = await ToyLayer.make({ method, rows, columns, perDevice: 30, ...extra })
  return toy.steps(steps, rate)
}

describe('invariant 27: bounds on the rank of ΔW', () => {
  it.each([
    [{ name: 'lora', rank: 3 }, 1, 3],
    [{ name: 'pissa', rank: 3 }, 1, 6],
    [{ name: 'intermediate', rank: 2 }, 3, 12],
    [{ name: 'intermediate', rank: 2, syncEvery: 2 }, 3, 12],
    [{ name: 'lora-dwu', rank: 2, sharedInit: true }, 3, 2],
    [{ name: 'lora-dwu', rank: 2 }, 3, 6],
  ] as const)('%j with %i devices: exactly %i from its factors', async (method, devices, rank) => {
    const toy = await trained(method, { devices })
    const [total] = await toy.parts()
    expect(exactRank(spectrumOf(total!))).toBe(rank)
    toy.dispose()
  })

  it('MoRA type 1: at most its side', async () => {
    const toy = await trained({ name: 'mora', rank: 2, type: 1 })
    const [total] = await toy.parts()
    const side = Math.floor(Math.sqrt((rows + columns) * 2) + 0.5)
    const s = spectrumOf(total!)
    expect(numericalRank(s, 1e-5 * s[0]!)).toBe(side)
    toy.dispose()
  })

  it('HiRA: at most rank(W0) · r', async () => {
    const w0 = multiply(
      matrix(
        Array.from({ length: rows * 2 }, (_, i) => Math.sin(i + 1)),
        rows,
        2,
      ),
      matrix(
        Array.from({ length: 2 * columns }, (_, i) => Math.cos(3 * i)),
        2,
        columns,
      ),
    )
    const toy = await trained({ name: 'hira', rank: 3 }, { w: Float32Array.from(w0.values) })
    const s = spectrumOf((await toy.parts())[0]!)
    expect(numericalRank(s, 1e-5 * s[0]!)).toBe(6)
    toy.dispose()
  })

  it('one step of HD-PiSSA: at most 2Kr; the first-order part of top-rank devices at most 2r', async () => {
    const method = { name: 'hd-pissa', rank: 2, attribution: true } as const
    const one = await trained({ ...method, compensated: 'separate' }, { devices: 3 }, 1)
    const s = spectrumOf((await one.parts())[0]!)
    expect(numericalRank(s, 1e-5 * s[0]!)).toBe(12)
    const top = await trained({ ...method, slices: 'shared-top' }, { devices: 3 })
    const first = (await top.parts()).find(({ part }) => part === 'first-order')
    expect(exactRank(spectrumOf(first!))).toBe(4)
    for (const used of [one, top]) used.dispose()
  })
})

describe('invariant 28: HD-PiSSA over many steps, in float64', () => {
  const after = async (options: Partial<Parameters<typeof hdOracle>[1]>) => {
    const toy = await ToyLayer.make({
      method: { name: 'hd-pissa', rank: 2 },
      rows: 40,
      columns: 36,
      devices: 3,
      perDevice: 30,
    })
    const oracle = (await hdOracle(toy, { aggregate: 'sum', ...options })).steps(12, rate)
    toy.dispose()
    return exactRank(valuesOf(minus(oracle.w, matrix(toy.w0, 40, 36))))
  }

  it('without the second order its rank stays 2Kr, with it and fixed adapters it goes beyond', async () => {
    expect(await after({ secondOrder: false })).toBe(12)
    expect(await after({})).toBe(36)
  })

  it('evolving adapters telescope: 2Kr even with the second order', async () => {
    expect(await after({ evolving: true })).toBe(12)
  })
})

describe('invariant 29: the parts of ΔW', () => {
  it.each(['none', 'kahan', 'separate'])(
    'add up to W_T − W_0; with compensation %s the rounding part is small',
    async (compensated) => {
      const method = { name: 'hd-pissa', rank: 2, attribution: true, compensated, aggregate: 'sum' } as const
      const toy = await trained(method, { devices: 3 })
      const parts = await toy.parts()
      expect(parts.map(({ part }) => part)).toEqual(['total', 'first-order', 'second-order', 'rounding'])
      const [total, first, second] = parts.map(({ source }) => matrix(denseDelta(source), rows, columns))
      const rest = minus(minus(total!, first!), second!)
      expect(norm(rest) / norm(total!)).toBeLessThan(1e-5)
      expect(spectrumOf(parts[3]!)[0]).toBeCloseTo(valuesOf(rest)[0]!, 9)
      expect(exactRank(spectrumOf(parts[1]!))).toBe(12)
      expect(norm(second!)).toBeGreaterThan(100 * norm(rest))
      toy.dispose()
    },
  )

  it('second order in float64: c Σ_t Σ_k dA_k dB_k is what first order leaves', async () => {
    const method = { name: 'hd-pissa', rank: 2, attribution: true } as const
    const toy = await ToyLayer.make({ method, rows, columns, devices: 2 })
    const oracle = await hdOracle(toy, { aggregate: 'mean' })
    const firstOnly = new HdOracle(oracle.w, oracle.devices, { aggregate: 'mean', secondOrder: false })
    await toy.step(rate)
    oracle.step(rate)
    firstOnly.step(rate)
    const expected = minus(oracle.w, firstOnly.w).values
    const second = (await toy.parts()).find(({ part }) => part === 'second-order')
    expect(distance(denseDelta(second!.source), expected)).toBeLessThan(1e-4)
    toy.dispose()
  })

  it('without the second order there is no such part', async () => {
    const method = { name: 'hd-pissa', rank: 2, attribution: true, secondOrder: false } as const
    const toy = await trained(method, { devices: 2 })
    expect((await toy.parts()).map(({ part }) => part)).toEqual(['total', 'first-order', 'rounding'])
    toy.dispose()
  })
})

describe('invariant 30: spectra from factors are those of the dense ΔW', () => {
  it.each([
    [{ name: 'lora', rank: 3, alpha: 5 }, 1],
    [{ name: 'pissa', rank: 3, alpha: 5 }, 1],
    [{ name: 'intermediate', rank: 2 }, 2],
    [{ name: 'lora-dwu', rank: 2 }, 2],
    [{ name: 'hd-pissa', rank: 2, attribution: true }, 3],
  ] as const)('%j', async (method, devices) => {
    const toy = await trained(method, { devices })
    const part = (await toy.parts()).find(({ source }) => source.kind === 'factored')!
    const dense = valuesOf(matrix(denseDelta(part.source), rows, columns))
    const factored = spectrumOf(part)
    for (let i = 0; i < dense.length; i++)
      expect(factored[i]! / dense[0]!).toBeCloseTo(dense[i]! / dense[0]!, 12)
    toy.dispose()
  })
})

describe('invariant 31: MoRA', () => {
  it('type 6 with h | m = n repeats the values of M m/h times', () => {
    const m = matrix(
      Array.from({ length: 64 }, (_, i) => Math.sin(7 * i + 1)),
      8,
      8,
    )
    const s = valuesOf(moraMap(6, 8, 24, 24)(m))
    const own = algebra().singularValues(m.values, 8, 8)
    for (let i = 0; i < 24; i++) expect(s[i]).toBeCloseTo(own[Math.floor(i / 3)]!, 10)
  })

  it('type 1 multiplies the values of M by √(pq)', () => {
    const m = matrix(
      Array.from({ length: 16 }, (_, i) => Math.cos(5 * i)),
      4,
      4,
    )
    const s = valuesOf(moraMap(1, 4, 12, 8)(m))
    const own = algebra().singularValues(m.values, 4, 4)
    for (let i = 0; i < 4; i++) expect(s[i]).toBeCloseTo(Math.sqrt(3 * 2) * own[i]!, 10)
  })

  it.each([
    [1, 9, 7],
    [1, 8, 20],
    [6, 9, 7],
    [6, 20, 8],
    [6, 8, 20],
  ] as const)('type %i on [%i, %i]: ΔW is the definition’s, entry by entry', async (type, m, n) => {
    const toy = await ToyLayer.make({ method: { name: 'mora', rank: 2, type }, rows: m, columns: n })
    await toy.steps(3, rate)
    const square = (await trainedMatrices(toy))[0]?.[0]
    const [total] = await toy.parts()
    const expected = moraMap(type, square!.rows, m, n)(square!)
    expect(distance(denseDelta(total!.source), expected.values)).toBeLessThan(1e-6)
    toy.dispose()
  })
})

describe('invariant 32: merged weight, inference and training layers are one function', () => {
  it.each([
    [{ name: 'full' }, 1],
    [{ name: 'lora', rank: 3, alpha: 5, dropout: 0 }, 2],
    [{ name: 'pissa', rank: 3, alpha: 5 }, 2],
    [{ name: 'dora', rank: 3, alpha: 5 }, 1],
    [{ name: 'mora', rank: 2, type: 1 }, 1],
    [{ name: 'mora', rank: 2, type: 6 }, 1],
    [{ name: 'hira', rank: 3 }, 1],
    [{ name: 'hd-pissa', rank: 2 }, 3],
    [{ name: 'lora-dwu', rank: 2 }, 3],
    [{ name: 'intermediate', rank: 2 }, 1],
    [{ name: 'intermediate', rank: 2 }, 3],
  ] as const)('%j with %i devices', async (method, devices) => {
    const toy = await trained(method, { devices })
    const merged = matrix(await toy.merged(), rows, columns)
    const x = matrix(toy.x, toy.x.length / rows, rows)
    const expected = multiply(x, merged).values
    const inference = toy.adaptation.inference()
    expect(distance(await toy.output(inference.linear), expected)).toBeLessThan(1e-5)
    inference.dispose()
    if (!(method.name === 'intermediate' && devices > 1))
      expect(distance(await toy.output(), expected)).toBeLessThan(1e-5)
    const [total] = await toy.parts()
    const delta = matrix(denseDelta(total!.source), rows, columns)
    expect(distance(plus(matrix(toy.w0, rows, columns), delta).values, merged.values)).toBeLessThan(1e-6)
    toy.dispose()
  })

  it.each([
    { name: 'lora', rank: 2, alpha: 3 },
    { name: 'dora', rank: 2, alpha: 3 },
    { name: 'dora', rank: 2, detachNorm: false },
    { name: 'hira', rank: 2 },
    { name: 'mora', rank: 2 },
  ] as const)('%j: dropout thins the input of the change only, and in training only', async (method) => {
    const toy = await trained({ ...method, dropout: 0.5 })
    const merged = matrix(await toy.merged(), rows, columns)
    const x = matrix(toy.x, 30, rows)
    const w0 = matrix(toy.w0, rows, columns)
    const dropout = new Dropout(0.5, 1, 1)
    const position = { step: 9, microBatch: 1, sequence: 30 }
    for (const part of [toy.adaptation, dropout]) part.beginPass(position)
    const mask = dropout.mask(toyModule, 30, rows)
    const thinned = { ...x, values: x.values.map((value, i) => value * mask[i]!) }
    const expected = plus(multiply(x, w0), multiply(thinned, minus(merged, w0)))
    expect(distance(await toy.output(), expected.values)).toBeLessThan(1e-5)
    const inference = toy.adaptation.inference()
    expect(distance(await toy.output(inference.linear), multiply(x, merged).values)).toBeLessThan(1e-5)
    inference.dispose()
    toy.dispose()
  })

  it('DoRA: the columns of the merged weight have exactly the norms that it trained', async () => {
    const toy = await trained({ name: 'dora', rank: 3, alpha: 5 })
    const merged = matrix(await toy.merged(), rows, columns)
    const magnitude = await toy.named('magnitude')
    for (let j = 0; j < columns; j++) {
      const column = merged.values.filter((_, i) => i % columns === j)
      expect(norm({ values: column }) / magnitude[j]!).toBeCloseTo(1, 5)
    }
    toy.dispose()
  })

  it('the float64 effective weights are the merged ones', async () => {
    for (const method of [
      { name: 'dora', rank: 2 },
      { name: 'hira', rank: 2 },
      { name: 'mora', rank: 2 },
    ] as const) {
      const toy = await trained(method)
      const weights = (await effectiveWeights(toy))((await trainedMatrices(toy)).flat())
      expect(distance(await toy.merged(), weights[0]!.values)).toBeLessThan(1e-6)
      toy.dispose()
    }
  })
})

describe('invariant 33: adapters for PEFT', () => {
  it.each([
    [{ name: 'lora', rank: 3, alpha: 5 }, 3],
    [{ name: 'lora', rank: 3, alpha: 5, rankStabilized: true }, 3],
    [{ name: 'pissa', rank: 3, alpha: 5 }, 6],
  ] as const)('%j as LoRA of rank %i on the original base is the trained model', async (method, rank) => {
    const toy = await trained(method)
    const adapter = await toy.adaptation.adapter!()
    expect(adapter.rank).toBe(rank)
    const [pair] = adapter.pairs
    const scale = adapter.rankStabilized
      ? adapter.alpha / Math.sqrt(adapter.rank)
      : adapter.alpha / adapter.rank
    const product = multiply(matrix(pair!.a, rows, rank), matrix(pair!.b, rank, columns))
    const expected = plus(matrix(toy.w0, rows, columns), product, scale).values
    expect(distance(await toy.merged(), expected)).toBeLessThan(1e-6)
    toy.dispose()
  })
})
