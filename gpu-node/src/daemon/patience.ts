/** Timers that count only the time for which this process was awake: after a sleep nobody is late. */
import { awakeClock } from '@rankscope/protocol'

const everyMs = 250

/** Calls `done` after `ms` awake milliseconds; the answer ends the wait. */
export function whenAwakeFor(ms: number, done: () => void): () => void {
  const awake = awakeClock(() => performance.now())
  const timer = setInterval(
    () => {
      if (awake() < ms) return
      clearInterval(timer)
      done()
    },
    Math.max(1, Math.min(everyMs, ms)),
  )
  return () => clearInterval(timer)
}
