import { benchmarkNames, checkRunConfig, sweepSpecSchema } from '@rankscope/protocol'
import { describe, expect, it } from 'vitest'
import { expandSweep } from '../expand-sweep.ts'
import { recipeSweep, recipes } from './index.ts'

const files = (asks: readonly { key: string }[]) =>
  Object.fromEntries(asks.map(({ key }) => [key, `/named/${key}`]))

describe.each(recipes.map((recipe) => [recipe.id, recipe] as const))('the recipe %s', (_, recipe) => {
  it.each(['small', 'full'] as const)('is a sweep of runs without contradiction, at %s scale', (scale) => {
    const spec = sweepSpecSchema.parse(recipeSweep(recipe, scale, files(recipe.asks)))
    const { runs, findings } = expandSweep(spec)
    expect(findings.filter(({ severity }) => severity === 'error')).toEqual([])
    expect(runs.length).toBeGreaterThan(0)
    // No setting of a recipe may be without effect: a reader takes it for what was done.
    expect(
      runs
        .flatMap(({ config }) => checkRunConfig(config))
        .filter(({ message }) => message.includes('has no effect')),
    ).toEqual([])
    expect(spec.recipe).toEqual({ id: recipe.id, scale })
  })

  it('uses every file that it asks for, and refuses to go on without one', () => {
    const text = JSON.stringify(recipeSweep(recipe, 'full', files(recipe.asks)))
    for (const { key } of recipe.asks) expect(text).toContain(`/named/${key}`)
    const { [recipe.asks[0]!.key]: __, ...rest } = files(recipe.asks)
    expect(() => recipeSweep(recipe, 'full', rest)).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    )
  })

  it('asks for a score only where it names what to score on', () => {
    for (const { config } of expandSweep(
      sweepSpecSchema.parse(recipeSweep(recipe, 'full', files(recipe.asks))),
    ).runs) {
      const { source } = config.data
      const scores = config.evaluation.atEnd || config.evaluation.everySteps !== null
      expect(
        !scores ||
          !('evaluationPath' in source) ||
          source.evaluationPath !== null ||
          config.evaluation.benchmarks.length > 0,
      ).toBe(true)
    }
  })
})

describe('recipes', () => {
  it('score Figure 4 by all twelve benchmarks, and choose by the mean over them', () => {
    const recipe = recipes.find(({ id }) => id === 'fig4')!
    const spec = sweepSpecSchema.parse(recipeSweep(recipe, 'full', files(recipe.asks)))
    expect(spec.metric).toBe('meanAccuracy')
    for (const { config } of expandSweep(spec).runs)
      expect(config.evaluation.benchmarks).toEqual(
        benchmarkNames.map((name) => ({
          name,
          path: `/named/${name}-test`,
          protocol: 'pissa',
          trainPath: null,
        })),
      )
  })

  it('have ids of their own, and tables whose rows fit their columns', () => {
    expect(new Set(recipes.map(({ id }) => id)).size).toBe(recipes.length)
    for (const { paper } of recipes)
      for (const row of paper?.rows ?? []) expect(row).toHaveLength(paper!.columns.length)
  })

  it('repeat the paper’s means, which follow from its columns but for one that the caption tells', () => {
    for (const id of ['table1-llama2', 'table1-llama31', 'table1-mistral', 'table2']) {
      const { rows } = recipes.find((recipe) => recipe.id === id)!.paper!
      for (const row of rows) {
        const values = row.slice(1).map(Number)
        const mean = values.slice(0, -1).reduce((sum, value) => sum + value, 0) / (values.length - 1)
        // Printed with one or two digits.
        if (id === 'table2' && row[0] === 'HD-PiSSA') {
          expect(mean).toBeCloseTo(82.775, 9)
          continue
        }
        expect(Math.abs(mean - values.at(-1)!), `${id} ${row[0]}`).toBeLessThan(0.11)
      }
    }
  })
})
