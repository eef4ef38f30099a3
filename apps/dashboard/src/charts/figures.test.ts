import { runConfigSchema } from '@rankscope/protocol'
import { describe, expect, it } from 'vitest'
import { Series } from '../live/series.ts'
import { type SpectrumEntry, SpectrumIndex, skippedSteps } from '../live/spectra.ts'
import { meanBand, student } from './band.ts'
import { measureOverSteps } from './measure-figure.ts'
import { partRows } from './parts.ts'
import { joinedMarks, labelRows } from './rank-marks.ts'
import { type Curve, type ScalarOptions, scalarFigure } from './scalar-figure.ts'
import { spectrumFigure } from './spectrum-figure.ts'
import { spectrumNotes } from './spectrum-notes.ts'
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
    expect(Math.max(...figure.curves[0]!.raw!.high)).toBe(99)
    expect(figure.yAxis.range[1]).toBeGreaterThan(99)
    expect(figure.table()).toHaveLength(5001)
  })
  it('zoomed, draws what is in view with a neighbour on each side, and counts only what is seen', () => {
    const values = Array.from({ length: 5000 }, (_, index) => (index === 3333 ? 99 : 1))
    const zoom = { view: { from: 3300.5, to: 3400.5 }, details: new Map() }
    const figure = scalarFigure([curve(values)], { ...options, zoom })
    expect([figure.drawnPoints, figure.totalPoints, figure.zoomed]).toEqual([100, 100, true])
    const [line] = figure.curves
    expect([line!.x.length, line!.x[0], line!.x.at(-1), line!.y[34]]).toEqual([102, 3300, 3401, 99])
  })
  it('joins runs of one configuration to a mean with a band', () => {
    const group = { group: 'one' }
    const figure = scalarFigure([curve([1, 2], group), curve([3, 4], group)], options)
    const [mean] = figure.bands
    expect([...mean!.mean]).toEqual([2, 3])
    expect(mean!.label).toContain('mean of 2')
  })
  it('does not draw a constant on an axis from −1 to 1', () => {
    expect(scalarFigure([curve([2e-5, 2e-5, 2e-5])], options).yAxis.range.map((end) => end / 2e-5)).toEqual([
      expect.closeTo(0.9, 9),
      expect.closeTo(1.1, 9),
    ])
  })
  it('smooths before it joins points: the lag of the average is the same however many are drawn', () => {
    const ramp = curve(Array.from({ length: 6000 }, (_, index) => index))
    const lag = (points: number) =>
      5999 - scalarFigure([ramp], { ...options, smoothing: 0.9, points }).curves[0]!.y.at(-1)!
    expect(lag(6000)).toBeCloseTo(9, 6)
    expect(lag(300)).toBe(lag(6000))
  })
  it('smooths points that the server joined as long as it would have smoothed each: a lag in steps, not in points', () => {
    const every = 20
    const joined = new Series()
    const steps = Array.from({ length: 300 }, (_, index) => (index + 1) * every)
    joined.load({ steps, timesMs: steps, last: steps, low: null, high: null, total: 300 * every })
    const figure = scalarFigure([curve([], { series: new Map([['loss', joined]]) })], {
      ...options,
      smoothing: 0.9,
    })
    // An average of single points would lag by 9 of them, 180 steps.
    expect(6000 - figure.curves[0]!.y.at(-1)!).toBeLessThan(every)
    expect(figure.notes).toEqual(['smoothed from one value in 20: zoom in for all'])
  })
  it('marks NaN and infinities where they happen, also among joined points, and keeps the finite extremes', () => {
    const values = Array.from({ length: 4000 }, () => 1)
    values[1000] = Number.NaN
    values[2000] = Number.POSITIVE_INFINITY
    values[2001] = 7
    values[3000] = Number.NEGATIVE_INFINITY
    const figure = scalarFigure([curve(values)], options)
    const [line] = figure.curves
    expect(line!.misfits.map(({ kind, count }) => [kind, count])).toEqual([
      ['NaN', 1],
      ['+∞', 1],
      ['−∞', 1],
    ])
    for (const [index, step] of [1001, 2001, 3001].entries())
      expect(Math.abs(line!.misfits[index]!.x - step)).toBeLessThan(8)
    expect(Math.max(...line!.raw!.high)).toBe(7)
    expect(figure.notes).toEqual(['1 NaN, 1 +∞, 1 −∞: marked at the edge'])
  })
  it('counts NaN that the server joined away', () => {
    const joined = new Series()
    joined.load({
      steps: [8, 16],
      timesMs: [8, 16],
      last: [1, 2],
      low: [1, 1],
      high: [2, 3],
      nans: [0, 3],
      total: 16,
    })
    const figure = scalarFigure([curve([], { series: new Map([['loss', joined]]) })], options)
    expect(figure.curves[0]!.misfits).toEqual([{ x: 16, kind: 'NaN', count: 3 }])
  })
  it('says what has no place on a logarithmic axis', () => {
    const figure = scalarFigure([curve([1, 0, -2, 4])], { ...options, logY: true })
    expect(figure.notes).toEqual(['2 points at or below 0 have no place on a logarithmic axis'])
    expect(figure.curves[0]!.misfits.map(({ x }) => x)).toEqual([2, 3])
    expect([...figure.curves[0]!.y]).toEqual([1, Number.NaN, Number.NaN, 4])
  })
  it('exports the extremes, the number and the NaN of joined points, and single points as they are', () => {
    const joined = new Series()
    joined.load({
      steps: [8, 16],
      timesMs: [8, 16],
      last: [1, 2],
      low: [-5, 1],
      high: [2, 99],
      nans: [0, 1],
      total: 16,
    })
    const figure = scalarFigure([curve([], { series: new Map([['loss', joined]]) })], options)
    expect(figure.table()).toEqual([
      ['run', 'step', 'loss', 'min', 'max', 'points', 'nan'],
      ['a', 8, 1, -5, 2, 8, 0],
      ['a', 16, 2, 1, 99, 8, 1],
    ])
    expect(scalarFigure([curve([3])], options).table()).toEqual([
      ['run', 'step', 'loss'],
      ['a', 1, 3],
    ])
  })
  it('never tells steps as tokens: runs without tokens are left out, and it says so', () => {
    const withTokens = curve([1, 2])
    const series = new Map([...withTokens.series, ['train/tokens', tokensSeries([100, 200])]])
    const figure = scalarFigure([{ ...withTokens, series }, curve([5, 6], { runId: 'b' })], {
      ...options,
      xAxis: 'tokens',
    })
    expect(figure.curves.map(({ x }) => [...x])).toEqual([[100, 200]])
    expect(figure.notes).toEqual(['1 of 2 runs tell no tokens and are left out'])
  })
  it('says where a mean ends before its members do', () => {
    const group = { group: 'one' }
    const figure = scalarFigure([curve([1, 2, 3], group), curve([3, 4], group)], options)
    expect(figure.notes).toEqual(['means end where the shortest run of their group ends'])
  })
})

