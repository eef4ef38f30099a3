/** How long a record takes from the trainer’s clock to the screen; the browser test reads `window.__rankscopeTimings`. */
import type { Arrival } from './run-store.ts'

export type DrawTiming = Arrival & { runId: string; drawnMs: number }

declare global {
  interface Window {
    __rankscopeTimings?: DrawTiming[]
  }
}

const kept = 20_000

/** Note that these live points of a run’s loss are on the screen now. */
export function noteDrawn(runId: string, arrivals: readonly Arrival[], drawnMs: number): void {
  const timings = window.__rankscopeTimings ?? []
  window.__rankscopeTimings = timings
  for (const arrival of arrivals) timings.push({ ...arrival, runId, drawnMs })
  if (timings.length > kept) timings.splice(0, timings.length - kept)
}
