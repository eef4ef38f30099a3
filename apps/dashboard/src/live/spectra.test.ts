import { describe, expect, it } from 'vitest'
import { type SpectrumEntry, SpectrumIndex } from './spectra.ts'

const entry = (step: number, change: Partial<SpectrumEntry> = {}): SpectrumEntry => ({
  step,
  module: 'model.layers.2.self_attn.q_proj',
  part: 'total',
  final: false,
  rows: 4,
  columns: 4,
  frobenius: 1,
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
  it('told of a spectrum again without its values keeps those it has', () => {
    const index = new SpectrumIndex()
    index.add(entry(4, { singularValues: new Float64Array([1]) }))
    index.add(entry(4, { frobenius: 2 }))
    expect(index.at(module, 'total', 4)).toMatchObject({
      frobenius: 2,
      singularValues: new Float64Array([1]),
    })
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
    expect(index.finals('total')).toHaveLength(2)
  })
})
