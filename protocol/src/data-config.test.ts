import { describe, expect, it } from 'vitest'
import { checkRunConfig } from './check-config.ts'
import { multiTaskMix, multiTaskSetNames } from './multi-task-mix.ts'
import { recordBodySchema } from './records.ts'
import { runConfigSchema } from './run-config.ts'

const method = { name: 'lora' } as const
const findings = (data: object) =>
  checkRunConfig(runConfigSchema.parse({ data, method, evaluation: { atEnd: false } }))

describe('the data of a configuration', () => {
  it('that was stored before there were mixes means what it meant', () => {
    const stored = {
      source: {
        kind: 'records',
        path: 'train.jsonl',
        evaluationPath: 'test.jsonl',
        fields: { instruction: 'q', output: 'a' },
        scorer: 'gsm8k',
      },
      template: 'alpaca',
      maxLength: 512,
      limit: null,
      shuffle: true,
      reshuffle: false,
      assign: 'interleave',
      sampling: 'distributed',
      remainder: 'drop',
    }
    const { data } = runConfigSchema.parse({ data: stored, method })
    expect(data).toMatchObject(stored)
    expect(data).toMatchObject({ validationShare: 0, packing: false, source: { validationPath: null } })
  })

  it('records of a start that older versions told still parse', () => {
    const start = {
      kind: 'start',
      backend: 'cpu',
      threads: 1,
      totalSteps: 3,
      startStep: 0,
      trainableParameters: 1,
      totalParameters: 1,
      modules: [],
      warnings: [],
    }
    expect(recordBodySchema.parse(start)).toEqual({ ...start, computedBy: '', data: [] })
  })

  it('of the paper’s eleven sets is one configuration', () => {
    const files = Object.fromEntries(multiTaskSetNames.map((name) => [name, `${name}.json`])) as Parameters<
      typeof multiTaskMix
    >[0]
    const source = multiTaskMix(files, { BoolQ: 'boolq-test.json' })
    expect(source.sources).toHaveLength(11)
    const { data } = runConfigSchema.parse({ data: { source }, method })
    expect(data.source).toMatchObject({ kind: 'mix', examples: null })
    expect(findings({ source })).toEqual([])
  })

  it('in which only some sources of a mix have a weight is refused', () => {
    const task = { kind: 'task', task: 'choice' }
    const mix = (...weights: (number | null)[]) => ({
      source: { kind: 'mix', sources: weights.map((weight) => ({ source: task, weight })) },
    })
    expect(findings(mix(1, 2))).toEqual([])
    expect(findings(mix(null, null))).toEqual([])
    expect(findings(mix(1, null))).toMatchObject([{ severity: 'error', path: 'data.source.sources' }])
  })

  it('warns of settings that have no effect', () => {
    const paths = (data: object) => findings(data).map(({ severity, path }) => `${severity} ${path}`)
    const text = { kind: 'text', path: 'a.txt' }
    expect(paths({ source: text, packing: true })).toEqual(['warning data.packing'])
    expect(paths({ source: text, template: 'plain' })).toEqual(['warning data.template'])
    const tokens = { kind: 'tokens', path: 'a.jsonl' }
    expect(paths({ source: tokens, template: 'chat' })).toEqual(['warning data.template'])
    expect(paths({ source: tokens, validationSeed: 3 })).toEqual(['warning data.validationSeed'])
    const own = { ...tokens, validationPath: 'b.jsonl' }
    expect(paths({ source: own, validationShare: 0.1 })).toEqual(['warning data.validationShare'])
  })
})
