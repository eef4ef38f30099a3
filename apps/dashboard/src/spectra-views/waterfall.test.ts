import { describe, expect, it } from 'vitest'
import { chartThemes } from '../charts/figure.ts'
import { spaced, spacedIndices, type WaterfallEntry, waterfallFigure } from './waterfall-figure.ts'

const entry = (step: number, values: number[]): WaterfallEntry => ({
  step,
  module: 'm',
  part: 'total',
  final: false,
  rows: 3,
  columns: 3,
  measures: {},
  singularValues: Float64Array.from(values),
})
const options = {
  reference: null,
  shape: 'heatmap',
  totalSteps: 2,
  missing: 0,
  theme: chartThemes.light,
  empty: '',
} as const
const zOf = (figure: ReturnType<typeof waterfallFigure>) =>
  (figure.traces[0] as unknown as { z: number[][] }).z

describe('the waterfall', () => {
  it('colours by the logarithm of each singular value, index by step, and exports the values', () => {
    const figure = waterfallFigure([entry(8, [10, 1]), entry(16, [100, 0])], options)
    expect(zOf(figure)).toEqual([
      [1, 2],
      [0, null],
    ])
    expect(figure.table().slice(0, 3)).toEqual([
      ['step', 'index', 'singularValue'],
      [8, 1, 10],
      [16, 1, 100],
    ])
  })
  it('against another spectrum shows ratios, 1 in the middle of the colours', () => {
    const reference = { label: 'step 8', at: () => Float64Array.from([10, 2]) }
    const figure = waterfallFigure([entry(8, [10, 2]), entry(16, [100, 1])], { ...options, reference })
    expect(zOf(figure)[0]).toEqual([0, 1])
    expect(zOf(figure)[1]![1]).toBeCloseTo(Math.log10(0.5), 12)
    expect(figure.traces[0]).toMatchObject({ zmin: -1, zmax: 1 })
  })
  it('says what of it is shown', () => {
    const figure = waterfallFigure([entry(8, [1, 1e-12])], { ...options, totalSteps: 900, missing: 3 })
    expect(figure.notes).toEqual([
      '1 of 900 steps, evenly spaced',
      '3 steps still loading',
      'values below 1e-8 of the largest take the last colour',
    ])
  })
  it('keeps first and last where it chooses', () => {
    expect(spaced([1, 2, 3, 4, 5, 6, 7, 8, 9], 3)).toEqual([1, 5, 9])
    const indices = spacedIndices(4096, 200)
    expect([indices.length <= 201, indices[0], indices[1], indices.at(-1)]).toEqual([true, 0, 1, 4095])
  })
})
