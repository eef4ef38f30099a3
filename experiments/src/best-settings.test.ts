/** Held to a computation of its own: plain loops over the same runs, with the 95 % factors of a table. */
import type { RunView } from '@rankscope/protocol'
import { runConfigSchema } from '@rankscope/protocol'
import { describe, expect, it } from 'vitest'
import { bestSettings, settingsOf } from './best-settings.ts'
import { compareLines } from './compare-settings.ts'
import { type RunResult, runResult } from './sweep-results.ts'

type Given = {
  method: 'lora' | 'hd-pissa' | 'full'
  rate: number
  seed: number
  validation?: number | null
  test?: number | null
  outcome?: RunResult['outcome']
}
const result = ({
  method,
  rate,
  seed,
  validation = null,
  test = null,
  outcome = 'finished',
}: Given): RunResult => ({
  runId: `${method}-${rate}-${seed}`,
  method,
  point: { method, 'optimizer.learningRate': rate, seed },
  seed,
  outcome,
  validation: outcome === 'finished' ? validation : null,
  test: outcome === 'finished' ? test : null,
  measures: {},
})

/** Validation and test disagree about the best rate of LoRA on purpose. */
const given: Given[] = [
  { method: 'lora', rate: 1e-5, seed: 1, validation: 0.5, test: 0.9 },
  { method: 'lora', rate: 1e-5, seed: 2, validation: 0.5, test: 0.92 },
  { method: 'lora', rate: 1e-4, seed: 1, validation: 0.7, test: 0.66 },
  { method: 'lora', rate: 1e-4, seed: 2, validation: 0.6, test: 0.61 },
  { method: 'hd-pissa', rate: 1e-5, seed: 1, validation: 0.8, test: 0.71 },
  { method: 'hd-pissa', rate: 1e-5, seed: 2, validation: 0.7, test: 0.73 },
  { method: 'hd-pissa', rate: 1e-4, seed: 1, validation: 0.99, test: 0.99 },
  { method: 'hd-pissa', rate: 1e-4, seed: 2, outcome: 'diverged' },
]

describe('the best setting of a method', () => {
  it('is chosen on validation data and reported on test data', () => {
    const [lora] = bestSettings(given.map(result), 'accuracy')
    expect(lora!.setting.point).toEqual({ method: 'lora', 'optimizer.learningRate': 1e-4 })
    expect(lora!.byValidation).toBe(true)
    expect(lora!.setting.test!.mean).toBeCloseTo((0.66 + 0.61) / 2, 12)
    const deviation = Math.abs(0.66 - 0.61) / Math.SQRT2
    expect(lora!.setting.test!.halfWidth).toBeCloseTo((12.706204736174694 * deviation) / Math.SQRT2, 9)
  })

  it('is none of which a run diverged, as long as another is whole; such runs are counted', () => {
    const [, hd] = bestSettings(given.map(result), 'accuracy')
    expect(hd!.setting.point).toEqual({ method: 'hd-pissa', 'optimizer.learningRate': 1e-5 })
    expect(hd!.isComplete).toBe(true)
    const broken = settingsOf(given.map(result)).find(({ counts }) => counts.diverged > 0)!
    expect(broken.counts).toEqual({ finished: 1, diverged: 1, failed: 0, pending: 0 })
  })

  it('is, where no setting is whole, the one with most runs, and said to be incomplete', () => {
    const runs: Given[] = [
      { method: 'full', rate: 1, seed: 1, validation: 0.9, test: 0.9 },
      { method: 'full', rate: 1, seed: 2, outcome: 'failed' },
      { method: 'full', rate: 1, seed: 3, outcome: 'failed' },
      { method: 'full', rate: 2, seed: 1, validation: 0.3, test: 0.3 },
      { method: 'full', rate: 2, seed: 2, validation: 0.3, test: 0.3 },
      { method: 'full', rate: 2, seed: 3, outcome: 'pending' },
    ]
    const [best] = bestSettings(runs.map(result), 'accuracy')
    expect(best).toMatchObject({ isComplete: false, setting: { point: { 'optimizer.learningRate': 2 } } })
  })

  it('names ties, takes the first of them, and prefers the lower loss', () => {
    const runs: Given[] = [3, 1, 2].map((rate) => ({
      method: 'lora',
      rate,
      seed: 1,
      validation: rate === 3 ? 0.5 : 0.4,
      test: rate,
    }))
    const [best] = bestSettings(runs.map(result), 'loss')
    expect(best!.setting.point['optimizer.learningRate']).toBe(1)
    expect(best!.ties.map(({ point }) => point['optimizer.learningRate'])).toEqual([2])
  })

  it('says when there was no validation data to choose by', () => {
    const [best] = bestSettings([result({ method: 'lora', rate: 1, seed: 1, test: 0.5 })], 'accuracy')
    expect(best).toMatchObject({
      byValidation: false,
      setting: { test: { n: 1, mean: 0.5, halfWidth: null } },
    })
    expect(
      bestSettings([result({ method: 'lora', rate: 1, seed: 1, outcome: 'pending' })], 'accuracy'),
    ).toEqual([])
  })

  it('is compared with the baseline’s by differences paired over seeds', () => {
    const compared = compareLines(given.map(result), 'accuracy', 'LoRA')
    expect(compared.map(({ line, difference }) => [line, difference === null])).toEqual([
      ['LoRA', true],
      ['HD-PiSSA', false],
    ])
    const differences = [0.71 - 0.66, 0.73 - 0.61]
    const mean = (differences[0]! + differences[1]!) / 2
    const deviation = Math.abs(differences[0]! - differences[1]!) / Math.SQRT2
    expect(compared[1]!.difference!.mean).toBeCloseTo(mean, 12)
    expect(compared[1]!.difference!.halfWidth).toBeCloseTo((12.706204736174694 * deviation) / Math.SQRT2, 9)
  })
})

describe('what a run came to', () => {
  const config = runConfigSchema.parse({
    data: { source: { kind: 'task', task: 'arithmetic' } },
    method: { name: 'lora' },
    seed: 3,
  })
  const view = (over: Partial<RunView>) => ({
    runId: 'a',
    state: 'finished' as const,
    config,
    summary: null,
    error: null,
    ...over,
  })
  it('is read from its state and summary', () => {
    const summary = { accuracy: 0.5, validationAccuracy: 0.6, finalLoss: 1.2, frobenius: 2 }
    expect(runResult(view({ summary }), { seed: 3 }, 'accuracy')).toMatchObject({
      outcome: 'finished',
      validation: 0.6,
      test: 0.5,
      seed: 3,
      measures: { frobenius: 2 },
    })
    expect(runResult(view({ summary: { ...summary, finalLoss: 'NaN' } }), {}, 'accuracy').outcome).toBe(
      'diverged',
    )
    expect(
      runResult(
        view({ state: 'failed', error: { code: 'NUMERIC', message: '', hint: null } }),
        {},
        'accuracy',
      ).outcome,
    ).toBe('diverged')
    expect(
      runResult(
        view({ state: 'failed', error: { code: 'OUT_OF_MEMORY', message: '', hint: null } }),
        {},
        'accuracy',
      ).outcome,
    ).toBe('failed')
    expect(runResult(view({ state: 'lost' }), {}, 'accuracy').outcome).toBe('pending')
  })
})
