/**
 * Carries out what `decide.ts` decides: one event after the other, each decision first in the store, then on the
 * wire. Knows the time and the nodes’ links; decides nothing itself.
 */
import {
  type Assignment,
  type AwakeClock,
  acceptedCommands,
  canTransition,
  type ErrorPayload,
  isActive,
  isSettled,
  type NodeCommand,
  type NodeHello,
  type NodeMode,
  RankscopeError,
  type RunCommand,
  type Welcome,
} from '@rankscope/protocol'
import type { NodeBook } from '../nodes/node-book.ts'
import { emptyProgress, nextAttemptProgress } from '../runs/projection.ts'
import type { RunBook } from '../runs/run-book.ts'
import type { RunChange, StoredRun } from '../store/store.ts'
import { isFull } from '../store/store-health.ts'
import { type Decision, decide, type Patience, type SchedulerEvent } from './decide.ts'
import { nodesOf } from './gang.ts'
import { place, type Waiting } from './place.ts'
import { moveBefore } from './reorder.ts'

/** How the scheduler reaches the nodes. */
export type NodeLinks = {
  /** Resolves to the node’s refusal, or null: taken, or no answer (its heartbeats will tell). */
  assign(nodeId: string, assignment: Assignment): Promise<ErrorPayload | null>
  command(nodeId: string, command: NodeCommand): void
  disconnect(nodeId: string): void
}

export type SchedulerTimes = Patience & { heartbeatEveryMs: number; tickEveryMs: number }

/** Which devices of a run would go where, or what it would wait for. */
export type Outlook = {
  devices: { nodeId: string; name: string; devices: number }[]
  waitingFor: string | null
}

/** A node that is full is asked again after this time. */
const busyMs = 3000

export class Scheduler {
  readonly #runs: RunBook
  readonly #nodes: NodeBook
  readonly #links: NodeLinks
  readonly #times: SchedulerTimes
  readonly #now: () => number
  readonly #awake: AwakeClock
  readonly #report: (error: unknown) => void
  #queue: Promise<unknown> = Promise.resolve()
  #tickWanted = false
  #waits = new Map<string, Waiting>()
  /** Since when each queued run waits, by the awake clock. */
  #queuedSince = new Map<string, number>()
  #timer: NodeJS.Timeout | null = null
  /** Called with runs whose place in the queue, or what they wait for, changed. */
  onWaiting: (runIds: string[]) => void = () => undefined

  constructor(options: {
    runs: RunBook
    nodes: NodeBook
    links: NodeLinks
    times: SchedulerTimes
    now: () => number
    /** For silence and waiting. */
    awake: AwakeClock
    report: (error: unknown) => void
  }) {
    this.#runs = options.runs
    this.#nodes = options.nodes
    this.#links = options.links
    this.#times = options.times
    this.#now = options.now
    this.#awake = options.awake
    this.#report = options.report
  }

