/**
 * The one socket of this page. Runs are subscribed by reference count, each with the cursor its store holds,
 * so that after a lost link or a sleeping laptop only the gap is sent.
 */
import type {
  BrowserToServerEvents,
  NodeView,
  RunRowChange,
  RunView,
  ServerToBrowserEvents,
} from '@rankscope/protocol'
import pLimit from 'p-limit'
import type { Socket } from 'socket.io-client'
import { fetchSeries } from './fetch-series.ts'
import { hydrate } from './hydrate.ts'
import { type LoadedTopic, RunStore } from './run-store.ts'

export type LiveSocket = Pick<
  Socket<ServerToBrowserEvents, BrowserToServerEvents>,
  'on' | 'emit' | 'connect' | 'connected'
>

export type ConnectionState =
  | { state: 'connecting' }
  | { state: 'online' }
  | { state: 'offline'; reason: string }

export type ViewListener = {
  run: (run: RunView) => void
  runRows: (rows: RunRowChange[]) => void
  runDeleted: (runId: string) => void
  node: (node: NodeView) => void
  /** The link is back: views may have changed meanwhile. */
  reconnected: () => void
  /** The server refused the link or is gone: which of both, a request can tell. */
  unreachable: () => void
}

type Held = { store: RunStore; holders: number; started: boolean }

/** Stores that nobody shows are kept a while, so that going back to a run is instant. */
const keptStores = 12
/** Above this many runs numbers travel as float32: seven digits, half the bytes. */
const manyRuns = 16

export class LiveConnection {
  readonly #socket: LiveSocket
  readonly #views: ViewListener
  readonly #held = new Map<string, Held>()
  /** A comparison of a hundred runs must leave some of the browser’s six requests at a time to its curves. */
  readonly #turns = pLimit(3)
  readonly #listeners = new Set<() => void>()
  /** Runs whose whole views are shown, once for each that shows them. */
  readonly #watched: string[] = []
  #state: ConnectionState = { state: 'connecting' }

  constructor(socket: LiveSocket, views: ViewListener) {
    this.#socket = socket
    this.#views = views
    let connectedBefore = false
    socket.on('connect', () => {
      this.#setState({ state: 'online' })
      this.#watch()
      for (const held of this.#held.values()) if (held.started) this.#subscribe(held)
      if (connectedBefore) views.reconnected()
      connectedBefore = true
    })
    socket.on('disconnect', (reason) => {
      this.#setState({ state: 'offline', reason })
      // The server closed the link on purpose, for instance to restart: socket.io would not come back by itself.
      if (reason === 'io server disconnect') socket.connect()
    })
    socket.on('connect_error', (error) => {
      this.#setState({ state: 'offline', reason: error.message })
      views.unreachable()
    })
    socket.on('run', (run) => this.#views.run(run))
    socket.on('runRows', ({ rows }) => this.#views.runRows(rows))
    socket.on('node', (node) => this.#views.node(node))
    socket.on('runDeleted', ({ runId }) => {
      this.#held.delete(runId)
      this.#views.runDeleted(runId)
    })
    socket.on('records', ({ runId, records }) => {
      this.#held.get(runId)?.store.apply(records, Date.now())
    })
  }

  get state(): ConnectionState {
    return this.#state
  }

  subscribeState = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Hear of the whole view of a run, not only of its row; returns what ends it. */
  watchView(runId: string): () => void {
    this.#watched.push(runId)
    this.#watch()
    return () => {
      this.#watched.splice(this.#watched.indexOf(runId), 1)
      this.#watch()
    }
  }

  #watch(): void {
    if (!this.#socket.connected) return
    this.#socket.emit('watch', { runs: 'rows', views: [...new Set(this.#watched)], nodes: true }, () => {})
  }

  /** The run’s store, the same one for every caller while it is held. */
  acquire(runId: string): RunStore {
    const held = this.#held.get(runId) ?? { store: new RunStore(runId), holders: 0, started: false }
    held.holders++
    // Newest last, for `#forgetUnused`.
    this.#held.delete(runId)
    this.#held.set(runId, held)
    return held.store
  }

  release(runId: string): void {
    const held = this.#held.get(runId)
    if (!held) return
    held.holders--
    this.#forgetUnused()
  }

  /** Load topics, then go on live from there. Throws the first request’s error; call again to retry. */
  async load(runId: string, wanted: readonly LoadedTopic[]): Promise<void> {
    const held = this.#held.get(runId)
    if (!held) return
    await Promise.all(wanted.map((topic) => this.#turns(() => hydrate(held.store, topic))))
    if (wanted.length > 0) this.#start(held)
  }

  /**
   * Load series of several runs in one request, as finely as wanted, then go on live from there; those that are here
   * or on their way are not asked for again. Throws the request’s error; call again to retry.
   */
  async loadSeries(
    stores: readonly RunStore[],
    names: readonly string[],
    wanted: { points: number; times: boolean },
  ): Promise<void> {
    const missing = new Map(
      stores.flatMap((store) => {
        const ofStore = store.missingSeries(names, wanted)
        return ofStore.length === 0 ? [] : [[store.runId, { store, names: ofStore }] as const]
      }),
    )
    for (const { store, names: ofStore } of missing.values()) store.beginSeries(ofStore)
    const queries = [...missing].map(([runId, { names: ofStore }]) => ({
      runId,
      names: ofStore,
      points: wanted.points,
    }))
    const precision = queries.length > manyRuns ? 'float32' : 'float64'
    try {
      await fetchSeries(queries, { times: wanted.times, precision }, (found) => {
        for (const { runId, cursor, series } of found) {
          const entry = missing.get(runId)
          if (!entry) continue
          missing.delete(runId)
          const loaded = new Map(entry.names.map((name) => [name, series.get(name) ?? null]))
          entry.store.finishSeries(cursor, loaded, wanted)
          const held = this.#held.get(runId)
          if (held) this.#start(held)
        }
      })
    } finally {
      for (const { store, names: ofStore } of missing.values()) store.abandonSeries(ofStore)
    }
  }

  #start(held: Held): void {
    if (held.started || this.#held.get(held.store.runId) !== held) return
    held.started = true
    held.store.startFrom()
    this.#subscribe(held)
  }

  #subscribe(held: Held): void {
    if (!this.#socket.connected) return
    this.#socket.emit(
      'subscribeRun',
      { runId: held.store.runId, afterCursor: held.store.cursor },
      (answer) => {
        if (!answer.ok) this.#held.delete(held.store.runId)
      },
    )
  }

  #forgetUnused(): void {
    const unused = [...this.#held].filter(([, held]) => held.holders <= 0)
    for (const [runId] of unused.slice(0, Math.max(0, unused.length - keptStores))) {
      this.#held.delete(runId)
      if (this.#socket.connected) this.#socket.emit('unsubscribeRun', { runId }, () => {})
    }
  }

  #setState(state: ConnectionState): void {
    this.#state = state
    for (const listener of this.#listeners) listener()
  }
}
