import { sweepSpecSchema } from '@rankscope/protocol'
import { describe, expect, it } from 'vitest'
import type { RunResult } from './sweep-results.ts'
import { bestTable, runsTable } from './sweep-table.ts'

const spec = sweepSpecSchema.parse({
  name: 'rates',
  base: {},
  axes: [
    { path: 'method', values: ['lora', 'hd-pissa', 'full'] },
    { path: 'optimizer.learningRate', values: [1e-5, 1e-4] },
    { path: 'seed', values: [1, 2] },
  ],
})
const run = (
  method: RunResult['method'],
  rate: number,
  seed: number,
  test: number | null,
  outcome: RunResult['outcome'] = 'finished',
): RunResult => ({
  runId: `${method}-${rate}-${seed}`,
  method,
  point: { method, 'optimizer.learningRate': rate, seed },
  seed,
  outcome,
  validation: test,
  test,
  measures: { accuracy: test },
})
const results = [
  run('lora', 1e-5, 1, 0.5),
  run('lora', 1e-5, 2, 0.6),
  run('lora', 1e-4, 1, null, 'diverged'),
  run('hd-pissa', 1e-4, 1, 0.7),
  run('hd-pissa', 1e-4, 2, 0.8),
  run('full', 1e-4, 1, null, 'failed'),
]

describe('the tables of a sweep', () => {
  it('tell every method, the one of which nothing finished too, and count what was lost', () => {
    const { columns, rows, caption } = bestTable(spec, results)
    expect(columns).toEqual([
      'Method',
      'learningRate',
      'Validation accuracy (%)',
      'Test accuracy (%)',
      'n',
      'Difference to LoRA',
      'Diverged, failed',
    ])
    // Two seeds ten points apart: 12.706 × (10 / √2) / √2 = 63.5.
    expect(rows).toEqual([
      ['LoRA', '1e-5', '55.0 ± 63.5', '55.0 ± 63.5', '2', '', '1, 0'],
      ['HD-PiSSA', '1e-4', '75.0 ± 63.5', '75.0 ± 63.5', '2', '20.0 ± 0.0', '0, 0'],
      ['Full fine-tuning', '', '', '', '0', '', '0, 1'],
    ])
    expect(caption).toContain('chosen on validation data')
    expect(
      bestTable(
        spec,
        results.map((each) => ({ ...each, validation: null })),
      ).caption,
    ).toContain('no validation data')
  })

  it('have a row for every run', () => {
    const { columns, rows } = runsTable(spec, results)
    expect(columns).toEqual(['run', 'method', 'seed', 'optimizer.learningRate', 'outcome', 'accuracy'])
    expect(rows).toHaveLength(results.length)
    expect(rows[2]).toEqual(['lora-0.0001-1', 'lora', '1', '1e-4', 'diverged', ''])
  })
})