function tokensSeries(values: readonly number[]): Series {
  return series(values)
}

describe('the x axis', () => {
  it('interpolates tokens between known steps and from the origin', () => {
    const tokens = new Series()
    tokens.append(2, 0, 200)
    tokens.append(4, 0, 500)
    expect([0, 1, 2, 3, 4].map((step) => tokensAt(tokens, step))).toEqual([0, 100, 200, 350, 500])
  })
})

describe('mean and band', () => {
  it('cover the steps that every member has reached, with the 95 % interval of the mean by Student’s t', () => {
    const member = (y: number[]) => ({
      steps: y.map((_, index) => index + 1),
      x: y.map((_, index) => index + 1),
      y,
    })
    const band = meanBand([member([1, 2, 3]), member([3, 4])])
    expect([...band.mean]).toEqual([2, 3])
    // s = √2, n = 2: 12.706 · √2 / √2
    expect(band.high[0]! - band.mean[0]!).toBeCloseTo(12.706, 9)
    expect(student(30)).toBeCloseTo(2.0423, 3)
    expect([...meanBand([member([1, 10]), member([100, 10])], true).mean]).toEqual([
      expect.closeTo(10, 9),
      expect.closeTo(10, 9),
    ])
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
      measures: { ...measures, frobenius },
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
    // A newer part without its total belongs to no row: parts add up within one step only.
    index.add({
      ...index.latest('a', 'rounding')!,
      step: 8,
      measures: { stableRank: 1, beyondFirstOrder: 9 },
    })
    const [total, first, second, rounding] = partRows(index, 'a', null)
    expect(total).toMatchObject({ part: 'total', largest: 1, beyond: 0.5, tailRatio: 0.1, share: null })
    expect(first).toMatchObject({ beyond: 0, share: null })
    expect(second!.share).toBeCloseTo(0.36, 12)
    expect(rounding!.share).toBeCloseTo(0.64, 12)
  })
})

