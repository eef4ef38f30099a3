import { describe, expect, it } from 'vitest'
import type { LineCurve, LineFigure } from './figure.ts'
import { hoverAt } from './hover.ts'
import { placeOf } from './paint.ts'

const numbers = (...values: number[]) => Float64Array.from(values)
const curve = (change: Partial<LineCurve>): LineCurve => ({
  runId: 'a',
  label: 'lora-brave-otter',
  colour: '#000000',
  dash: 'solid',
  markers: false,
  x: numbers(0, 50_000, 100_000),
  y: numbers(1, 2, 3),
  called: null,
  raw: null,
  misfits: [],
  ...change,
})
const figure = (curves: LineCurve[]): LineFigure => ({
  kind: 'lines',
  curves,
  bands: [],
  marks: [],
  levels: [],
  xAxis: {
    title: 'step',
    log: false,
    range: [0, 100_000],
    ticks: 'count',
    format: (value) => value.toLocaleString('en-US'),
  },
  yAxis: { title: 'loss', log: false, range: [0, 4], ticks: 'number', format: String },
  drawnPoints: 3,
  totalPoints: 3,
  empty: null,
  table: () => [],
})
/** 1000 × 400 pixels. */
const at = (curves: LineCurve[], x: number, y: number) => {
  const shown = figure(curves)
  return hoverAt(shown, placeOf(shown, { left: 0, top: 0, width: 1000, height: 400 }), { x, y })
}

describe('the hover box', () => {
  it('tells raw and smoothed values apart, and the step in full', () => {
    const raw = {
      low: numbers(1, 1.5, 3),
      high: numbers(1, 1.5, 3),
      last: numbers(1, 1.5, 3),
      counts: numbers(1, 1, 1),
    }
    const hover = at([curve({ called: 'smoothed', raw })], 498, 200)
    expect(hover?.title).toBe('step 50,000')
    expect(hover?.rows[0]?.text).toBe('smoothed 2, raw 1.5')
  })
  it('of joined points tells range, last and number', () => {
    const raw = {
      low: numbers(1, 0.5, 3),
      high: numbers(1, 9, 3),
      last: numbers(1, 2, 3),
      counts: numbers(8, 8, 8),
    }
    expect(at([curve({ raw })], 500, 0)?.rows[0]?.text).toBe('0.5 to 9, last 2 (8 points)')
  })
  it('names a NaN or an infinity where it is', () => {
    const broken = curve({ y: numbers(1, Number.NaN, 3), misfits: [{ x: 50_000, kind: 'NaN', count: 1 }] })
    expect(at([broken], 500, 0)?.rows[0]?.text).toBe('NaN')
  })
  it('puts the nearest curve first, and says where another one’s point is if not at the same x', () => {
    const other = curve({ runId: 'b', label: 'b', x: numbers(0, 49_000, 100_000), y: numbers(3, 3, 3) })
    const hover = at([curve({}), other], 500, 190)
    expect(hover?.rows.map(({ runId, text }) => [runId, text])).toEqual([
      ['a', '2'],
      ['b', '3 (at 49,000)'],
    ])
  })
  it('is silent about a curve that ended before', () => {
    const short = curve({ runId: 'b', x: numbers(0, 10_000), y: numbers(1, 1) })
    expect(at([curve({}), short], 900, 100)?.rows.map(({ runId }) => runId)).toEqual(['a'])
  })
  it('lists ten curves and counts the rest', () => {
    const many = Array.from({ length: 30 }, (_, index) =>
      curve({ runId: `r${index}`, y: numbers(index, index, index) }),
    )
    const hover = at(many, 500, 400)
    expect([hover?.rows.length, hover?.more, hover?.runId]).toEqual([10, 20, 'r0'])
  })
})
