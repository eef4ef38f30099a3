/** Which queued run goes to which node, and what the others wait for. Pure. */
import {
  activeStates,
  deviceSlots,
  type Gang,
  type NodeMode,
  type Reach,
  requiredBackend,
} from '@rankscope/protocol'
import type { StoredRun } from '../store/store.ts'
import { type FreeNode, gather, slotsOn, whyNot } from './gang.ts'

/** A node as the scheduler sees it. */
export type SchedulerNode = {
  nodeId: string
  name: string
  slots: number
  /** How ranks of other nodes reach it; null where it shares no run. */
  reach: Reach | null
  /** Backends that passed their self-check there. */
  backends: readonly string[]
  /** Models it offers by name; it may reach more by path. */
  models: readonly string[]
  online: boolean
  /** What a person decided: only an open one is given runs. */
  mode: NodeMode
  /** Runs that were paused with the node, and go on once it is open. */
  pausedRuns: readonly string[]
  /** Records may still wait in its spool: it is not yet known how its runs of before stand. */
  isDraining: boolean
  /** When it was last heard. */
  lastSeenMs: number
  /** It refused a run for lack of room; not asked again before. */
  busyUntilMs: number
  /** Attempts (by `attemptKey`) given to it that its heartbeats, with nothing left in the spool, do not mention: since when. */
  missingSinceMs: ReadonlyMap<string, number>
}

/** A new attempt on the same node starts with a clean record. */
export function attemptKey({ runId, attempt }: { runId: string; attempt: number }): string {
  return `${runId}/${attempt}`
}

/** `gang`: the nodes that share the run, of which `nodeId` leads; null where it has it alone. */
export type Placement = { runId: string; nodeId: string; resumeFrom: string | null; gang: Gang | null }
export type Waiting = { queuePosition: number; waitingFor: string }

/** How long a run waits for the node that holds its checkpoint before it starts afresh on another. */
export const checkpointWaitMs = 10 * 60_000

/** By priority, then first in, first out. */
export function queueOrder(runs: readonly StoredRun[]): StoredRun[] {
  return runs
    .filter((run) => run.state === 'queued')
    .sort((left, right) => right.config.priority - left.config.priority || left.queuedMs - right.queuedMs)
}

/** Slots that runs occupy: a lost one may still have its processes. */
export function usedSlots(runs: readonly StoredRun[], nodeId: string): number {
  const holding: readonly string[] = [...activeStates, 'lost']
  return runs.filter((run) => holding.includes(run.state)).reduce((sum, run) => sum + slotsOn(run, nodeId), 0)
}

/**
 * Fill the free slots in queue order. A run that cannot start yet holds nobody up. Returned waits are for the
 * runs that stay queued, with their place in the queue. Times are those of an awake clock.
 */
export function place(
  runs: readonly StoredRun[],
  nodes: readonly SchedulerNode[],
  nowMs: number,
  queuedSinceMs: ReadonlyMap<string, number> = new Map(),
): { placements: Placement[]; waits: Map<string, Waiting> } {
  const free = new Map(nodes.map((node) => [node.nodeId, node.slots - usedSlots(runs, node.nodeId)]))
  const placements: Placement[] = []
  const waits = new Map<string, Waiting>()
  for (const run of queueOrder(runs)) {
    const choice = choose(run, nodes, free, nowMs, queuedSinceMs.get(run.runId) ?? 0)
    if ('waitingFor' in choice) {
      waits.set(run.runId, { queuePosition: waits.size + 1, waitingFor: choice.waitingFor })
    } else {
      const taken = choice.gang ?? [{ nodeId: choice.nodeId, devices: deviceSlots(run.config) }]
      for (const { nodeId, devices } of taken) free.set(nodeId, free.get(nodeId)! - devices)
      placements.push({ runId: run.runId, ...choice })
    }
  }
  return { placements, waits }
}

type Choice = Omit<Placement, 'runId'> | { waitingFor: string }

