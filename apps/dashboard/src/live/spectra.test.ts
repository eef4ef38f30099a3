import { describe, expect, it } from 'vitest'
import { type SpectrumEntry, SpectrumIndex } from './spectra.ts'

const entry = (step: number, change: Partial<SpectrumEntry> = {}): SpectrumEntry => ({
  step,
  module: 'model.layers.2.self_attn.q_proj',
  part: 'total',
  final: false,
  rows: 4,
  columns: 4,
  measures: {},
  singularValues: null,
  ...change,
})
const module = entry(0).module

describe('the index of spectra', () => {
  it('keeps steps in order however they arrive, final after live', () => {
    const index = new SpectrumIndex()
    index.add(entry(8))
    index.add(entry(4))
    index.add(entry(8, { final: true }))
    expect(index.list(module, 'total').map(({ step, final }) => [step, final])).toEqual([
      [4, false],
      [8, false],
      [8, true],
    ])
    expect(index.latest(module, 'total')?.final).toBe(true)
  })
  it('knows what the server told of by its steps, measures and values as they are fetched', () => {
    const index = new SpectrumIndex()
    index.load({
      groups: [{ part: 'total', final: false, modules: [module], steps: [4, 8] }],
      shapes: { [module]: [4, 6] },
    })
    expect(index.list(module, 'total').map(({ step, rows, columns }) => [step, rows, columns])).toEqual([
      [4, 4, 6],
      [8, 4, 6],
    ])
    expect(index.hasColumn(module, 'total', false, 'effectiveRank')).toBe(false)
    index.addColumn(module, 'total', false, 'effectiveRank', { steps: [4, 8], values: [1, Number.NaN] })
    index.addColumn(module, 'total', false, 'noiseFloor', { steps: [4, 8], values: [1, Number.NaN] })
    const newest = index.latest(module, 'total')!
    // Every spectrum has an effective rank, so NaN is its value; a noise floor it may not have.
    expect([index.measureOf(newest, 'effectiveRank'), index.measureOf(newest, 'noiseFloor')]).toEqual([
      Number.NaN,
      null,
    ])
    index.addValues(module, 'total', 8, false, new Float64Array([2, 1]))
    expect(index.latest(module, 'total')?.singularValues).toEqual(new Float64Array([2, 1]))
    index.add(entry(12, { measures: { effectiveRank: 3 } }))
    expect([...index.column(module, 'total', 'effectiveRank')]).toEqual([
      [4, 1],
      [8, Number.NaN],
      [12, 3],
    ])
    expect(index.steps(null, 'total')).toEqual([4, 8, 12])
    index.truncateAfter(4)
    expect(index.steps(module, 'total')).toEqual([4])
  })
  it('gives the newest at or before a step, the first before all', () => {
    const index = new SpectrumIndex()
    for (const step of [4, 8, 12]) index.add(entry(step))
    expect(index.at(module, 'total', 10)?.step).toBe(8)
    expect(index.at(module, 'total', 1)?.step).toBe(4)
    expect(index.at('other', 'total', 10)).toBeNull()
  })
  it('lists modules in the model’s order and tells which are watched live', () => {
    const index = new SpectrumIndex()
    index.add(entry(9, { module: 'model.layers.10.mlp.up_proj', final: true }))
    index.add(entry(4))
    index.add(entry(9, { module: 'model.layers.2.mlp.down_proj', final: true }))
    expect(index.modules()).toEqual([module, 'model.layers.2.mlp.down_proj', 'model.layers.10.mlp.up_proj'])
    expect(index.liveModules()).toEqual([module])
  })
})
