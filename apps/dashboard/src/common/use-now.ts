import { useEffect, useState } from 'react'
import { serverClock } from './server-clock.ts'

/**
 * The server’s time, renewed with every whole multiple of `everyMs` while something on the page counts seconds, so that
 * everything on it counts together.
 */
export function useNow(everyMs: number, active = true): number {
  const [now, setNow] = useState(() => serverClock.at(Date.now()))
  useEffect(() => {
    if (!active) return
    let timer: ReturnType<typeof setTimeout>
    const tick = () => {
      const time = serverClock.at(Date.now())
      setNow(time)
      timer = setTimeout(tick, everyMs - (time % everyMs))
    }
    tick()
    return () => clearTimeout(timer)
  }, [everyMs, active])
  return now
}
