import { describe, expect, it } from 'vitest'
import { bestSettings } from './best-settings.ts'
import { compareLines } from './compare-settings.ts'
import { lineOf, linesIn } from './sweep-lines.ts'
import type { RunResult } from './sweep-results.ts'

const run = (aggregate: 'sum' | 'mean', learningRate: number, seed: number, test: number): RunResult => ({
  runId: `${aggregate}-${learningRate}-${seed}`,
  method: 'hd-pissa',
  point: { method: 'hd-pissa', 'method.aggregate': aggregate, 'optimizer.learningRate': learningRate, seed },
  seed,
  outcome: 'finished',
  validation: test,
  test,
  measures: {},
})
const results = [
  run('sum', 1e-3, 1, 0.9),
  run('sum', 4e-3, 1, 0.5),
  run('mean', 1e-3, 1, 0.6),
  run('mean', 4e-3, 1, 0.8),
]

describe('the lines of a sweep', () => {
  it('are told apart by what makes another method or task of a run, not by what is tuned', () => {
    expect(linesIn(results)).toEqual(['HD-PiSSA, sum', 'HD-PiSSA, mean'])
    const of = (point: RunResult['point']) => lineOf({ method: 'lora', point })
    expect(of({ method: 'lora', 'method.rankStabilized': true, 'method.rank': 8 })).toBe(
      'LoRA, rankStabilized true',
    )
    expect(of({ 'data.source.path': '/data/math.json', 'schedule.kind': 'cosine', seed: 1 })).toBe(
      'LoRA, math.json',
    )
    expect(of({ 'method.rank': 4, 'method.alpha': null, 'optimizer.learningRate': 1e-4 })).toBe('LoRA')
  })

  it('each have a best setting of their own, so that sum is compared with mean at its own rate', () => {
    expect(
      bestSettings(results, 'accuracy').map(({ setting }) => [
        setting.line,
        setting.point['optimizer.learningRate'],
      ]),
    ).toEqual([
      ['HD-PiSSA, sum', 1e-3],
      ['HD-PiSSA, mean', 4e-3],
    ])
    const [sum, mean] = compareLines(results, 'accuracy', 'HD-PiSSA, mean')
    expect(sum!.difference!.mean).toBeCloseTo(0.1, 12)
    expect(mean!.difference).toBeNull()
  })
})
