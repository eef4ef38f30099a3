/** What a phase still takes, told from what it took so far. Pure. */

/** In words, where `done` of 1 is over; null before anything can be said, and at the end. */
export function timeLeft(done: number, elapsedMs: number): string | null {
  if (done <= 0 || done >= 1) return null
  return `about ${duration((elapsedMs / done) * (1 - done))} left`
}

/** As people say it: seconds to two minutes, minutes to two hours. */
export function duration(ms: number): string {
  const seconds = Math.round(ms / 1000)
  if (seconds < 120) return `${seconds} s`
  const minutes = Math.round(seconds / 60)
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
