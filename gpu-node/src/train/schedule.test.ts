/** METHODS §8, invariant 22: the learning rate against its closed form, and the rules of warm-up. */
import { type RunConfig, scheduleSchema } from '@rankscope/protocol'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { learningRateSchedule } from './schedule.ts'

const make = (
  schedule: Partial<RunConfig['schedule']>,
  totalSteps: number,
  peak = 2e-5,
  legacyTotalSteps = totalSteps,
) => learningRateSchedule(scheduleSchema.parse(schedule), peak, { totalSteps, legacyTotalSteps })

describe('learning rate', () => {
  it('starts at 0 under warm-up, reaches the peak at step w, and ends near 0', () => {
    const schedule = make({ warmupRatio: 0.1 }, 100, 1)
    expect(schedule.at(0)).toBe(0)
    expect(schedule.at(5)).toBe(0.5)
    expect(schedule.at(10)).toBe(1)
    expect(schedule.at(55)).toBeCloseTo(0.5, 12)
    expect(schedule.at(99)).toBeLessThan(1e-3)
  })

  it.each([
    ['cosine', 0.5 * (1 + Math.cos((Math.PI * 20) / 90))],
    ['linear', 1 - 20 / 90],
    ['constant', 1],
  ] as const)('%s after warm-up', (kind, expected) => {
    expect(make({ kind, warmupSteps: 10 }, 100, 1).at(30)).toBeCloseTo(expected, 14)
  })

  it('warm-up that starts at one uses 1/w of the peak first', () => {
    const schedule = make({ warmupSteps: 4, warmupStartsAtOne: true }, 10, 1)
    expect([0, 1, 2, 3, 4].map(schedule.at)).toEqual([0.25, 0.5, 0.75, 1, 1])
  })

  it('rounds the warm-up down as the HD-PiSSA code or up as Hugging Face', () => {
    expect(make({ warmupRatio: 0.03, warmupRounding: 'floor' }, 50).warmupSteps).toBe(1)
    expect(make({ warmupRatio: 0.03, warmupRounding: 'ceil' }, 50).warmupSteps).toBe(2)
    expect(make({ warmupRatio: 0.5, warmupSteps: 7 }, 50).warmupSteps).toBe(7)
  })

  it('takes an explicit length first, then the legacy count, then the true one', () => {
    expect(make({}, 25, 1, 26).totalSteps).toBe(25)
    expect(make({ legacyTotalSteps: true }, 25, 1, 26).totalSteps).toBe(26)
    expect(make({ totalSteps: 40 }, 25, 1, 26).totalSteps).toBe(40)
  })

  it('never leaves [0, peak], whatever the settings', () => {
    const settings = fc.record({
      kind: fc.constantFrom('cosine', 'linear', 'constant'),
      warmupRatio: fc.double({ min: 0, max: 1, noNaN: true }),
      warmupRounding: fc.constantFrom('floor', 'ceil'),
      warmupStartsAtOne: fc.boolean(),
    })
    fc.assert(
      fc.property(settings, fc.integer({ min: 1, max: 60 }), (schedule, total) => {
        const { at } = make(schedule as Partial<RunConfig['schedule']>, total, 1)
        for (let step = 0; step < total + 3; step++) {
          expect(at(step)).toBeGreaterThanOrEqual(0)
          expect(at(step)).toBeLessThanOrEqual(1)
        }
      }),
      { seed: 3, numRuns: 60 },
    )
  })
})
