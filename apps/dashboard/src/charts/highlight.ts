/** What is being pointed at, in a list or in a chart: a run, drawn strong everywhere, and a place on the x axis. */

type Pointed = {
  runId: string | null
  /** Where, by the axis’s title: only charts over the same axis show it. */
  x: { axis: string; value: number } | null
}

let pointed: Pointed = { runId: null, x: null }
const listeners = new Set<() => void>()

function point(next: Pointed): void {
  if (next.runId === pointed.runId && next.x?.value === pointed.x?.value && next.x?.axis === pointed.x?.axis)
    return
  pointed = next
  for (const listener of listeners) listener()
}

export function highlightRun(runId: string | null): void {
  point({ runId, x: pointed.x })
}

/** The pointer is at this x of a chart, near this run’s curve; null: it left. */
export function pointAt(runId: string | null, x: Pointed['x']): void {
  point({ runId, x })
}

export function currentlyPointed(): Pointed {
  return pointed
}

export function subscribeToPointed(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}
