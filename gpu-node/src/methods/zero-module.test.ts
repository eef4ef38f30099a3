/** Modules whose weight is zero, nearly zero or of low rank: what trains there, and what the run says of it. */
import { beforeAll, describe, expect, it } from 'vitest'
import { selectBackend } from '../backends/select.ts'
import { latestSpectrum } from '../linalg/index.ts'
import { Random } from '../random.ts'
import { ToyLayer, type ToySettings, toyModule } from '../testing/methods/toy-layer.ts'
import { meanTailRatio } from '../train/spectra.ts'

beforeAll(async () => {
  await selectBackend('auto', { threads: 1 })
})

const [rows, columns] = [8, 6]
const random = new Random(4)
const normal = (size: number) => random.fillNormal(new Float32Array(size))
const zeros = new Float32Array(rows * columns)
/** Of rank 3, entries exact in float32. */
const lowRank = (() => {
  const [left, right] = [normal(rows * 3), normal(3 * columns)].map((v) =>
    v.map((x) => Math.round(4 * x) / 4),
  )
  return Float32Array.from({ length: rows * columns }, (_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns]
    return left!
      .subarray(row * 3, row * 3 + 3)
      .reduce((sum, x, k) => sum + x * right![k * columns + column]!, 0)
  })
})()

const onComponents: [label: string, ToySettings][] = [
  ['pissa', { method: { name: 'pissa', rank: 4 } }],
  ['pissa, randomized', { method: { name: 'pissa', rank: 4, svd: 'randomized' } }],
  ['hd-pissa', { method: { name: 'hd-pissa', rank: 2 }, devices: 2 }],
  ['hd-pissa, evolving', { method: { name: 'hd-pissa', rank: 2, adapters: 'evolving' }, devices: 2 }],
  ['hd-pissa, shared', { method: { name: 'hd-pissa', rank: 4, slices: 'shared-top' }, devices: 2 }],
  ['hd-pissa, strided', { method: { name: 'hd-pissa', rank: 2, slices: 'strided' }, devices: 2 }],
  ['intermediate', { method: { name: 'intermediate', rank: 2 }, devices: 2 }],
]

const trained = async (settings: ToySettings) => {
  const toy = await ToyLayer.make({ rows, columns, ...settings })
  await toy.steps(4, 1e-2)
  const found = { merged: await toy.merged(), parts: await toy.parts(), warnings: toy.warnings }
  for (const { name, read } of toy.state.entries())
    expect((await read()).every(Number.isFinite), name).toBe(true)
  toy.dispose()
  return found
}

describe.each(onComponents)('%s', (_, settings) => {
  it('warns of an all-zero module by its name, and leaves it at zero', async () => {
    const { merged, warnings } = await trained({ ...settings, w: zeros })
    expect(merged).toEqual(zeros)
    expect(warnings).toEqual([expect.stringMatching(new RegExp(`^${toyModule} is all zeros: `))])
  })

  it('warns of a module whose rank is below what the adapters ask for, and trains it', async () => {
    const { merged, warnings } = await trained({ ...settings, w: lowRank })
    expect(merged).not.toEqual(lowRank)
    expect(merged.every(Number.isFinite)).toBe(true)
    expect(warnings).toEqual([expect.stringMatching(`${toyModule} has a rank of 3, lower than the 4`)])
  })

  it('says nothing of a weight of full rank, however small, and trains it', async () => {
    for (const size of [1, 1e-20]) {
      const w = normal(rows * columns).map((value) => value * size)
      const { merged, warnings } = await trained({ ...settings, w })
      expect(warnings).toEqual([])
      expect(merged).not.toEqual(w)
    }
  })
})

describe('hira', () => {
  it('warns of an all-zero module, and not of a tiny one', async () => {
    const { merged, warnings } = await trained({ method: { name: 'hira', rank: 2 }, w: zeros })
    expect(merged).toEqual(zeros)
    expect(warnings).toEqual([expect.stringMatching(`${toyModule} is all zeros: `)])
    const tiny = new Float32Array(rows * columns).fill(1e-30)
    expect((await trained({ method: { name: 'hira', rank: 2 }, w: tiny })).warnings).toEqual([])
  })
})

it.each(['lora', 'dora', 'mora', 'full', 'lora-dwu'])('%s trains an all-zero module', async (name) => {
  const method = name === 'full' ? { name } : { name, rank: 2 }
  const { merged, warnings } = await trained({ method: method as ToySettings['method'], w: zeros })
  expect(merged.some((value) => value !== 0)).toBe(true)
  expect(merged.every(Number.isFinite)).toBe(true)
  expect(warnings).toEqual([])
})

describe('measures of a ΔW of zero', () => {
  it('have no NaN, and take no part in the mean tail ratio', async () => {
    const run = { method: { name: 'pissa', rank: 2 }, parallel: { devices: 1 } } as never
    const spectrumOf = async (settings: ToySettings) => {
      const { parts } = await trained(settings)
      return (await latestSpectrum('a', parts[0]!.source, {}))!
    }
    const zero = await spectrumOf({ method: { name: 'pissa', rank: 2 }, w: zeros })
    for (const value of Object.values(zero.measures)) expect(value).toBe(0)
    const other = await spectrumOf({ method: { name: 'full' } })
    const alone = meanTailRatio(run, [{ result: other }])
    expect(alone).toBeGreaterThan(0)
    expect(meanTailRatio(run, [{ result: zero }, { result: other }])).toBe(alone)
    expect(meanTailRatio(run, [{ result: zero }])).toBe(null)
  })
})
