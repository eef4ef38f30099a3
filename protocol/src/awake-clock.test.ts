import { describe, expect, it } from 'vitest'
import { awakeClock, pauseMs } from './awake-clock.ts'

describe('a clock for silence', () => {
  it('counts the time between readings, and leaves out its own pauses', () => {
    let now = 500
    const awake = awakeClock(() => now)
    const after = (ms: number) => {
      now += ms
      return awake()
    }
    expect(after(1000)).toBe(1000)
    expect(after(pauseMs)).toBe(1000 + pauseMs)
    expect(after(45_000), 'a night’s sleep').toBe(1000 + pauseMs)
    expect(after(10)).toBe(1010 + pauseMs)
  })
})
