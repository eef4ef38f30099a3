/** The live connection for React: its state, and run stores held as long as a component shows them. */
import {
  createContext,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useState,
  useSyncExternalStore,
} from 'react'
import type { ConnectionState, LiveConnection } from './connection.ts'
import type { RunStore, Topic } from './run-store.ts'

export const LiveContext = createContext<LiveConnection | null>(null)

function useLive(): LiveConnection {
  const live = useContext(LiveContext)
  if (!live) throw new Error('LiveContext is missing above this component')
  return live
}

export function useConnectionState(): ConnectionState {
  const live = useLive()
  return useSyncExternalStore(live.subscribeState, () => live.state)
}

export type LoadedStores = {
  stores: RunStore[]
  /** True until the history of all runs is there. */
  loading: boolean
  error: Error | null
  retry: () => void
}

/** Stores of several runs with these topics loaded and followed live. `topics` must be a constant. */
export function useRunStores(
  runIds: readonly string[],
  topics: readonly Exclude<Topic, 'files'>[],
): LoadedStores {
  const live = useLive()
  const key = runIds.join(',')
  const [attempt, setAttempt] = useState(0)
  const [stores, setStores] = useState<RunStore[]>([])
  const [outcome, setOutcome] = useState<{ key: string; error: Error | null } | null>(null)

  // biome-ignore lint/correctness/useExhaustiveDependencies: `attempt` asks for another try
  useEffect(() => {
    const ids = key === '' ? [] : key.split(',')
    let current = true
    setStores(ids.map((runId) => live.acquire(runId)))
    setOutcome(null)
    Promise.all(ids.map((runId) => live.load(runId, topics))).then(
      () => current && setOutcome({ key, error: null }),
      (error: unknown) =>
        current && setOutcome({ key, error: error instanceof Error ? error : new Error(String(error)) }),
    )
    return () => {
      current = false
      for (const runId of ids) live.release(runId)
    }
  }, [live, key, topics, attempt])

  const retry = useCallback(() => setAttempt((count) => count + 1), [])
  return useMemo(
    () => ({
      stores,
      loading: outcome?.key !== key,
      error: outcome?.key === key ? outcome.error : null,
      retry,
    }),
    [stores, outcome, key, retry],
  )
}

/** Re-renders when the topic of any of the stores changes; at most once per frame. */
export function useTopicVersion(stores: readonly RunStore[], topic: Topic): number {
  const subscribe = useCallback(
    (listener: () => void) => {
      const stops = stores.map((store) => store.subscribe(listener))
      return () => {
        for (const stop of stops) stop()
      }
    },
    [stores],
  )
  return useSyncExternalStore(subscribe, () => stores.reduce((sum, store) => sum + store.version(topic), 0))
}
