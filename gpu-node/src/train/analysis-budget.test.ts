import { expect, test } from 'vitest'
import { AnalysisBudget } from './analysis-budget.ts'

const targets = ['a', 'b', 'c'].map((name) => ({ name }))

test('analyses take a fiftieth of the time, and every module has its turn', () => {
  let nowMs = 0
  const budget = new AnalysisBudget(() => nowMs)
  const turns: string[] = []
  let spentMs = 0
  for (let step = 0; step < 1000; step++) {
    nowMs += 1000
    for (const name of budget.next(targets)) {
      turns.push(name)
      spentMs += 50
      budget.ended(name, 50)
    }
  }
  expect(spentMs).toBeLessThanOrEqual(0.02 * nowMs + 50)
  expect(spentMs).toBeGreaterThan(0.019 * nowMs)
  expect(turns.slice(0, 6)).toEqual(['a', 'b', 'c', 'a', 'b', 'c'])
})

test('one alone while its cost is unknown, none twice at a time, and none that was given up for', () => {
  let nowMs = 1e6
  const budget = new AnalysisBudget(() => nowMs)
  nowMs += 1e6
  expect([...budget.next(targets)]).toEqual(['a'])
  expect([...budget.next(targets)]).toEqual([])
  budget.ended('a', null)
  expect([...budget.next(targets)]).toEqual(['b'])
  budget.ended('b', 10)
  expect([...budget.next(targets)]).toEqual(['c', 'a', 'b'])
  expect([...budget.next(targets)]).toEqual([])
})
