/** The queue as the page shows it, and which move brings a run where. Pure. */
import type { RunView } from '@rankscope/protocol'

/** Queued runs by their place; one that has none yet comes last. */
export function queueOf(runs: readonly RunView[]): RunView[] {
  return runs
    .filter((run) => run.state === 'queued')
    .sort(
      (a, b) => (a.queuePosition ?? Number.MAX_SAFE_INTEGER) - (b.queuePosition ?? Number.MAX_SAFE_INTEGER),
    )
}

/** Before which run (null: at the end) the one at `from` has to be put to stand at `to`; undefined where it stands there. */
export function moveTo(
  queue: readonly { runId: string }[],
  from: number,
  to: number,
): string | null | undefined {
  const place = Math.max(0, Math.min(queue.length - 1, to))
  if (place === from) return undefined
  return queue[place < from ? place : place + 1]?.runId ?? null
}
