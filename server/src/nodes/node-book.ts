/** All nodes that ever said hello, with what is known of them now. */
import { EventEmitter } from 'node:events'
import type { AwakeClock, Heartbeat, NodeHello, NodeMode, NodeView } from '@rankscope/protocol'
import { RankscopeError } from '@rankscope/protocol'
import { attemptKey, type SchedulerNode } from '../scheduler/place.ts'
import type { Store, StoredNode, StoredNodeMode } from '../store/store.ts'
import { isFull } from '../store/store-health.ts'

type KnownNode = StoredNode & {
  mode: NodeMode
  /** Runs that were paused with the node, and go on when it is opened. */
  pausedRuns: readonly string[]
  online: boolean
  /** When it was last heard, by the awake clock; `lastSeenMs` is the time of day, for people. */
  heardMs: number
  spooledRecords: number | null
  heartbeat: NodeView['heartbeat']
  busyUntilMs: number
  missingSinceMs: ReadonlyMap<string, number>
}

/** The time of day, and the clock for silence. */
export type Clocks = { now: () => number; awake: AwakeClock }

export type NodeBookEvents = { node: [nodeId: string] }

export class NodeBook extends EventEmitter<NodeBookEvents> {
  readonly #store: Store
  readonly #nodes: Map<string, KnownNode>
  readonly #now: () => number
  readonly #awake: AwakeClock
  readonly #unsaved = new Set<string>()

