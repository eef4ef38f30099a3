/**
 * The scheduler: a pure function from (runs, nodes, event, time) to decisions. Times are those of an awake clock (see
 * the protocol's awake-clock.ts), but for `queuedMs`, which only orders. Runs and nodes are what is true now; decisions are carried out in order by `shell.ts`. docs/protocol.md, “Scheduling”, has the rules.
 */
import {
  canTransition,
  type ErrorPayload,
  isActive,
  type NodeCommand,
  type RunCommand,
  type RunState,
} from '@rankscope/protocol'
import type { StoredRun } from '../store/store.ts'
import { gangOf, nodesOf } from './gang.ts'
import { attemptKey, type Placement, place, type SchedulerNode } from './place.ts'

export type SchedulerEvent =
  | { kind: 'tick' }
  /** A person’s command that the run’s state accepts. */
  | { kind: 'command'; runId: string; command: RunCommand }
  /** A node (again) says who it is and which run processes are alive on it. */
  | { kind: 'hello'; nodeId: string; activeRuns: readonly { runId: string; attempt: number }[] }
  /** A person paused a node: what it holds is paused with it. */
  | { kind: 'pauseNode'; nodeId: string }
  /** A node refused a run that it was given. */
  | { kind: 'refused'; runId: string; attempt: number; error: ErrorPayload }

export type Decision =
  | ({ kind: 'assign' } & Placement)
  | { kind: 'move'; runId: string; to: RunState; error: ErrorPayload | null }
  | ({ kind: 'requeue'; runId: string } & Requeue)
  | ({ kind: 'order'; nodeId: string } & NodeCommand)
  | { kind: 'abandon'; nodeId: string; runId: string; attempt: number }

/** Back into the queue. */
export type Requeue = {
  /**
   * new: what ran before is over. same: no node ever took it. may-live: its node fell silent, and may come back with
   * the process alive; the attempt grows when the run is given out again.
   */
  attempt: 'new' | 'same' | 'may-live'
  toEndOfQueue: boolean
  keepCheckpoint: boolean
}

export type Patience = {
  /** Silence after which a node’s runs count as lost. */
  lostAfterMs: number
  /** Silence after which lost runs go back to the queue. */
  requeueAfterMs: number
  /** How long a node may fail to mention a run that it was given. */
  missingAfterMs: number
}

export function decide(
  runs: readonly StoredRun[],
  nodes: readonly SchedulerNode[],
  event: SchedulerEvent,
  nowMs: number,
  patience: Patience,
  queuedSinceMs: ReadonlyMap<string, number> = new Map(),
): Decision[] {
  const draft = new Draft(runs)
  switch (event.kind) {
    case 'tick':
      break
    case 'command':
      obey(draft, event.runId, event.command)
      break
    case 'hello':
      reconcile(draft, nodes, event.nodeId, event.activeRuns)
      break
    case 'pauseNode':
      for (const run of [...draft.runs])
        if (nodesOf(run).includes(event.nodeId) && (run.state === 'running' || run.state === 'assigned'))
          obey(draft, run.runId, 'pause')
      break
    case 'refused':
      takeBack(draft, event.runId, event.attempt, event.error)
      break
    default:
      event satisfies never
  }
  resumePaused(draft, nodes)
  findLost(draft, nodes, nowMs, patience)
  for (const placement of place(draft.runs, nodes, nowMs, queuedSinceMs).placements)
    draft.decisions.push({ kind: 'assign', ...placement })
  return draft.decisions
}

/** The runs as they will be once the decisions so far are carried out. */
class Draft {
  readonly runs: StoredRun[]
  readonly decisions: Decision[] = []

  constructor(runs: readonly StoredRun[]) {
    this.runs = [...runs]
  }

  find(runId: string): StoredRun | undefined {
    return this.runs.find((run) => run.runId === runId)
  }

  /** Refused silently where the table of transitions has no such arrow: the run has moved on meanwhile. */
  move(run: StoredRun, to: RunState, error: ErrorPayload | null = null): void {
    if (!canTransition(run.state, to)) return
    this.replace({ ...run, state: to })
    this.decisions.push({ kind: 'move', runId: run.runId, to, error })
  }

  requeue(run: StoredRun, how: Requeue): void {
    if (!canTransition(run.state, 'queued')) return
    const progress = how.keepCheckpoint
      ? run.progress
      : { ...run.progress, checkpoint: null, checkpointNodeId: null }
    this.replace({
      ...run,
      progress,
      state: 'queued',
      attempt: run.attempt + (how.attempt === 'new' ? 1 : 0),
      nodeId: how.attempt === 'may-live' ? run.nodeId : null,
      // Not the real time, but behind everyone else’s: enough for placing.
      queuedMs: how.toEndOfQueue ? Number.MAX_SAFE_INTEGER : run.queuedMs,
    })
    this.decisions.push({ kind: 'requeue', runId: run.runId, ...how })
  }

  order(run: StoredRun, command: NodeCommand['command']): void {
    if (run.nodeId === null) return
    const { runId, attempt, nodeId } = run
    this.decisions.push({ kind: 'order', nodeId, runId, attempt, command })
  }

  /** The attempt is over wherever parts of it may be left. */
  endGang(run: StoredRun): void {
    const { runId, attempt } = run
    for (const { nodeId } of gangOf(run))
      this.decisions.push({ kind: 'order', nodeId, runId, attempt, command: 'stop' })
  }

  replace(run: StoredRun): void {
    this.runs[this.runs.findIndex((other) => other.runId === run.runId)] = run
  }
}

