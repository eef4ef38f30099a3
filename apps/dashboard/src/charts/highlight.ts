/** The run that is being pointed at, in a list or in a chart: drawn strong everywhere while others fade. */
import { useSyncExternalStore } from 'react'

let highlighted: string | null = null
const listeners = new Set<() => void>()

export function highlightRun(runId: string | null): void {
  if (highlighted === runId) return
  highlighted = runId
  for (const listener of listeners) listener()
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

export function useHighlightedRun(): string | null {
  return useSyncExternalStore(subscribe, () => highlighted)
}
