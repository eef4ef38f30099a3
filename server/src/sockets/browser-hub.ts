/** The namespace `/browser`: whatever changes is shown to every browser, records to those that subscribed. */
import {
  type Ack,
  type BrowserToServerEvents,
  changeOfRow,
  errorPayload,
  type Health,
  parseOrThrow,
  type RunRow,
  type RunRowChange,
  type ServerToBrowserEvents,
  subscribeRunSchema,
  toRunRow,
  watchSchema,
} from '@rankscope/protocol'
import type { Namespace, Socket } from 'socket.io'
import { z } from 'zod'
import type { RunBook } from '../runs/run-book.ts'
import type { Views } from '../views.ts'
import { BrowserLink, type ReadRecords, type Wire } from './browser-link.ts'

export type BrowserNamespace = Namespace<BrowserToServerEvents, ServerToBrowserEvents>
type BrowserSocket = Socket<BrowserToServerEvents, ServerToBrowserEvents>

/** Views of a run that changes all the time are sent no more often than this. */
const viewEveryMs = 100
/** Packets that may wait for the network before a browser counts as slow. */
const packetsInFlight = 8
/** Of a longer queue the places behind are told with rows only: each start moves all of them. */
const placesShown = 100

const unsubscribeSchema = z.strictObject({ runId: z.string() })

export class BrowserHub {
  readonly #links = new Set<BrowserLink>()
  readonly #runs: RunBook
  readonly #views: Views
  readonly #read: ReadRecords
  readonly #changedRuns = new Set<string>()
  /** Changed by no more than a place far back in the queue: told with rows, which are small. */
  readonly #movedRuns = new Set<string>()
  readonly #changedNodes = new Set<string>()
  /** Rows as they were told last, while anybody listens to rows. */
  readonly #rows = new Map<string, RunRow>()
  readonly #health: () => Health
  readonly #report: (error: unknown) => void
  #timer: NodeJS.Timeout | null = null

  constructor(options: {
    runs: RunBook
    views: Views
    read: ReadRecords
    health: () => Health
    report: (error: unknown) => void
  }) {
    this.#runs = options.runs
    this.#views = options.views
    this.#read = options.read
    this.#health = options.health
    this.#report = options.report
  }

  listen(namespace: BrowserNamespace): void {
    namespace.on('connection', (socket) => this.#welcome(socket))
    this.#runs.on('records', (runId, records) => {
      for (const link of this.#links) link.records(runId, records)
    })
    this.#runs.on('deleted', (runId) => {
      this.#changedRuns.delete(runId)
      this.#movedRuns.delete(runId)
      this.#rows.delete(runId)
      for (const link of this.#links) link.runDeleted(runId)
    })
  }

  /** The run’s view changed: sent at once, or with the next round of views. */
  runChanged(runId: string): void {
    this.#changedRuns.add(runId)
    this.#schedule()
  }

  /** Places in the queue, or what runs wait for, changed. */
  waitingChanged(runIds: readonly string[]): void {
    for (const runId of runIds) {
      const place = this.#views.waiting(runId)?.queuePosition ?? 0
      if (place > placesShown) this.#movedRuns.add(runId)
      else this.#changedRuns.add(runId)
    }
    this.#schedule()
  }

  healthChanged(): void {
    for (const link of this.#links) link.health(this.#health())
  }

  nodeChanged(nodeId: string): void {
    this.#changedNodes.add(nodeId)
    this.#schedule()
  }

  close(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    for (const link of this.#links) link.close()
  }

  #welcome(socket: BrowserSocket): void {
    const link = new BrowserLink(wireOf(socket), this.#read, this.#report)
    this.#links.add(link)
    link.health(this.#health())
    // A frame that was no packet: socket.io closes the connection then.
    socket.on('error', () => undefined)
    socket.on('disconnect', () => {
      link.close()
      this.#links.delete(link)
    })
    socket.on('subscribeRun', (message, acknowledge) =>
      answer(acknowledge, () => {
        const wanted = parseOrThrow(subscribeRunSchema, message, 'MESSAGE_INVALID', 'subscribeRun')
        const { lastCursor } = this.#runs.get(wanted.runId)
        // After the acknowledgement, so that the browser knows what to expect.
        queueMicrotask(() => link.subscribe(wanted, this.#runs.find(wanted.runId)?.lastCursor ?? 0))
        return { lastCursor }
      }),
    )
    socket.on('watch', (message, acknowledge) =>
      answer(acknowledge, () => {
        link.watch(parseOrThrow(watchSchema, message, 'MESSAGE_INVALID', 'watch'))
        return null
      }),
    )
    socket.on('unsubscribeRun', (message, acknowledge) =>
      answer(acknowledge, () => {
        link.unsubscribe(parseOrThrow(unsubscribeSchema, message, 'MESSAGE_INVALID', 'unsubscribeRun').runId)
        return null
      }),
    )
  }

  /** The first change goes out at once; those of the next 100 ms together, each run once. */
  #schedule(): void {
    if (this.#timer) return
    this.#timer = setTimeout(() => {
      this.#timer = null
      if (this.#changedRuns.size + this.#movedRuns.size + this.#changedNodes.size > 0) this.#schedule()
    }, viewEveryMs)
    setImmediate(() => {
      try {
        this.#sendViews()
      } catch (error) {
        this.#report(error)
      }
    })
  }

  #sendViews(): void {
    const runs = [...this.#changedRuns]
    const moved = [...this.#movedRuns].filter((runId) => !this.#changedRuns.has(runId))
    const nodes = [...this.#changedNodes]
    this.#changedRuns.clear()
    this.#movedRuns.clear()
    this.#changedNodes.clear()
    const links = [...this.#links]
    const rows = this.#changedRows(links, [...runs, ...moved])
    for (const link of links) if (rows.length > 0) link.rows(rows)
    for (const runId of runs) {
      const takers = links.filter((link) => link.wantsView(runId))
      const view = takers.length > 0 ? this.#views.run(runId) : null
      if (view) for (const link of takers) link.run(view)
    }
    for (const nodeId of nodes) {
      const view = this.#views.node(nodeId)
      if (view) for (const link of links) link.node(view)
    }
  }

  #changedRows(links: readonly BrowserLink[], runIds: readonly string[]): RunRowChange[] {
    if (!links.some((link) => link.wantsRows)) {
      this.#rows.clear()
      return []
    }
    return runIds.flatMap((runId) => {
      const view = this.#views.run(runId)
      if (!view) return []
      const row = toRunRow(view)
      const before = this.#rows.get(runId)
      this.#rows.set(runId, row)
      return (before ? changeOfRow(before, row) : row) ?? []
    })
  }
}

function wireOf(socket: BrowserSocket): Wire {
  // Private in the types only; engine.io has no other measure of what the network has not taken.
  const connection = socket.conn as unknown as { writeBuffer: readonly unknown[] }
  return {
    send: (event, ...args) => {
      socket.emit(event, ...args)
    },
    isCongested: () => connection.writeBuffer.length > packetsInFlight,
    onceDrained: (callback) => {
      socket.conn.once('drain', callback)
    },
  }
}

function answer<T>(acknowledge: unknown, work: () => T): void {
  const reply: (ack: Ack<T>) => void =
    typeof acknowledge === 'function' ? (acknowledge as (ack: Ack<T>) => void) : () => undefined
  try {
    reply({ ok: true, value: work() })
  } catch (error) {
    reply({ ok: false, error: errorPayload(error) })
  }
}
