import { runConfigSchema } from '@rankscope/protocol'
import { describe, expect, it } from 'vitest'
import { Series } from '../live/series.ts'
import { type SpectrumEntry, SpectrumIndex } from '../live/spectra.ts'
import { meanBand } from './band.ts'
import { chartThemes } from './figure.ts'
import { measureOverSteps } from './measure-figure.ts'
import { partRows } from './parts.ts'
import { joinedMarks, labelRows } from './rank-marks.ts'
import { type Curve, type ScalarOptions, scalarFigure } from './scalar-figure.ts'
import { tokensAt } from './x-axis.ts'

const data = { source: { kind: 'task', task: 'programs' } } as const
const method = (config: { name: 'lora' | 'pissa' | 'hd-pissa' | 'full'; rank?: number }) =>
  runConfigSchema.parse({ data, method: config }).method

function series(values: readonly number[]): Series {
  const made = new Series()
  values.forEach((value, index) => made.append(index + 1, 1000 * (index + 1), value))
  return made
}

const curve = (values: readonly number[], change: Partial<Curve> = {}): Curve => ({
  runId: 'a',
  label: 'a',
  colour: '#000000',
  dash: 'solid',
  emphasis: 'normal',
  group: null,
  series: new Map([['loss', series(values)]]),
  originMs: 0,
  ...change,
})
const options: ScalarOptions = {
  name: 'loss',
  yTitle: '',
  xAxis: 'step',
  logX: false,
  logY: false,
  smoothing: 0,
  markers: false,
  format: 'plain',
  theme: chartThemes.light,
  empty: 'nothing yet',
  points: 600,
  zoom: null,
}

describe('a scalar figure', () => {
  it('says what is missing when there is no point', () => {
    expect(scalarFigure([curve([])], options).empty).toBe('nothing yet')
  })
  it('draws at most so many points per run, keeps the spike, and tells how many there are', () => {
    const values = Array.from({ length: 5000 }, (_, index) => (index === 3333 ? 99 : 1))
    const figure = scalarFigure([curve(values)], options)
    expect([figure.drawnPoints, figure.totalPoints]).toEqual([600, 5000])
    const [raw] = figure.traces as { y: Float64Array }[]
    expect(Math.max(...raw!.y)).toBe(99)
    expect(figure.table()).toHaveLength(5001)
  })
  it('zoomed, draws what is in view with a neighbour on each side, and counts only what is seen', () => {
    const values = Array.from({ length: 5000 }, (_, index) => (index === 3333 ? 99 : 1))
    const zoom = { view: { from: 3300.5, to: 3400.5 }, details: new Map() }
    const figure = scalarFigure([curve(values)], { ...options, zoom })
    expect([figure.drawnPoints, figure.totalPoints, figure.zoomed]).toEqual([100, 100, true])
    const [line] = figure.traces as { x: Float64Array; y: Float64Array }[]
    expect([line!.x.length, line!.x[0], line!.x.at(-1), line!.y[34]]).toEqual([102, 3300, 3401, 99])
  })
  it('joins runs of one configuration to a mean with a band', () => {
    const group = { group: 'one' }
    const figure = scalarFigure([curve([1, 2], group), curve([3, 4], group)], options)
    const mean = figure.traces.at(-1) as { y: Float64Array; name: string }
    expect([...mean.y]).toEqual([2, 3])
    expect(mean.name).toContain('mean of 2')
  })
})

describe('the x axis', () => {
  it('interpolates tokens between known steps and from the origin', () => {
    const tokens = new Series()
    tokens.append(2, 0, 200)
    tokens.append(4, 0, 500)
    expect([0, 1, 2, 3, 4].map((step) => tokensAt(tokens, step))).toEqual([0, 100, 200, 350, 500])
  })
})

describe('mean and band', () => {
  it('cover the steps that every member has reached, with sample deviation', () => {
    const member = (y: number[]) => ({
      steps: y.map((_, index) => index + 1),
      x: y.map((_, index) => index + 1),
      y,
    })
    const band = meanBand([member([1, 2, 3]), member([3, 4])])
    expect([...band.mean]).toEqual([2, 3])
    expect(band.high[0]! - band.mean[0]!).toBeCloseTo(Math.SQRT2, 12)
  })
})

describe('rank marks', () => {
  it('of several methods share a line where they fall together; bold only where all are bounded', () => {
    const runs = [
      { method: method({ name: 'lora', rank: 4 }), devices: 4 },
      { method: method({ name: 'hd-pissa', rank: 4 }), devices: 4 },
    ]
    expect(joinedMarks(runs, 1000)).toEqual([
      { label: 'r', rank: 4, bound: false },
      { label: '2r', rank: 8, bound: false },
      { label: 'Kr', rank: 16, bound: false },
      { label: '2Kr', rank: 32, bound: false },
    ])
  })
  it('have labels that never overlap within a row', () => {
    expect(labelRows([10, 20, 30, 100], [30, 30, 30, 30])).toEqual([0, 1, 2, 0])
  })
})

describe('the parts of an update', () => {
  const index = new SpectrumIndex()
  const add = (part: SpectrumEntry['part'], frobenius: number, measures: Record<string, number>) =>
    index.add({
      module: 'a',
      step: 4,
      part,
      final: false,
      rows: 9,
      columns: 9,
      frobenius,
      measures,
      singularValues: null,
    })
  add('total', 2, { stableRank: 4, beyondFirstOrder: 0.5, tailRatioAt2Kr: 0.1 })
  it('are none without attribution', () => {
    expect(partRows(index, 'a', null)).toEqual([])
  })
  it('share the energy beyond the first order between second order and rounding', () => {
    add('first-order', 2, { stableRank: 1 })
    add('second-order', 1, { stableRank: 1, beyondFirstOrder: 0.3 })
    add('rounding', 1, { stableRank: 1, beyondFirstOrder: 0.4 })
    const [total, first, second, rounding] = partRows(index, 'a', null)
    expect(total).toMatchObject({ part: 'total', largest: 1, beyond: 0.5, tailRatio: 0.1, share: null })
    expect(first).toMatchObject({ beyond: 0, share: null })
    expect(second!.share).toBeCloseTo(0.36, 12)
    expect(rounding!.share).toBeCloseTo(0.64, 12)
  })
})

describe('a measure over steps', () => {
  it('is the mean of the newest value of each watched module, once all have one', () => {
    const index = new SpectrumIndex()
    const add = (module: string, step: number, effectiveRank: number, final = false) =>
      index.add({
        module,
        step,
        part: 'total',
        final,
        rows: 2,
        columns: 2,
        frobenius: 1,
        measures: { effectiveRank },
        singularValues: null,
      } satisfies SpectrumEntry)
    add('a', 2, 7)
    add('a', 4, 1)
    add('b', 4, 3)
    add('a', 8, 2)
    add('only at the end', 8, 9, true)
    expect(measureOverSteps(index, { measure: 'effectiveRank', module: null, part: 'total' })).toEqual({
      x: [4, 8],
      y: [2, 2.5],
    })
    // A tail ratio at a rank that is no mark of the method is no point, not a NaN.
    expect(measureOverSteps(index, { measure: 'tailRatioAt2Kr', module: 'a', part: 'total' }).x).toEqual([])
    expect(measureOverSteps(index, { measure: 'effectiveRank', module: 'a', part: 'total' })).toEqual({
      x: [2, 4, 8],
      y: [7, 1, 2],
    })
  })
})
