/** What a phase still takes, told from what it took so far. Pure. */

/** In words, where `done` of 1 is over; null before anything can be said, and at the end. */
export function timeLeft(done: number, elapsedMs: number): string | null {
  if (done <= 0 || done >= 1) return null
  const seconds = Math.ceil(((elapsedMs / done) * (1 - done)) / 1000)
  return seconds < 120 ? `about ${seconds} s left` : `about ${Math.ceil(seconds / 60)} min left`
}