function obey(draft: Draft, runId: string, command: RunCommand): void {
  const run = draft.find(runId)
  if (!run) return
  switch (command) {
    case 'stop':
      if (isActive(run.state)) {
        draft.move(run, 'stopping')
        draft.order(run, 'stop')
      } else draft.move(run, 'stopped')
      break
    case 'pause':
      // One that waits is held where it is: it has nothing to write first.
      if (run.state === 'queued') draft.move(run, 'paused')
      else {
        draft.move(run, 'pausing')
        draft.order(run, 'pause')
      }
      break
    case 'checkpoint':
      draft.order(run, 'checkpoint')
      break
    case 'resume':
      draft.requeue(run, { attempt: 'new', toEndOfQueue: true, keepCheckpoint: true })
      break
    case 'retry':
      draft.requeue(run, {
        attempt: 'new',
        toEndOfQueue: true,
        keepCheckpoint: run.progress.error?.code !== 'CHECKPOINT_BROKEN',
      })
      break
    default:
      command satisfies never
  }
}

/** Runs that were paused only because their node was, once it is open. */
function resumePaused(draft: Draft, nodes: readonly SchedulerNode[]): void {
  for (const { mode, pausedRuns } of nodes)
    if (mode === 'open')
      for (const runId of pausedRuns) if (draft.find(runId)?.state === 'paused') obey(draft, runId, 'resume')
}

/** What a node says is alive against what the server wants there. */
function reconcile(
  draft: Draft,
  nodes: readonly SchedulerNode[],
  nodeId: string,
  activeRuns: readonly { runId: string; attempt: number }[],
): void {
  for (const { runId, attempt } of activeRuns) {
    const run = draft.find(runId)
    const isItsOwn = run?.attempt === attempt && nodesOf(run).includes(nodeId)
    // A pause that was taken for done when the node fell silent: what was trained since is still to be saved.
    if (isItsOwn && run.state === 'paused') {
      draft.order(run, 'pause')
      continue
    }
    const isWanted = isItsOwn && (isActive(run.state) || run.state === 'lost' || run.state === 'queued')
    if (!isWanted) {
      draft.decisions.push({ kind: 'abandon', nodeId, runId, attempt })
      continue
    }
    const isWhole = nodesOf(run).every((id) => nodes.some((node) => node.nodeId === id && node.online))
    if (isWhole && (run.state === 'lost' || run.state === 'queued')) draft.move(run, 'running')
    // The order may have been given while the node was away.
    if (run.state === 'stopping') draft.order(run, 'stop')
    if (run.state === 'pausing') draft.order(run, 'pause')
  }
}

function takeBack(draft: Draft, runId: string, attempt: number, error: ErrorPayload): void {
  const run = draft.find(runId)
  if (!run || run.attempt !== attempt) return
  if (run.state === 'stopping') draft.move(run, 'stopped')
  else if (run.state !== 'assigned') return
  // The others of a gang may have begun: what they do is of an older attempt then.
  else if (error.code === 'NODE_BUSY')
    draft.requeue(run, {
      attempt: gangOf(run).length > 0 ? 'new' : 'same',
      toEndOfQueue: false,
      keepCheckpoint: true,
    })
  else draft.move(run, 'failed', error)
  draft.endGang(run)
}

/** Runs whose node fell silent, or no longer knows them. */
function findLost(draft: Draft, nodes: readonly SchedulerNode[], nowMs: number, patience: Patience): void {
  for (const run of [...draft.runs]) {
    if (!isActive(run.state) && run.state !== 'lost') continue
    if (run.state === 'lost' && run.progress.lostRank) {
      goOnAfterLoss(draft, run)
      continue
    }
    const holders = nodesOf(run).map((nodeId) => nodes.find((other) => other.nodeId === nodeId))
    // A gang is as alive as the worst of its nodes.
    const silentMs = Math.max(
      0,
      ...holders.map((node) => (node?.online ? 0 : nowMs - (node?.lastSeenMs ?? 0))),
    )
    const isMissing = holders.some((node) => {
      const sinceMs = node?.online ? node.missingSinceMs.get(attemptKey(run)) : undefined
      return sinceMs !== undefined && nowMs - sinceMs >= patience.missingAfterMs
    })
    if (silentMs < patience.lostAfterMs && !isMissing) continue
    // A run that was to end anyway has ended; one that was to pause keeps the checkpoint that it has.
    if (run.state === 'stopping') draft.move(run, 'stopped')
    else if (run.state === 'pausing') draft.move(run, 'paused')
    else {
      draft.move(run, 'lost')
      if (!isMissing && silentMs < patience.requeueAfterMs) continue
      draft.endGang(run)
      draft.requeue(draft.find(run.runId)!, {
        // A part of a gang cannot be taken up again by itself.
        attempt: isMissing || gangOf(run).length > 0 ? 'new' : 'may-live',
        toEndOfQueue: false,
        keepCheckpoint: true,
      })
    }
  }
}

/** Attempts in a row that may be lost without a newer checkpoint between them. */
const mostLosses = 5

/** The attempt is over, and said so: a rank, a host or a link was lost. The next one goes on from the checkpoint. */
function goOnAfterLoss(draft: Draft, run: StoredRun): void {
  const { losses, lostRank } = run.progress
  draft.endGang(run)
  if (lostRank && losses && losses.count >= mostLosses)
    draft.move(run, 'failed', {
      ...lostRank,
      hint: `${losses.count} attempts were lost in a row without a newer checkpoint: look at the logs of the hosts, then retry`,
    })
  else draft.requeue(run, { attempt: 'new', toEndOfQueue: false, keepCheckpoint: true })
}
