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
import { pointsPerRun } from './points-per-run.ts'
import type { LoadedTopic, RunStore, Topic } from './run-store.ts'

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

/** The run’s whole view comes live while the component is mounted. */
export function useWatchedView(runId: string): void {
  const live = useLive()
  useEffect(() => live.watchView(runId), [live, runId])
}

export type LoadedStores = {
  stores: RunStore[]
  /** True until the history of all runs is there, or one could not be loaded. */
  loading: boolean
  /** How many of the runs have their history here. */
  ready: number
  error: Error | null
  retry: () => void
}

/** React is told of changes at most this often: charts draw themselves, the rest need not hurry. */
const renderEveryMs = 150

/** Stores of several runs with these topics loaded and followed live. `topics` must be a constant. */
export function useRunStores(runIds: readonly string[], topics: readonly LoadedTopic[]): LoadedStores {
  const live = useLive()
  const key = runIds.join(',')
  const [attempt, setAttempt] = useState(0)
  const [stores, setStores] = useState<RunStore[]>([])
  const [outcome, setOutcome] = useState<{ key: string; error: Error | null } | null>(null)
  const [ready, setReady] = useState(0)

  // biome-ignore lint/correctness/useExhaustiveDependencies: `attempt` asks for another try
  useEffect(() => {
    const ids = key === '' ? [] : key.split(',')
    let current = true
    setStores(ids.map((runId) => live.acquire(runId)))
    setOutcome(null)
    setReady(0)
    let count = 0
    let timer: ReturnType<typeof setTimeout> | null = null
    const tell = () => {
      timer = null
      setReady(count)
    }
    const counted = async (runId: string) => {
      await live.load(runId, topics)
      count++
      // A hundred runs that come one by one must not draw the page a hundred times.
      if (current) timer ??= setTimeout(tell, renderEveryMs)
    }
    Promise.all(ids.map(counted)).then(
      () => current && setOutcome({ key, error: null }),
      (error: unknown) =>
        current && setOutcome({ key, error: error instanceof Error ? error : new Error(String(error)) }),
    )
    return () => {
      current = false
      if (timer !== null) clearTimeout(timer)
      for (const runId of ids) live.release(runId)
    }
  }, [live, key, topics, attempt])

  const retry = useCallback(() => setAttempt((count) => count + 1), [])
  return useMemo(
    () => ({
      stores,
      loading: outcome?.key !== key,
      ready,
      error: outcome?.key === key ? outcome.error : null,
      retry,
    }),
    [stores, outcome, ready, key, retry],
  )
}

/** Subscribe to several stores, with pauses between notifications; the last change is never lost. */
function useStores(stores: readonly RunStore[]) {
  return useCallback(
    (listener: () => void) => {
      let timer: ReturnType<typeof setTimeout> | null = null
      const changed = () => {
        timer ??= setTimeout(() => {
          timer = null
          listener()
        }, renderEveryMs)
      }
      const stops = stores.map((store) => store.subscribe(changed))
      return () => {
        if (timer !== null) clearTimeout(timer)
        for (const stop of stops) stop()
      }
    },
    [stores],
  )
}

/** Re-renders when the topic of any of the stores changes. */
export function useTopicVersion(stores: readonly RunStore[], topic: Topic): number {
  return useSyncExternalStore(useStores(stores), () =>
    stores.reduce((sum, store) => sum + store.version(topic), 0),
  )
}

export type LoadedSeries = {
  /** How many of the runs have all of the wanted series here. */
  ready: number
  error: Error | null
  retry: () => void
}

/** Series of several runs, fetched once `active`; `names` must be a constant. `times`: with the time of each point. */
export function useSeries(
  stores: readonly RunStore[],
  names: readonly string[],
  { active, times }: { active: boolean; times: boolean },
): LoadedSeries {
  const live = useLive()
  const [attempt, setAttempt] = useState(0)
  const [error, setError] = useState<Error | null>(null)
  // biome-ignore lint/correctness/useExhaustiveDependencies: `attempt` asks for another try
  useEffect(() => {
    if (!active || stores.length === 0) return
    let current = true
    setError(null)
    live
      .loadSeries(stores, names, { points: pointsPerRun(stores.length), times })
      .catch((reason: unknown) => {
        if (current) setError(reason instanceof Error ? reason : new Error(String(reason)))
      })
    return () => {
      current = false
    }
  }, [live, stores, names, active, times, attempt])
  const ready = useSyncExternalStore(
    useStores(stores),
    () => stores.filter((store) => names.every((name) => store.isSeriesReady(name))).length,
  )
  const retry = useCallback(() => setAttempt((count) => count + 1), [])
  return useMemo(() => ({ ready, error, retry }), [ready, error, retry])
}
