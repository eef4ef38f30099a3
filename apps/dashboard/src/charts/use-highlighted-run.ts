import { useSyncExternalStore } from 'react'
import { currentlyPointed, subscribeToPointed } from './highlight.ts'

/** The run that is being pointed at; re-renders when it is another. */
export function useHighlightedRun(): string | null {
  return useSyncExternalStore(subscribeToPointed, () => currentlyPointed().runId)
}
