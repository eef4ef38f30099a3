import type { RunResult } from '@rankscope/experiments'
import { describe, expect, it } from 'vitest'
import { chartThemes } from '../charts/figure.ts'
import { measuredOf } from './measured.ts'
import { againstFigure, heatCells, overAxisFigure } from './sweep-figures.ts'

const rate = 'optimizer.learningRate'
const run = (
  method: 'lora' | 'full',
  learningRate: number,
  seed: number,
  accuracy: number | null,
  outcome: RunResult['outcome'] = 'finished',
): RunResult => ({
  runId: `${method}-${learningRate}-${seed}`,
  method,
  point: { method, [rate]: learningRate, seed },
  seed,
  outcome,
  validation: null,
  test: accuracy,
  measures: { accuracy, frobenius: accuracy === null ? null : 2 * accuracy },
})
const results = [
  run('lora', 1e-4, 1, 0.8),
  run('lora', 1e-4, 2, 0.6),
  run('lora', 1e-5, 1, 0.5),
  run('full', 1e-5, 1, 0.4),
  run('full', 1e-4, 1, null, 'diverged'),
]
const options = {
  path: rate,
  measured: measuredOf('accuracy'),
  logX: true,
  logY: false,
  best: [{ line: 'LoRA', point: { method: 'lora', [rate]: 1e-4 } }],
  theme: chartThemes.light,
}
type Trace = { name?: string; mode?: string; x: number[]; y: number[]; marker?: { symbol?: string } }

describe('a measure over an axis', () => {
  const traces = overAxisFigure(results, options).traces as Trace[]
  it('is a line of means per method, ascending, with every run as a dot', () => {
    const line = traces.find(({ name, mode }) => name === 'LoRA' && mode === 'lines')!
    expect(line.x).toEqual([1e-5, 1e-4])
    expect(line.y[0]).toBeCloseTo(50, 9)
    expect(line.y[1]).toBeCloseTo(70, 9)
    expect(traces.find(({ name, mode }) => name === 'LoRA' && mode === 'markers')!.x).toHaveLength(3)
  })
  it('marks the best setting by its mean, and what was lost by a cross', () => {
    const star = traces.find(({ marker }) => marker?.symbol === 'star')!
    expect([star.x[0], star.y[0]]).toEqual([1e-4, expect.closeTo(70, 9)])
    expect(traces.find(({ marker }) => marker?.symbol === 'x')!.x).toEqual([1e-4])
  })
  it('draws a method that has no such setting as a dashed line at its mean, across all values', () => {
    const levels = [0.3, 0.5].map((accuracy, seed): RunResult => {
      const { point, ...rest } = run('full', 1e-4, seed, accuracy)
      return { ...rest, point: { method: 'full', seed } }
    })
    const figure = overAxisFigure([...results.filter(({ method }) => method === 'lora'), ...levels], options)
    const level = (figure.traces as (Trace & { line?: { dash?: string } })[]).find(({ line }) => line?.dash)!
    expect(level).toMatchObject({ name: 'Full fine-tuning', x: [1e-5, 1e-4], line: { dash: 'dash' } })
    expect(level.y).toEqual([expect.closeTo(40, 9), expect.closeTo(40, 9)])
    expect(figure.table()).toHaveLength(1 + 3 + 2)
  })
  it('exports every run, the lost one too', () => {
    expect(overAxisFigure(results, options).table()).toHaveLength(1 + results.length)
  })
})

describe('two measures, two axes', () => {
  it('show each run that has both measures', () => {
    const figure = againstFigure(
      results,
      measuredOf('frobenius'),
      measuredOf('accuracy'),
      { x: false, y: false },
      chartThemes.dark,
    )
    expect(figure.drawnPoints).toBe(4)
    expect((figure.traces as Trace[]).map(({ x }) => x.length)).toEqual([3, 1])
  })
  it('show the mean of each pair of values, numbers ascending, and count what was lost', () => {
    const { rows, columns, cells } = heatCells(results, measuredOf('accuracy'), ['method', rate])
    expect(rows).toEqual(['lora', 'full'])
    expect(columns).toEqual([1e-5, 1e-4])
    expect(cells.map((row) => row.map(({ mean }) => mean))).toEqual([
      [0.5, expect.closeTo(0.7, 12)],
      [0.4, null],
    ])
    expect(cells[1]![1]!.lost).toBe(1)
  })
})
