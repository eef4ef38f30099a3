/** What people read of a number comes with its declaration: none is left without. */
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { rankMeasures, rankMeasuresSchema, scalarNames, scalars } from './index.ts'
import { figureLabel, figureMeta, summaryFigureNames } from './summary-figures.ts'

const isTold = (text: string) => text.trim() === text && text.length > 0

describe('numbers and what they are called', () => {
  it.each(Object.entries(rankMeasures))(
    '%s has title, formula, source and caution, and the schema knows them',
    (name, meta) => {
      for (const text of [meta.title, meta.formula, meta.source, meta.caution])
        expect(isTold(text)).toBe(true)
      const { properties, required } = z.toJSONSchema(rankMeasuresSchema, { unrepresentable: 'any' }) as {
        properties: Record<string, { title: string; description: string }>
        required: string[]
      }
      expect(properties[name]).toMatchObject({
        title: meta.title,
        description: `${meta.formula}. ${meta.caution}`,
      })
      expect(required.includes(name)).toBe(meta.always)
    },
  )

  it.each(Object.entries(scalars))('%s has title, unit and caution', (key, meta) => {
    for (const text of [meta.title, meta.unit, meta.caution]) expect(isTold(text)).toBe(true)
    expect(scalarNames[key as keyof typeof scalarNames]).toBe(meta.name)
  })

  it('no two share a name or a title', () => {
    for (const list of [
      Object.values(scalarNames),
      Object.values(scalars).map(({ title }) => title),
      Object.values(rankMeasures).map(({ title }) => title),
      summaryFigureNames.map((name) => figureMeta(name)!.title),
    ])
      expect(new Set(list).size).toBe(list.length)
  })

  it.each(summaryFigureNames)('%s of a summary has a title, a share no unit', (name) => {
    const { title, unit, isShare } = figureMeta(name)!
    expect(isTold(title)).toBe(true)
    expect(unit === null || isTold(unit)).toBe(true)
    expect(isShare && unit !== null).toBe(false)
  })

  it('a name that nobody knows stands for itself', () => {
    expect([figureLabel('forgetting'), figureLabel('accuracy'), figureLabel('no.such')]).toEqual([
      'Forgetting (nats per token)',
      'Test accuracy',
      'no.such',
    ])
  })

  it('a measure that is missing is refused only where every spectrum has it', () => {
    const all = Object.fromEntries(Object.keys(rankMeasures).map((name) => [name, Number.NaN]))
    const whole = { ...all, numericalRankThreshold: 0 }
    expect(rankMeasuresSchema.safeParse(whole).success).toBe(true)
    for (const [name, { always }] of Object.entries(rankMeasures)) {
      const { [name]: _, ...rest } = whole as Record<string, number>
      expect(rankMeasuresSchema.safeParse(rest).success, name).toBe(!always)
    }
    expect(rankMeasuresSchema.safeParse({ ...whole, unknown: 1 }).success).toBe(false)
  })
})