  start(): void {
    this.#runs.on('run', () => this.wake())
    this.#runs.on('deleted', () => this.wake())
    this.#nodes.on('node', () => this.wake())
    this.#timer = setInterval(() => {
      // Read at each tick, so that a pause is found however long the queue is.
      this.#awake()
      this.wake()
    }, this.#times.tickEveryMs)
    this.wake()
  }

  /** Resolves when what was begun is done. */
  async stop(): Promise<void> {
    if (this.#timer) clearInterval(this.#timer)
    this.#timer = null
    await this.#queue
  }

  /** Where the run would go if it were alone in the queue now; nothing is changed. */
  wouldPlace(config: StoredRun['config']): Outlook {
    const runs = this.#runs.list()
    const asked = wouldBe(config)
    const held = [...runs.filter(({ state }) => state !== 'queued'), asked]
    const { placements, waits } = place(held, this.#nodes.forScheduler(), this.#awake())
    const [placement] = placements
    const name = (nodeId: string) => this.#nodes.find(nodeId)?.hello.name ?? nodeId
    const devices =
      placement?.gang?.map((member) => ({ ...member, name: name(member.nodeId) })) ??
      (placement
        ? [{ nodeId: placement.nodeId, name: name(placement.nodeId), devices: config.parallel.devices }]
        : [])
    return {
      devices: devices.map(({ nodeId, name, devices }) => ({ nodeId, name, devices })),
      waitingFor: waits.get(asked.runId)?.waitingFor ?? null,
    }
  }

  waiting(runId: string): Waiting | undefined {
    return this.#waits.get(runId)
  }

  /** Look whether something can be done; many calls in a row become one. */
  wake(): void {
    if (this.#tickWanted || !this.#timer) return
    this.#tickWanted = true
    this.#enqueue(async () => {
      this.#tickWanted = false
      for (const nodeId of this.#nodes.silent(this.#times.lostAfterMs)) {
        this.#links.disconnect(nodeId)
        this.#nodes.offline(nodeId)
      }
      await this.#handle({ kind: 'tick' })
    }).catch(this.#report)
  }

  /** ILLEGAL_TRANSITION where the run’s state does not accept the command. */
  command(runId: string, command: RunCommand): Promise<StoredRun> {
    return this.#enqueue(async () => {
      const run = this.#runs.get(runId)
      if (!acceptedCommands(run.state).includes(command))
        throw new RankscopeError('ILLEGAL_TRANSITION', `${run.name} is ${run.state}: it cannot ${command}`, {
          hint: `possible now: ${acceptedCommands(run.state).join(', ') || 'nothing'}`,
        })
      await this.#handle({ kind: 'command', runId, command })
      return this.#runs.get(runId)
    })
  }

  /** ILLEGAL_TRANSITION where one of the runs is not queued. */
  move(runId: string, before: string | null): Promise<void> {
    return this.#enqueue(async () => {
      for (const id of before === null ? [runId] : [runId, before]) {
        const { name, state } = this.#runs.get(id)
        if (state !== 'queued')
          throw new RankscopeError('ILLEGAL_TRANSITION', `${name} is ${state}: it has no place in the queue`)
      }
      for (const { runId: id, queuedMs, priority } of moveBefore(this.#runs.list(), runId, before))
        await this.#runs.change(id, (run) => ({ queuedMs, config: { ...run.config, priority } }))
      await this.#handle({ kind: 'tick' })
    })
  }

  /** NOT_FOUND where there is no such node. */
  setNodeMode(nodeId: string, mode: NodeMode): Promise<void> {
    return this.#enqueue(async () => {
      const held = this.#runs
        .list()
        .filter(
          (run) => nodesOf(run).includes(nodeId) && (run.state === 'running' || run.state === 'assigned'),
        )
        .map((run) => run.runId)
      const paused = this.#nodes.find(nodeId)?.pausedRuns ?? []
      await this.#nodes.setMode(nodeId, mode, mode === 'paused' ? [...new Set([...paused, ...held])] : paused)
      await this.#handle(mode === 'paused' ? { kind: 'pauseNode', nodeId } : { kind: 'tick' })
    })
  }

  hello(hello: NodeHello): Promise<Welcome> {
    return this.#enqueue(async () => {
      await this.#nodes.hello(hello)
      const { nodeId, activeRuns } = hello
      const decisions = await this.#handle({ kind: 'hello', nodeId, activeRuns })
      const abandon = decisions.flatMap((decision) =>
        decision.kind === 'abandon' ? [{ runId: decision.runId, attempt: decision.attempt }] : [],
      )
      return { heartbeatEveryMs: this.#times.heartbeatEveryMs, abandon }
    })
  }

  #enqueue<T>(job: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(job)
    this.#queue = result.catch(() => undefined)
    return result
  }

  async #handle(event: SchedulerEvent): Promise<Decision[]> {
    const [runs, nodes, awakeMs] = [this.#runs.list(), this.#nodes.forScheduler(), this.#awake()]
    this.#noteQueued(awakeMs)
    const decisions = decide(runs, nodes, event, awakeMs, this.#times, this.#queuedSince)
    try {
      for (const decision of decisions) await this.#carryOut(decision)
    } catch (error) {
      // What could not be kept is decided again when there is room. A person’s command is answered by the error.
      if (!isFull(error) || event.kind === 'command') throw error
    }
    await this.#forgetResumed()
    this.#updateWaiting()
    return decisions
  }

  /** A run that goes on, or ended, is no longer paused on account of its node. */
  async #forgetResumed(): Promise<void> {
    for (const { nodeId, mode, pausedRuns } of this.#nodes.list()) {
      if (mode !== 'open' || pausedRuns.length === 0) continue
      const rest = pausedRuns.filter((runId) => {
        const state = this.#runs.find(runId)?.state
        return state === 'pausing' || state === 'paused'
      })
      if (rest.length < pausedRuns.length) await this.#nodes.setMode(nodeId, mode, rest)
    }
  }

  async #carryOut(decision: Decision): Promise<void> {
    switch (decision.kind) {
      case 'move':
        await this.#runs.change(decision.runId, (run) =>
          // Records may have moved the run on since the decision was taken.
          canTransition(run.state, decision.to) ? moved(run, decision, this.#now()) : null,
        )
        break
      case 'requeue':
        await this.#runs.change(decision.runId, (run) => requeued(run, decision, this.#now()))
        break
      case 'assign':
        await this.#assign(decision)
        break
      case 'order': {
        const { nodeId, runId, attempt, command } = decision
        this.#links.command(nodeId, { runId, attempt, command })
        break
      }
      case 'abandon':
        // The answer to the node’s hello carries it.
        break
      default:
        decision satisfies never
    }
  }

  async #assign(decision: Extract<Decision, { kind: 'assign' }>): Promise<void> {
    const { runId, nodeId, resumeFrom, gang } = decision
    const run = await this.#runs.change(runId, (current) =>
      current.state === 'queued' ? assigned(current, decision) : null,
    )
    if (!run) return
    const { attempt, name, config } = run
    // Not awaited: a slow node must not hold up the others.
    for (const holder of gang?.map((member) => member.nodeId) ?? [nodeId])
      this.#links
        .assign(holder, { runId, attempt, name, config, resumeFrom, gang })
        .then((refusal) => {
          if (!refusal) return
          if (refusal.code === 'NODE_BUSY') this.#nodes.busy(holder, this.#awake() + busyMs)
          return this.#enqueue(() => this.#handle({ kind: 'refused', runId, attempt, error: refusal }))
        })
        .catch(this.#report)
  }

  #noteQueued(awakeMs: number): void {
    const queued = this.#runs.list().filter(({ state }) => state === 'queued')
    this.#queuedSince = new Map(queued.map(({ runId }) => [runId, this.#queuedSince.get(runId) ?? awakeMs]))
  }

  #updateWaiting(): void {
    this.#noteQueued(this.#awake())
    const nodes = this.#nodes.forScheduler()
    const { waits } = place(this.#runs.list(), nodes, this.#awake(), this.#queuedSince)
    const before = this.#waits
    this.#waits = waits
    const changed = [...new Set([...before.keys(), ...waits.keys()])].filter((runId) => {
      const [old, current] = [before.get(runId), waits.get(runId)]
      return old?.queuePosition !== current?.queuePosition || old?.waitingFor !== current?.waitingFor
    })
    if (changed.length > 0) this.onWaiting(changed)
  }
}

