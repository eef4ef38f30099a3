/** A server on a free port with a clock of its own, and real sockets to it: stand-ins for a daemon and a browser. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Ack,
  type Assignment,
  type BrowserToServerEvents,
  browserNamespace,
  type DataPreview,
  type MemoryPlan,
  type NodeCommand,
  type NodeHello,
  type NodeToServerEvents,
  type NodeView,
  nodeNamespace,
  protocolVersion,
  type RunConfig,
  type RunRecord,
  type RunRowChange,
  type RunView,
  type ServerToBrowserEvents,
  type ServerToNodeEvents,
  type StoredRecord,
  type Welcome,
  wireParser,
} from '@rankscope/protocol'
import { io, type Socket } from 'socket.io-client'
import { type RunningServer, type ServerOptions, startServer } from '../start-server.ts'
import { sampleHello } from './samples.ts'

/** Heartbeats are sent by hand; silence counts by the bench’s clock, which stands still unless advanced. */
export const times = {
  heartbeatEveryMs: 100,
  lostAfterMs: 1000,
  requeueAfterMs: 3000,
  missingAfterMs: 500,
  tickEveryMs: 10,
}

export class Bench {
  readonly folder = mkdtempSync(join(tmpdir(), 'rankscope-server-'))
  nowMs = 1_000_000
  server!: RunningServer
  readonly #peers: { close: () => void }[] = []

  static async start(options: Partial<ServerOptions> = {}): Promise<Bench> {
    const bench = new Bench()
    await bench.restart(options)
    return bench
  }

  /** Stop the server, if it runs, and start it on the same data. */
  async restart(options: Partial<ServerOptions> = {}): Promise<void> {
    if (this.server) await this.server.close()
    this.server = await startServer({
      port: 0,
      dataFolder: this.folder,
      dashboardFolder: join(this.folder, 'no-dashboard'),
      times,
      now: () => this.nowMs,
      awake: () => this.nowMs,
      ...options,
    })
  }

  async close(): Promise<void> {
    for (const peer of this.#peers) peer.close()
    await this.server.close()
    rmSync(this.folder, { recursive: true, force: true })
  }

  node(nodeId = 'node-a'): FakeNode {
    const node = new FakeNode(this.server.url, this.server.nodeToken, nodeId, () => this.nowMs)
    this.#peers.push(node)
    return node
  }

  browser(): FakeBrowser {
    const browser = new FakeBrowser(this.server.url, this.server.browserToken)
    this.#peers.push(browser)
    return browser
  }

  /** Of a script that may come in. */
  get headers(): Record<string, string> {
    return { host: 'localhost', authorization: `Bearer ${this.server.browserToken}` }
  }

  async get<T>(path: string): Promise<T> {
    return (await this.server.app.inject({ url: path, headers: this.headers })).json() as T
  }

  async post(path: string, payload: object) {
    return this.server.app.inject({ method: 'POST', url: path, payload, headers: this.headers })
  }

  async createRun(config: RunConfig): Promise<RunView> {
    return (await this.post('/api/runs', { configs: [config] })).json().runs[0] as RunView
  }

  /** Resolves when the run is as wanted; polls as a person would, without a wait of fixed length. */
  async runWhere(runId: string, wanted: (run: RunView) => boolean): Promise<RunView> {
    for (;;) {
      const run = await this.get<RunView>(`/api/runs/${runId}`)
      if (wanted(run)) return run
      await nextTurn()
    }
  }

  /** The same of the first node. */
  async nodeWhere(wanted: (node: NodeView) => boolean): Promise<NodeView> {
    for (;;) {
      const node = (await this.get<{ nodes: NodeView[] }>('/api/nodes')).nodes.at(-1)
      if (node && wanted(node)) return node
      await nextTurn()
    }
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5))
}

/** What was received, and promises for what will be. */
class Inbox<T> {
  readonly items: T[] = []
  #waiting: { wanted: (items: T[]) => boolean; resolve: () => void }[] = []

  add(...items: T[]): void {
    this.items.push(...items)
    for (const waiter of this.#waiting) if (waiter.wanted(this.items)) waiter.resolve()
    this.#waiting = this.#waiting.filter((waiter) => !waiter.wanted(this.items))
  }

  until(wanted: (items: T[]) => boolean): Promise<void> {
    if (wanted(this.items)) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ wanted, resolve }))
  }

  async count(count: number): Promise<T[]> {
    await this.until((items) => items.length >= count)
    return this.items
  }
}