  private constructor(store: Store, nodes: StoredNode[], modes: StoredNodeMode[], clocks: Clocks) {
    super()
    this.#store = store
    this.#now = clocks.now
    this.#awake = clocks.awake
    // While the server was down no node could be heard.
    const absent = {
      online: false,
      heartbeat: null,
      busyUntilMs: 0,
      missingSinceMs: new Map(),
      heardMs: clocks.awake(),
      spooledRecords: null,
    }
    const open: StoredNodeMode = { nodeId: '', mode: 'open', pausedRuns: [] }
    this.#nodes = new Map(
      nodes.map((node) => {
        const { mode, pausedRuns } = modes.find((one) => one.nodeId === node.nodeId) ?? open
        // One that an older release knew said nothing of it.
        const hello = { ...node.hello, reach: node.hello.reach ?? null }
        return [node.nodeId, { ...node, hello, ...absent, mode, pausedRuns }]
      }),
    )
  }

  static async open(store: Store, clocks: Clocks): Promise<NodeBook> {
    return new NodeBook(store, await store.listNodes(), await store.listNodeModes(), clocks)
  }

  async hello(hello: NodeHello): Promise<void> {
    const { activeRuns: _, instanceId: _instance, ...lasting } = hello
    const nowMs = this.#now()
    const known = this.#nodes.get(hello.nodeId)
    const node: KnownNode = {
      nodeId: hello.nodeId,
      hello: lasting,
      mode: known?.mode ?? 'open',
      pausedRuns: known?.pausedRuns ?? [],
      firstSeenMs: known?.firstSeenMs ?? nowMs,
      lastSeenMs: nowMs,
      online: true,
      heardMs: this.#awake(),
      spooledRecords: null,
      heartbeat: null,
      busyUntilMs: 0,
      missingSinceMs: new Map(),
    }
    const { firstSeenMs, lastSeenMs } = node
    const stored = { nodeId: node.nodeId, hello: lasting, firstSeenMs, lastSeenMs }
    // A node is welcome also while the disk is full: what it delivers then waits in its spool.
    await this.#store.saveNode(stored).catch((error: unknown) => {
      if (!isFull(error)) throw error
      this.#unsaved.add(node.nodeId)
    })
    this.#nodes.set(node.nodeId, node)
    this.emit('node', node.nodeId)
  }

  /** `expected`: runs that the server believes to be active there. */
  heartbeat(heartbeat: Heartbeat, expected: readonly { runId: string; attempt: number }[]): void {
    const node = this.#nodes.get(heartbeat.nodeId)
    if (!node) return
    const { activeRuns: _, ...lasting } = heartbeat
    node.heartbeat = lasting
    node.lastSeenMs = this.#now()
    node.heardMs = this.#awake()
    node.spooledRecords = heartbeat.spooledRecords
    node.online = true
    node.missingSinceMs = missingRuns(node.missingSinceMs, heartbeat, expected, node.heardMs)
    this.emit('node', node.nodeId)
  }

  offline(nodeId: string): void {
    const node = this.#nodes.get(nodeId)
    if (!node?.online) return
    node.online = false
    const { hello, firstSeenMs, lastSeenMs } = node
    // Only the time last seen would be lost with it.
    this.#store.saveNode({ nodeId, hello, firstSeenMs, lastSeenMs }).catch(() => undefined)
    this.emit('node', nodeId)
  }

  /** There is room again: nodes that could not be saved are. */
  saveAgain(): void {
    for (const nodeId of this.#unsaved) {
      const node = this.#nodes.get(nodeId)
      this.#unsaved.delete(nodeId)
      if (!node) continue
      const { hello, firstSeenMs, lastSeenMs } = node
      this.#store.saveNode({ nodeId, hello, firstSeenMs, lastSeenMs }).catch(() => this.#unsaved.add(nodeId))
    }
  }

  /** NOT_FOUND where there is none. */
  async setMode(nodeId: string, mode: NodeMode, pausedRuns: readonly string[]): Promise<void> {
    const node = this.#nodes.get(nodeId)
    if (!node) throw new RankscopeError('NOT_FOUND', `there is no node ${nodeId}`)
    await this.#store.saveNodeMode({ nodeId, mode, pausedRuns: [...pausedRuns] })
    node.mode = mode
    node.pausedRuns = pausedRuns
    this.emit('node', nodeId)
  }

  busy(nodeId: string, untilMs: number): void {
    const node = this.#nodes.get(nodeId)
    if (node) node.busyUntilMs = untilMs
  }

  async forget(nodeId: string): Promise<boolean> {
    this.#nodes.delete(nodeId)
    return this.#store.deleteNode(nodeId)
  }

  /** Online nodes that were silent for so long that their link must be dead. */
  silent(afterMs: number): string[] {
    const awakeMs = this.#awake()
    return [...this.#nodes.values()]
      .filter((node) => node.online && awakeMs - node.heardMs > afterMs)
      .map((node) => node.nodeId)
  }

  find(nodeId: string): KnownNode | undefined {
    return this.#nodes.get(nodeId)
  }

  list(): KnownNode[] {
    return [...this.#nodes.values()]
  }

  forScheduler(): SchedulerNode[] {
    return this.list().map((node) => ({
      nodeId: node.nodeId,
      name: node.hello.name,
      slots: node.hello.slots,
      reach: node.hello.reach,
      backends: node.hello.backends.filter((backend) => backend.available).map((backend) => backend.name),
      models: node.hello.models.map((model) => model.path),
      online: node.online,
      mode: node.mode,
      pausedRuns: node.pausedRuns,
      isDraining: node.spooledRecords !== 0,
      lastSeenMs: node.heardMs,
      busyUntilMs: node.busyUntilMs,
      missingSinceMs: node.missingSinceMs,
    }))
  }
}

/**
 * Runs that a heartbeat does not mention although its node should hold them. While records wait in the spool
 * nothing is concluded: among them may be the news that the run has ended.
 */
export function missingRuns(
  before: ReadonlyMap<string, number>,
  heartbeat: Heartbeat,
  expected: readonly { runId: string; attempt: number }[],
  nowMs: number,
): Map<string, number> {
  if (heartbeat.spooledRecords > 0) return new Map()
  const mentioned = new Set(heartbeat.activeRuns.map(attemptKey))
  return new Map(
    expected
      .map(attemptKey)
      .filter((key) => !mentioned.has(key))
      .map((key) => [key, before.get(key) ?? nowMs]),
  )
}

export function toNodeView(node: KnownNode, runIds: string[]): NodeView {
  const { nodeId, hello, heartbeat, firstSeenMs, lastSeenMs } = node
  return {
    nodeId,
    state: node.online ? 'online' : 'offline',
    mode: node.mode,
    hello,
    heartbeat,
    runIds,
    firstSeenMs,
    lastSeenMs,
  }
}
