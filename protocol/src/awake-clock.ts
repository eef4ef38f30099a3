/**
 * A clock for silence and patience. A process that was asleep itself (a suspended laptop, a stopped container, a
 * loop held up for seconds) heard nobody meanwhile: it may hold that time against no one. So a reading that comes
 * much later than the one before it counts as one's own pause, and the clock stands still for it. It has nothing to
 * do with the time of day, which may jump.
 */

/** Milliseconds for which this process was awake. */
export type AwakeClock = () => number

/** A gap between two readings above which it is a pause; whoever needs the clock reads it far more often. */
export const pauseMs = 3000

/** `monotonic`: milliseconds that only ever grow, such as those of `performance.now`. */
export function awakeClock(monotonic: () => number): AwakeClock {
  let last = monotonic()
  let awakeMs = 0
  return () => {
    const now = monotonic()
    const gapMs = now - last
    last = now
    if (gapMs <= pauseMs) awakeMs += gapMs
    return awakeMs
  }
}