export class FakeNode {
  readonly socket: Socket<ServerToNodeEvents, NodeToServerEvents>
  readonly assignments = new Inbox<Assignment>()
  readonly commands = new Inbox<NodeCommand>()
  readonly deletions = new Inbox<string>()
  /** Whether it says so when it is asked. */
  isPresent = true
  /** How estimates are answered; null: not at all. */
  memory: Ack<MemoryPlan> | null = null
  /** How previews are answered; null: not at all. */
  preview: Ack<DataPreview> | null = null
  /** How assignments are answered. */
  answer: Ack<null> = { ok: true, value: null }
  readonly #nodeId: string
  readonly #now: () => number

  constructor(url: string, token: string, nodeId: string, now: () => number) {
    this.#nodeId = nodeId
    this.#now = now
    this.socket = io(new URL(nodeNamespace, url).href, {
      parser: wireParser(nodeNamespace),
      transports: ['websocket'],
      query: { side: 'node' },
      extraHeaders: { authorization: `Bearer ${token}` },
      auth: { protocolVersion },
      forceNew: true,
      reconnection: false,
    })
    this.socket.on('assign', (assignment, acknowledge) => {
      this.assignments.add(assignment)
      acknowledge(this.answer)
    })
    this.socket.on('present', (acknowledge) => {
      if (this.isPresent) acknowledge({ ok: true, value: null })
    })
    this.socket.on('estimate', (_, acknowledge) => {
      if (this.memory) acknowledge(this.memory)
    })
    this.socket.on('preview', (_, acknowledge) => {
      if (this.preview) acknowledge(this.preview)
    })
    this.socket.on('deleteRun', ({ runId }, acknowledge) => {
      this.deletions.add(runId)
      acknowledge({ ok: true, value: { freedBytes: 7 } })
    })
    this.socket.on('command', (command, acknowledge) => {
      this.commands.add(command)
      acknowledge({ ok: true, value: null })
    })
  }

  async hello(changes: Partial<NodeHello> = {}): Promise<Ack<Welcome>> {
    return this.socket.emitWithAck('hello', sampleHello({ nodeId: this.#nodeId, ...changes }))
  }

  async heartbeat(activeRuns: { runId: string; attempt: number }[], spooledRecords = 0) {
    return this.socket.emitWithAck('heartbeat', {
      nodeId: this.#nodeId,
      timeMs: this.#now(),
      loadAverage: 0.5,
      freeMemoryBytes: 1e9,
      gpus: { readings: [], absent: 'none in a test' },
      spooledRecords,
      activeRuns: activeRuns.map((run) => ({ ...run, residentMemoryBytes: null })),
    })
  }

  async records(...records: RunRecord[]) {
    return this.socket.emitWithAck('records', { nodeId: this.#nodeId, records })
  }

  close(): void {
    this.socket.close()
  }
}

export class FakeBrowser {
  readonly socket: Socket<ServerToBrowserEvents, BrowserToServerEvents>
  readonly records = new Inbox<StoredRecord>()
  readonly runs = new Inbox<RunView>()
  readonly nodes = new Inbox<NodeView>()
  readonly deleted = new Inbox<string>()
  readonly rows = new Inbox<RunRowChange>()

  constructor(url: string, token: string) {
    this.socket = io(new URL(browserNamespace, url).href, {
      parser: wireParser(browserNamespace),
      extraHeaders: { authorization: `Bearer ${token}` },
      transports: ['websocket'],
      auth: { protocolVersion },
      forceNew: true,
      reconnection: false,
    })
    this.socket.on('records', ({ records }) => this.records.add(...records))
    this.socket.on('run', (run) => this.runs.add(run))
    this.socket.on('node', (node) => this.nodes.add(node))
    this.socket.on('runRows', ({ rows }) => this.rows.add(...rows))
    this.socket.on('runDeleted', ({ runId }) => this.deleted.add(runId))
  }

  async subscribe(runId: string, afterCursor = 0) {
    return this.socket.emitWithAck('subscribeRun', { runId, afterCursor })
  }

  close(): void {
    this.socket.close()
  }
}
