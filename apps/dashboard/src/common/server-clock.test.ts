import { expect, it } from 'vitest'
import { ServerClock } from './server-clock.ts'

const date = (ms: number) => new Date(ms).toUTCString()

it('a machine whose clock is two hours late tells the server’s time, to the length of a request', () => {
  const clock = new ServerClock()
  const late = 2 * 3_600_000
  for (const ms of [0, 400, 1900, 2950]) {
    const server = 1_700_000_000_000 + ms
    clock.note(server - late - 20, server - late + 10, date(server))
  }
  expect(Math.abs(clock.at(1_700_000_000_000 - late) - 1_700_000_000_000)).toBeLessThanOrEqual(70)
})

it('a clock that agrees within the second is taken as it is; one that was set is followed', () => {
  const clock = new ServerClock()
  clock.note(1_700_000_000_300, 1_700_000_000_320, date(1_700_000_000_000))
  expect(clock.at(5)).toBe(5)
  clock.note(1_700_000_000_300, 1_700_000_000_320, date(1_700_000_060_000))
  expect(clock.at(0)).toBeGreaterThan(59_000)
})
