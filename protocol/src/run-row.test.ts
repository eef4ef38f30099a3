import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { methodNames } from './method-config.ts'
import { type RunConfig, runConfigSchema } from './run-config.ts'
import { changeOfRow, toRunRow } from './run-row.ts'
import { configFromSettings, settingsOf } from './run-settings.ts'
import type { RunView } from './views.ts'

const plain = { data: { source: { kind: 'task', task: 'arithmetic' } }, method: { name: 'lora' } }

describe('settings of a configuration', () => {
  it('name only what differs from the defaults of the method', () => {
    const config = runConfigSchema.parse({
      ...plain,
      optimizer: { learningRate: 0.01 },
      method: { name: 'lora', rank: 4 },
      tags: ['a'],
    })
    expect(settingsOf(config)).toEqual({
      'method.name': 'lora',
      'method.rank': 4,
      'optimizer.learningRate': 0.01,
      tags: ['a'],
    })
  })

  it('give back the configuration, whatever it is', () => {
    const source = fc.constantFrom(
      { kind: 'task', task: 'arithmetic', trainExamples: 7 },
      { kind: 'records', path: 'a.jsonl', fields: null },
      { kind: 'text', path: 'a.txt', evaluationPath: 'b.txt' },
    )
    const config = fc
      .record({
        data: fc.record({ source, limit: fc.constantFrom(null, 5) }),
        method: fc.record({ name: fc.constantFrom(...methodNames) }),
        targetModules: fc.constantFrom(['q_proj'], ['q_proj', 'v_proj']),
        seed: fc.nat(1000),
        spectra: fc.record({ modules: fc.constantFrom(null, ['q_proj']) }),
      })
      .map((input) => runConfigSchema.safeParse(input))
      .filter((parsed) => parsed.success)
      .map((parsed) => parsed.data as RunConfig)
    fc.assert(
      fc.property(config, (one) => {
        const travelled = JSON.parse(JSON.stringify(settingsOf(one)))
        expect(configFromSettings(travelled)).toEqual(one)
      }),
      { numRuns: 300, seed: 3 },
    )
  })
})

describe('a row of a run', () => {
  const view = {
    runId: 'r',
    state: 'running',
    config: runConfigSchema.parse(plain),
    start: { modules: [] },
    checkpoint: null,
    latest: { 'train/loss': 1, 'spectrum/effectiveRank/model.layers.0': 2 },
    step: 1,
  } as unknown as RunView

  it('leaves out what lists do not show: configuration, shapes, scalars of single modules', () => {
    expect(toRunRow(view)).toEqual({
      runId: 'r',
      state: 'running',
      latest: { 'train/loss': 1 },
      step: 1,
      checkpointStep: null,
      settings: { 'method.name': 'lora' },
    })
  })

  it('changes by the fields that changed', () => {
    const before = toRunRow(view)
    const after = toRunRow({ ...view, step: 2, latest: { 'train/loss': 'NaN' } })
    expect(changeOfRow(before, after)).toEqual({ runId: 'r', step: 2, latest: { 'train/loss': 'NaN' } })
    expect(changeOfRow(before, toRunRow({ ...view }))).toBeNull()
  })
})
