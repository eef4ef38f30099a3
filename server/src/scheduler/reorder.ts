/** Moving a run within the queue: which runs change, and how. Pure. */
import type { StoredRun } from '../store/store.ts'
import { queueOrder } from './place.ts'

export type QueueChange = { runId: string; queuedMs: number; priority: number }

/**
 * The changes that put a queued run right before another, whose priority it takes; `before` null puts it last. The
 * order is by priority and time in the queue, so the run takes a time between its new neighbours’; where there is none
 * between, those before it of the same priority move to earlier times. To be carried out in the order given: whatever
 * of them is kept, no other run changes its place. Empty where the run stands there already, or either is not queued.
 */
export function moveBefore(runs: readonly StoredRun[], runId: string, before: string | null): QueueChange[] {
  const queue = queueOrder(runs)
  const moved = queue.find((run) => run.runId === runId)
  if (!moved || runId === before) return []
  const others = queue.filter((run) => run !== moved)
  const place = before === null ? others.length : others.findIndex((run) => run.runId === before)
  if (place < 0) return []
  const [previous, next] = [others[place - 1], others[place]]
  const own = moved.config.priority
  // Last of all: no higher than whoever was the last.
  const priority = next?.config.priority ?? Math.min(own, previous?.config.priority ?? own)
  if (queue[place] === moved && own === priority) return []
  const isPeer = (run: StoredRun | undefined) => run?.config.priority === priority
  const low = isPeer(previous) ? previous!.queuedMs : null
  const high = isPeer(next) ? next!.queuedMs : null
  if (high === null) return [{ runId, priority, queuedMs: low === null ? moved.queuedMs : low + 1 }]
  if (low === null) return [{ runId, priority, queuedMs: high - 1 }]
  const middle = (low + high) / 2
  if (low < middle && middle < high) return [{ runId, priority, queuedMs: middle }]
  const earlier = [...others.slice(0, place).filter(isPeer), moved]
  return earlier.map((run, index) => ({
    runId: run.runId,
    priority,
    queuedMs: high - (earlier.length - index),
  }))
}
