import { describe, expect, it } from 'vitest'
import { SpectrumIndex } from '../live/spectra.ts'
import { colourScale, difference, mapCells, quantile } from './layer-map.ts'

const q = 'model.layers.0.self_attn.q_proj'
const up = 'model.layers.10.mlp.up_proj'
function index(values: Record<string, [step: number, effectiveRank: number][]>): SpectrumIndex {
  const made = new SpectrumIndex()
  for (const [module, points] of Object.entries(values)) {
    const steps = points.map(([step]) => step)
    made.load({
      groups: [{ part: 'total', final: false, modules: [module], steps }],
      shapes: { [module]: [4, 4] },
    })
    made.addColumn(module, 'total', false, 'effectiveRank', {
      steps,
      values: points.map(([, value]) => value),
    })
  }
  return made
}
const wanted = { measure: 'effectiveRank', part: 'total', step: null } as const

describe('the layer map', () => {
  const spectra = index({
    [up]: [[4, 9]],
    [q]: [
      [4, 1],
      [8, 2],
    ],
  })
  it('shows the newest value at or before the step, and of which step it is', () => {
    expect(
      mapCells(spectra, wanted).map(({ layer, projection, step, value }) => [layer, projection, step, value]),
    ).toEqual([
      ['0', 'q_proj', 8, 2],
      ['10', 'up_proj', 4, 9],
    ])
    expect(mapCells(spectra, { ...wanted, step: 6 }).map(({ step, value }) => [step, value])).toEqual([
      [4, 1],
      [4, 9],
    ])
    expect(mapCells(spectra, { ...wanted, step: 2 }).map(({ step, value }) => [step, value])).toEqual([
      [null, null],
      [null, null],
    ])
  })
  it('takes off a baseline module by module; what one of them lacks has no difference', () => {
    const cells = difference(mapCells(spectra, wanted), mapCells(index({ [q]: [[8, 5]] }), wanted))
    expect(cells.map(({ value }) => value)).toEqual([-3, null])
  })
})

describe('colours', () => {
  it('by quantiles are not blinded by an outlier, and equal values are alike', () => {
    const { strength, ticks, said } = colourScale([1, 2, 2, 3, 1e6], 'quantile', false)
    expect([1, 2, 3, 1e6].map(strength)).toEqual([0, 0.375, 0.75, 1])
    expect([ticks[0], ticks.at(-1)]).toEqual([1, 1e6])
    expect(said).toContain('rank among the 5')
  })
  it('on a logarithmic scale leave out what has no logarithm, and say so', () => {
    const { strength, said } = colourScale([0, 0.01, 1], 'log', false)
    expect([strength(0), strength(0.1), strength(1)]).toEqual([null, 0.5, 1])
    expect(said).toContain('1 at or below 0 uncoloured')
  })
  it('of differences are symmetric about zero', () => {
    const { strength } = colourScale([-2, 0, 1], 'quantile', true)
    expect([strength(0), strength(-1)! + strength(1)!, strength(Number.NaN)]).toEqual([0, 0, null])
  })
  it('quantiles are interpolated', () => {
    expect([quantile([1, 2, 4], 0.5), quantile([1, 3], 0.25), quantile([], 0.5)]).toEqual([2, 1.5, 0])
  })
})