/** A run that nobody has launched. */
function wouldBe(config: StoredRun['config']): StoredRun {
  const times = { createdMs: 0, queuedMs: 0, startedMs: null, endedMs: null }
  const identity = { runId: '', name: '', state: 'queued', attempt: 1, nodeId: null } as const
  return { ...identity, ...times, config, progress: emptyProgress(), lastCursor: 0, revision: 0 }
}

function moved(run: StoredRun, decision: Extract<Decision, { kind: 'move' }>, nowMs: number): RunChange {
  const { to, error } = decision
  return {
    state: to,
    ...(isSettled(to) ? { endedMs: nowMs } : {}),
    ...(isActive(to)
      ? {}
      : { progress: { ...run.progress, phase: null, error: error ?? run.progress.error } }),
  }
}

/** A queued run that has a node was last seen alive there: what that process still says is of an older attempt now. */
function assigned(
  run: StoredRun,
  { nodeId, resumeFrom, gang }: Extract<Decision, { kind: 'assign' }>,
): RunChange {
  const mayLive = run.nodeId !== null
  const former = mayLive ? nextAttemptProgress(run.progress) : run.progress
  const progress = { ...former, gang: gang ?? [] }
  return {
    state: 'assigned',
    nodeId,
    attempt: run.attempt + (mayLive ? 1 : 0),
    progress:
      resumeFrom === null ? { ...progress, checkpoint: null, checkpointNodeId: null, step: 0 } : progress,
  }
}

function requeued(
  run: StoredRun,
  decision: Extract<Decision, { kind: 'requeue' }>,
  nowMs: number,
): RunChange | null {
  if (!canTransition(run.state, 'queued')) return null
  const { attempt, toEndOfQueue, keepCheckpoint } = decision
  const kept = keepCheckpoint ? run.progress : { ...run.progress, checkpoint: null, checkpointNodeId: null }
  return {
    state: 'queued',
    attempt: run.attempt + (attempt === 'new' ? 1 : 0),
    ...(attempt === 'may-live' ? {} : { nodeId: null }),
    endedMs: null,
    progress: attempt === 'new' ? nextAttemptProgress(kept) : kept,
    ...(toEndOfQueue ? { queuedMs: nowMs } : {}),
  }
}
