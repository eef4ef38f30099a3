/**
 * Best settings, intervals and paired differences of random sweeps, held to a second computation that shares nothing with
 * the first: loops over plain rows, Student’s factors from a printed table. Values are few, so that ties are frequent; runs
 * diverge, fail, are still to come, and have one seed or several.
 */
import { describe, expect, it } from 'vitest'
import { compareLines } from './compare-settings.ts'
import type { RunResult } from './sweep-results.ts'

type Row = {
  method: 'lora' | 'hd-pissa' | 'full'
  aggregate: 'sum' | 'mean' | null
  rate: number
  seed: number
  outcome: RunResult['outcome']
  validation: number | null
  test: number | null
}
const lines = [
  { method: 'lora', aggregate: null, name: 'LoRA' },
  { method: 'hd-pissa', aggregate: 'sum', name: 'HD-PiSSA, sum' },
  { method: 'hd-pissa', aggregate: 'mean', name: 'HD-PiSSA, mean' },
  { method: 'full', aggregate: null, name: 'Full fine-tuning' },
] as const
const rates = [1e-5, 1e-4, 1e-3]
/** Two-sided 95 % factors for 1, 2, 3 degrees of freedom. */
const factors = [Number.NaN, 12.7062047361747, 4.30265272974946, 3.18244630528371]

/** A linear congruential generator: the same sweeps everywhere. */
function numbersFrom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state * 1103515245 + 12345) % 2147483648
    return Math.floor((state / 2147483648) * below)
  }
}

function randomRows(seed: number): Row[] {
  const draw = numbersFrom(seed)
  const seeds = 1 + draw(4)
  const hasValidation = draw(4) > 0
  const rows: Row[] = []
  for (const { method, aggregate } of lines)
    for (const rate of rates)
      for (let each = 1; each <= seeds; each++) {
        const luck = draw(12)
        const outcome = luck === 0 ? 'diverged' : luck === 1 ? 'failed' : luck === 2 ? 'pending' : 'finished'
        const isDone = outcome === 'finished'
        rows.push({
          method,
          aggregate,
          rate,
          seed: each,
          outcome,
          validation: isDone && hasValidation ? draw(4) / 4 : null,
          test: isDone ? draw(8) / 8 : null,
        })
      }
  return rows
}

const asResult = (row: Row, index: number): RunResult => ({
  runId: String(index),
  method: row.method,
  point: {
    method: row.method,
    ...(row.aggregate === null ? {} : { 'method.aggregate': row.aggregate }),
    'optimizer.learningRate': row.rate,
    seed: row.seed,
  },
  seed: row.seed,
  outcome: row.outcome,
  validation: row.validation,
  test: row.test,
  measures: {},
})

type Found = { line: string; rate: number; ties: number; whole: boolean; tests: Map<number, number> }

/** The best rate of each line, by the words of the guide. */
function bestByHand(rows: readonly Row[], higherIsBetter: boolean): Found[] {
  const found: Found[] = []
  for (const { method, aggregate, name } of lines) {
    const own = rows.filter((row) => row.method === method && row.aggregate === aggregate)
    const done = own.filter(({ outcome }) => outcome === 'finished')
    const byValidation = done.every(({ validation }) => validation !== null)
    const candidates: { rate: number; score: number; missing: number; count: number }[] = []
    for (const rate of rates) {
      const at = own.filter((row) => row.rate === rate)
      const scores: number[] = []
      for (const row of at)
        if (row.outcome === 'finished') scores.push(byValidation ? row.validation! : row.test!)
      if (scores.length === 0) continue
      let sum = 0
      for (const score of scores) sum += score
      candidates.push({
        rate,
        score: sum / scores.length,
        missing: at.length - scores.length,
        count: scores.length,
      })
    }
    if (candidates.length === 0) continue
    const whole = candidates.some(({ missing }) => missing === 0)
    let most = 0
    for (const { count } of candidates) most = Math.max(most, count)
    const allowed = candidates.filter(({ missing, count }) => (whole ? missing === 0 : count === most))
    let top = allowed[0]!
    for (const each of allowed)
      if (higherIsBetter ? each.score > top.score : each.score < top.score) top = each
    const tests = new Map<number, number>()
    for (const row of done) if (row.rate === top.rate) tests.set(row.seed, row.test!)
    const ties = allowed.filter(({ score }) => score === top.score).length - 1
    found.push({ line: name, rate: top.rate, ties, whole, tests })
  }
  return found
}

function intervalByHand(values: readonly number[]): { mean: number; half: number | null } {
  let sum = 0
  for (const value of values) sum += value
  const mean = sum / values.length
  if (values.length < 2) return { mean, half: null }
  let squares = 0
  for (const value of values) squares += (value - mean) * (value - mean)
  const deviation = Math.sqrt(squares / (values.length - 1))
  return { mean, half: (factors[values.length - 1]! * deviation) / Math.sqrt(values.length) }
}

describe.each(['accuracy', 'loss'] as const)('a second computation by %s', (metric) => {
  it('agrees on best settings, ties, intervals and paired differences of 300 random sweeps', () => {
    const seen = { ties: 0, oneSeed: 0, incomplete: 0, unpaired: 0, withoutValidation: 0 }
    for (let seed = 1; seed <= 300; seed++) {
      const rows = randomRows(seed)
      const expected = bestByHand(rows, metric === 'accuracy')
      const found = compareLines(rows.map(asResult), metric)
      expect(found.map(({ line }) => line)).toEqual(expected.map(({ line }) => line))
      for (const [index, mine] of expected.entries()) {
        const theirs = found[index]!
        const says = `sweep ${seed}, ${mine.line}`
        expect(theirs.setting.point['optimizer.learningRate'], says).toBe(mine.rate)
        expect(theirs.ties.length, says).toBe(mine.ties)
        expect(theirs.isComplete, says).toBe(mine.whole)
        const { mean, half } = intervalByHand([...mine.tests.values()])
        expect(theirs.setting.test!.n, says).toBe(mine.tests.size)
        expect(theirs.setting.test!.mean, says).toBeCloseTo(mean, 12)
        if (half === null) expect(theirs.setting.test!.halfWidth, says).toBeNull()
        else expect(theirs.setting.test!.halfWidth!, says).toBeCloseTo(half, 9)
        seen.ties += mine.ties > 0 ? 1 : 0
        seen.oneSeed += half === null ? 1 : 0
        seen.incomplete += mine.whole ? 0 : 1
        seen.withoutValidation += theirs.byValidation ? 0 : 1
        if (index === 0) {
          expect(theirs.difference, says).toBeNull()
          continue
        }
        const differences: number[] = []
        for (const [each, value] of mine.tests) {
          const other = expected[0]!.tests.get(each)
          if (other !== undefined) differences.push(value - other)
        }
        if (differences.length === 0) {
          expect(theirs.difference, says).toBeNull()
          seen.unpaired++
          continue
        }
        const paired = intervalByHand(differences)
        expect(theirs.difference!.n, says).toBe(differences.length)
        expect(theirs.difference!.mean, says).toBeCloseTo(paired.mean, 12)
        if (paired.half === null) expect(theirs.difference!.halfWidth, says).toBeNull()
        else expect(theirs.difference!.halfWidth!, says).toBeCloseTo(paired.half, 9)
      }
    }
    // Every kind of case was there.
    for (const [kind, count] of Object.entries(seen)) expect(count, kind).toBeGreaterThan(0)
  })
})
