/** Recipes of the paper against METHODS §7 and the per-method defaults of its §1 (rows 1, 8, 13, 25). */
import { describe, expect, it } from 'vitest'
import {
  accumulationSteps,
  checkRunConfig,
  methodNames,
  paperComparison,
  paperRecipeNames,
  paperRecipes,
  type RunConfig,
} from './index.ts'

const files = { model: 'llama', data: 'records.json' }

/** What the rows compare, by method. */
function perMethod(configs: readonly RunConfig[]) {
  return Object.fromEntries(
    configs.map(({ method, optimizer, schedule }) => [
      method.name,
      {
        aggregate: 'aggregate' in method ? method.aggregate : null,
        warmupRounding: schedule.warmupRounding,
        maxGradNorm: optimizer.maxGradNorm,
        learningRate: optimizer.learningRate,
      },
    ]),
  )
}

describe.each(paperRecipeNames)('%s', (name) => {
  it('is consistent for every method: no error, and no setting without effect', () => {
    const findings = paperComparison(name, 'g', files, methodNames).flatMap(checkRunConfig)
    expect(findings).toEqual([])
  })

  it('is one group of float32 runs over 8 devices with the files that were named', () => {
    for (const config of paperComparison(name, 'g', files)) {
      expect(config).toMatchObject({
        group: 'g',
        seed: 42,
        model: { path: 'llama' },
        parallel: { devices: 8 },
      })
      expect(config.data).toMatchObject({
        source: { kind: 'records', path: 'records.json' },
        template: 'alpaca',
        maxLength: 512,
        reshuffle: false,
        assign: 'interleave',
      })
      expect(config.training.computeDtype).toBe('float32')
      expect(config.optimizer).toMatchObject({ beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 })
    }
  })

  it('is refused without model or data', () => {
    for (const missing of ['model', 'data'] as const)
      expect(() => paperComparison(name, 'g', { ...files, [missing]: '' })).toThrow(/name a (model|file)/)
    expect(Object.keys(paperRecipes[name].asks)).toEqual(['model.path', 'data.source.path'])
  })
})

describe('Table 1 (settings of Table 4)', () => {
  it.each([
    ['table1', 2e-5],
    ['table1-mistral', 5e-6],
  ] as const)(
    '%s: rank 16 at %d, cosine with 3 %% warm-up, one epoch of batches of 128',
    (name, learningRate) => {
      const configs = paperComparison(name, 'g', files, ['lora', 'pissa', 'hd-pissa', 'full', 'lora-dwu'])
      for (const config of configs) {
        expect(config.schedule).toMatchObject({ kind: 'cosine', warmupRatio: 0.03, warmupSteps: null })
        expect(config.training).toMatchObject({ epochs: 1, globalBatchSize: 128, microBatchSize: 2 })
        expect(accumulationSteps(config)).toBe(8)
        expect(config.targetModules).toHaveLength(7)
        if ('rank' in config.method)
          expect(config.method).toMatchObject({ rank: 16, ...('alpha' in config.method && { alpha: null }) })
        if ('dropout' in config.method) expect(config.method.dropout).toBe(0)
      }
      const baseline = { aggregate: null, warmupRounding: 'ceil', maxGradNorm: 1, learningRate }
      const own = { aggregate: 'sum', warmupRounding: 'floor', maxGradNorm: null, learningRate }
      expect(perMethod(configs)).toEqual({
        lora: baseline,
        pissa: baseline,
        full: baseline,
        'hd-pissa': own,
        'lora-dwu': own,
      })
    },
  )
})

describe('Table 2 (settings of Table 5)', () => {
  it('rank 32, linear with 100 warm-up steps, three epochs of batches of 16 on q, k, v, up and down', () => {
    const configs = paperComparison('table2', 'g', files)
    for (const config of configs) {
      expect(config.schedule).toMatchObject({ kind: 'linear', warmupSteps: 100 })
      expect(config.training).toMatchObject({ epochs: 3, globalBatchSize: 16 })
      expect(config.targetModules).toEqual(['q_proj', 'k_proj', 'v_proj', 'up_proj', 'down_proj'])
      expect(config.method).toMatchObject({ rank: 32, dropout: 0.05 })
    }
    expect(configs.map(({ method }) => [method.name, 'alpha' in method ? method.alpha : null])).toEqual([
      ['lora', 64],
      ['dora', 64],
      ['mora', null],
      ['hira', null],
      ['hd-pissa', 64],
    ])
    expect(configs.find(({ method }) => method.name === 'mora')!.method).toMatchObject({ type: 6 })
    const baseline = { aggregate: null, warmupRounding: 'floor', maxGradNorm: 1 }
    expect(perMethod(configs)).toEqual({
      lora: { ...baseline, learningRate: 3e-4 },
      dora: { ...baseline, learningRate: 2e-4 },
      mora: { ...baseline, learningRate: 3e-4 },
      hira: { ...baseline, learningRate: 1e-3 },
      'hd-pissa': { aggregate: 'sum', warmupRounding: 'floor', maxGradNorm: null, learningRate: 2e-5 },
    })
  })
})
