import { useSyncExternalStore } from 'react'
import { currentlyPointed, subscribeToPointed } from './highlight.ts'

/** Whether this run is being pointed at; re-renders only when that changes. */
export function useIsHighlighted(runId: string): boolean {
  return useSyncExternalStore(subscribeToPointed, () => currentlyPointed().runId === runId)
}