describe('a measure over steps', () => {
  it('averages the watched modules at steps that all of them have, never values of different steps', () => {
    const index = new SpectrumIndex()
    const add = (module: string, step: number, effectiveRank: number, final = false) =>
      index.add({
        module,
        step,
        part: 'total',
        final,
        rows: 2,
        columns: 2,
        measures: { effectiveRank, frobenius: 1 },
        singularValues: null,
      } satisfies SpectrumEntry)
    add('a', 2, 7)
    add('a', 4, 1)
    add('b', 4, 3)
    add('a', 8, 2)
    add('a', 12, 4)
    add('b', 12, 6)
    add('only at the end', 8, 9, true)
    expect(measureOverSteps(index, { measure: 'effectiveRank', module: null, part: 'total' })).toEqual({
      x: [4, 12],
      y: [2, 5],
      incomplete: 2,
    })
    // A tail ratio at a rank that is no mark of the method is no point, not a NaN.
    expect(measureOverSteps(index, { measure: 'tailRatioAt2Kr', module: 'a', part: 'total' }).x).toEqual([])
    expect(measureOverSteps(index, { measure: 'effectiveRank', module: 'a', part: 'total' })).toEqual({
      x: [2, 4, 8, 12],
      y: [7, 1, 2, 4],
      incomplete: 0,
    })
  })
})

describe('spectra of several runs', () => {
  const index = (steps: readonly number[]) => {
    const made = new SpectrumIndex()
    for (const step of steps)
      made.add({
        module: 'm',
        step,
        part: 'total',
        final: false,
        rows: 2,
        columns: 2,
        measures: {},
        singularValues: new Float64Array([2, 1]),
      })
    return made
  }
  const known = (runId: string, steps: readonly number[]) => ({
    runId,
    label: runId,
    store: { spectra: index(steps) },
    run: { config: { spectra: { everySteps: 8 } } },
  })
  it('say which are of another step than asked for, missing, or skipped', () => {
    const curves = [known('a', [8, 16, 24]), known('b', [8, 24]), known('c', [])]
    const shown = [
      { ...curves[0]!, entry: { step: 16 } },
      { ...curves[1]!, entry: { step: 8 } },
    ]
    expect(spectrumNotes(curves, shown, { module: 'm', part: 'total', step: 16 })).toEqual([
      'not of step 16: b of step 8',
      '1 of 3 runs show no spectrum here',
      '1 snapshot was left out: decomposing took longer than training',
    ])
  })
  it('skipped steps are those due up to the newest one recorded', () => {
    const entries = [8, 32].map((step) => ({ step, final: false }))
    expect(skippedSteps([...entries, { step: 35, final: true }], 8)).toEqual([16, 24])
    expect(skippedSteps(entries, null)).toEqual([])
  })
  it('tell how many values lie off the axis', () => {
    const curve = { runId: 'a', label: 'a', colour: '#000000', dash: 'solid', floor: null } as const
    const entry = { ...index([8]).latest('m', 'total')!, singularValues: new Float64Array([1, 1e-12, 0]) }
    const figure = spectrumFigure([{ ...curve, entry }], {
      logX: true,
      logY: true,
      normalised: false,
      marks: [],
      showFloor: true,
      largest: null,
      notes: [],
      empty: '',
    })
    expect([figure.drawnPoints, figure.totalPoints]).toEqual([1, 3])
    expect(figure.notes?.[0]).toContain('2 of 3 values are 0 or below 1e-10 of the largest')
  })
})
