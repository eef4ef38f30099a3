import type { MethodName } from '@rankscope/protocol'
import { describe, expect, it } from 'vitest'
import { makeDraft, presetBase } from './draft.ts'
import { parseVary, planSweep, variableSettings } from './vary.ts'

const draft = (methods: readonly MethodName[], changes = {}) =>
  makeDraft(presetBase('comparison'), methods, changes)

describe('varied settings of the launch form', () => {
  it('make one run per method, value and seed, each with its method’s own settings', () => {
    const { runs, spec, findings } = planSweep(
      draft(['lora', 'hd-pissa', 'full'], { seeds: [1, 2], '@hd-pissa.method.rank': 8 }),
      [{ path: 'optimizer.learningRate', text: '1e-5…1e-3 log 5' }],
      'night',
    )
    expect(findings.filter(({ severity }) => severity === 'error')).toEqual([])
    expect(runs).toHaveLength(30)
    expect(spec).toMatchObject({
      name: 'night',
      axes: [{ path: 'method' }, { path: 'optimizer.learningRate' }, { path: 'seed' }],
    })
    const hd = runs.filter(({ config }) => config.method.name === 'hd-pissa').map(({ config }) => config)
    expect(
      hd.every(({ method, parallel }) => 'rank' in method && method.rank === 8 && parallel.devices === 4),
    ).toBe(true)
    expect(new Set(hd.map(({ optimizer, seed }) => `${optimizer.learningRate} ${seed}`)).size).toBe(10)
    expect(runs.every(({ config }) => config.group === 'night')).toBe(true)
  })

  it('tell what cannot be read, at the setting that it is about, and plan nothing', () => {
    const plan = planSweep(draft(['lora']), [{ path: 'method.rank', text: '4…x log 2' }], 'night')
    expect(plan.runs).toEqual([])
    expect(plan.findings).toEqual([expect.objectContaining({ severity: 'error', path: 'method.rank' })])
    expect(planSweep(draft(['lora']), [{ path: 'method.rank', text: '' }], 'night').configs).toEqual([])
  })

  it('can be any number, choice or switch that a chosen method has', () => {
    const paths = variableSettings(draft(['lora', 'hd-pissa'])).map(({ path }) => path)
    expect(paths).toEqual(
      expect.arrayContaining([
        'method.rank',
        'method.aggregate',
        'parallel.devices',
        'optimizer.learningRate',
        'training.globalBatchSize',
      ]),
    )
    expect(paths).not.toContain('seed')
    expect(variableSettings(draft(['full'])).map(({ path }) => path)).not.toContain('method.rank')
  })

  it('come from the address; what cannot be read counts as none', () => {
    expect(parseVary('[{"path":"a","text":"1"},{"x":1},null]')).toEqual([{ path: 'a', text: '1' }])
    expect(parseVary('{')).toEqual([])
  })
})
