import { comparison, methodNames, runConfigSchema } from '@rankscope/protocol'
import { describe, expect, it } from 'vitest'
import { makeDraft, planRuns, presetBase, runBase, withChange } from './draft.ts'
import { configFields, fieldAt, initialValues, settingTitle } from './schema.ts'

const base = presetBase('comparison')

describe('the form’s fields', () => {
  it('cover the whole configuration and give its defaults', () => {
    const initial = initialValues(configFields)
    const data = { source: { kind: 'task', task: 'programs' } }
    const config = { ...initial, data: { ...(initial['data'] as object), ...data }, method: { name: 'lora' } }
    expect(runConfigSchema.parse(config)).toEqual(runConfigSchema.parse({ data, method: { name: 'lora' } }))
  })
  it('know title and help of a setting inside a union', () => {
    const config = runConfigSchema.parse({
      data: { source: { kind: 'task', task: 'mix' } },
      method: { name: 'hd-pissa' },
    })
    expect(fieldAt(config, 'method.aggregate')?.title).toBe('Aggregate')
    expect(fieldAt(config, 'data.source.task')?.kind).toBe('choice')
    expect(fieldAt(config, 'method.mute')?.kind).toBe('wordOrObject')
    expect(fieldAt(config, 'method.nonsense')).toBeNull()
    expect(settingTitle(config, 'method.name')).toBe('Method')
    expect(settingTitle(config, 'data.source.kind')).toBe('Source')
  })
})

describe('a draft', () => {
  it('of the comparison preset plans the protocol’s own comparison', () => {
    const draft = makeDraft(base, ['lora', 'pissa', 'hd-pissa'], {})
    expect(planRuns(draft, 'g').configs).toEqual(comparison('g', ['lora', 'pissa', 'hd-pissa']))
  })
  it.each(methodNames)('of %s alone is valid with its defaults', (method) => {
    const plan = planRuns(makeDraft(presetBase('blank'), [method], {}), 'g')
    expect(plan.findings.filter((finding) => finding.severity === 'error')).toEqual([])
    expect(plan.configs[0]?.group).toBeNull()
  })
  it('applies a shared change to every method, a method’s own only to it', () => {
    const changes = { 'training.epochs': 3, '@pissa.method.rank': 8 }
    const { configs } = planRuns(makeDraft(base, ['lora', 'pissa'], changes), 'g')
    expect(configs.map((config) => config.training.epochs)).toEqual([3, 3])
    expect(configs.map((config) => 'rank' in config.method && config.method.rank)).toEqual([4, 8])
  })
  it('makes a run per seed, with names that differ', () => {
    const draft = makeDraft(base, ['lora', 'pissa'], { seeds: [1, 2], name: 'try' })
    expect(planRuns(draft, 'g').configs.map((config) => [config.name, config.seed])).toEqual([
      ['try-lora-s1', 1],
      ['try-lora-s2', 2],
      ['try-pissa-s1', 1],
      ['try-pissa-s2', 2],
    ])
  })
  it('launches nothing while a setting is wrong, and says which', () => {
    const plan = planRuns(makeDraft(base, ['lora'], { 'training.globalBatchSize': 33 }), 'g')
    expect(plan.configs).toEqual([])
    expect(plan.findings[0]).toMatchObject({
      path: 'training.globalBatchSize',
      hint: 'take a multiple of 16',
    })
  })
  it('tells a method’s own finding with its name and a shared one once', () => {
    const changes = { '@lora.method.rank': 0, 'training.epochs': 0 }
    const { findings } = planRuns(makeDraft(base, ['lora', 'pissa'], changes), 'g')
    expect(findings.map((finding) => [finding.method, finding.path])).toEqual([
      ['lora', 'method.rank'],
      [null, 'training.epochs'],
    ])
  })
  it('forgets a change that is set back', () => {
    const changed = withChange(base, {}, '@lora.method.rank', 9)
    expect(changed).toEqual({ '@lora.method.rank': 9 })
    expect(withChange(base, changed, '@lora.method.rank', 4)).toEqual({})
    expect(withChange(base, {}, 'seeds', [42])).toEqual({})
  })
  it('made from a run repeats it', () => {
    const [config] = comparison('g', ['hd-pissa'])
    expect(planRuns(makeDraft(runBase(config!), ['hd-pissa'], {}), 'other').configs).toEqual([config])
  })
})