function choose(
  run: StoredRun,
  nodes: readonly SchedulerNode[],
  free: ReadonlyMap<string, number>,
  nowMs: number,
  queuedSinceMs: number,
): Choice {
  const devices = deviceSlots(run.config)
  const isFree = (node: SchedulerNode) =>
    node.mode === 'open' && free.get(node.nodeId)! > 0 && node.busyUntilMs <= nowMs
  const withRoom = (among: readonly SchedulerNode[]): FreeNode[] =>
    among.map((node) => ({ node, free: isFree(node) ? free.get(node.nodeId)! : 0 }))
  const backend = requiredBackend(run.config)
  const online = nodes.filter((node) => node.online)
  const able = online.filter((node) => backend === 'auto' || node.backends.includes(backend))
  const of = run.config.job.kind === 'evaluation' ? run.config.job.of : null
  if (of) {
    const holder = nodes.find((node) => node.nodeId === of.nodeId)
    const held = `the ${of.what} that is evaluated`
    if (!holder?.online)
      return { waitingFor: `${holder?.name ?? 'a vanished node'}, which holds ${held} and is offline` }
    if (holder.mode !== 'open')
      return { waitingFor: `${holder.name}, which holds ${held} and is ${holder.mode}: open it again` }
    return isFree(holder)
      ? { nodeId: holder.nodeId, resumeFrom: null, gang: null }
      : { waitingFor: `a free slot on ${holder.name}, which holds ${held}` }
  }
  const { checkpoint, checkpointNodeId } = run.progress
  const former = nodes.find((node) => node.nodeId === run.nodeId)
  if (former?.online && former.isDraining)
    return { waitingFor: `what ${former.name} recorded while it was away` }
  if (checkpoint && checkpointNodeId !== null) {
    const holder = nodes.find((node) => node.nodeId === checkpointNodeId)
    const held = `the checkpoint of step ${checkpoint.step}`
    if (holder?.online && holder.mode !== 'open')
      return { waitingFor: `${holder.name}, which holds ${held} and is ${holder.mode}: open it again` }
    if (holder?.online) {
      const resumeFrom = checkpoint.path
      if (isFree(holder) && free.get(holder.nodeId)! >= devices)
        return { nodeId: holder.nodeId, resumeFrom, gang: null }
      const gang = devices > 1 ? gather(withRoom(able), devices, holder) : null
      if (gang) return { nodeId: holder.nodeId, resumeFrom, gang }
      return isFree(holder)
        ? { waitingFor: `${whyNot(withRoom(able), devices)}; ${holder.name} holds ${held} and must lead` }
        : { waitingFor: `a free slot on ${holder.name}, which holds ${held}` }
    }
    const untilMs = Math.max(holder?.lastSeenMs ?? 0, queuedSinceMs) + checkpointWaitMs
    if (nowMs < untilMs) {
      const minutes = Math.ceil((untilMs - nowMs) / 60_000)
      return {
        waitingFor: `${holder?.name ?? 'a vanished node'}, which holds ${held} and is offline; starts afresh elsewhere in ${minutes} min`,
      }
    }
  }
  if (online.length === 0) return { waitingFor: 'a node: none is online' }
  if (able.length === 0) return { waitingFor: `a node that has the backend ${backend}` }
  const open = able.filter((node) => node.mode === 'open')
  if (open.length === 0)
    return {
      waitingFor: `a node that is open: ${able.map((node) => `${node.name} is ${node.mode}`).join(', ')}`,
    }
  const room = open.filter(isFree)
  if (room.length === 0) return { waitingFor: 'a free slot' }
  const preferred = room.sort((left, right) => {
    const offers = (node: SchedulerNode) => Number(node.models.includes(run.config.model.path))
    return (
      offers(right) - offers(left) ||
      free.get(right.nodeId)! - free.get(left.nodeId)! ||
      (left.nodeId < right.nodeId ? -1 : 1)
    )
  })
  const best = preferred.find((node) => free.get(node.nodeId)! >= devices)
  if (best) return { nodeId: best.nodeId, resumeFrom: null, gang: null }
  const gang = gather(withRoom(preferred), devices, null)
  return gang
    ? { nodeId: gang[0]!.nodeId, resumeFrom: null, gang }
    : { waitingFor: whyNot(withRoom(open), devices) }
}
