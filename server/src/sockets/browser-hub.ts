/** The namespace `/browser`: whatever changes is shown to every browser, records to those that subscribed. */
import {
  type Ack,
  type BrowserToServerEvents,
  errorPayload,
  parseOrThrow,
  type RunView,
  type ServerToBrowserEvents,
  subscribeRunSchema,
} from '@rankscope/protocol'
import type { Namespace, Socket } from 'socket.io'
import { z } from 'zod'
import type { Access } from '../access.ts'
import type { RunBook } from '../runs/run-book.ts'
import type { Views } from '../views.ts'
import { BrowserLink, type ReadRecords, type Wire } from './browser-link.ts'
import { refusal } from './node-hub.ts'

export type BrowserNamespace = Namespace<BrowserToServerEvents, ServerToBrowserEvents>
type BrowserSocket = Socket<BrowserToServerEvents, ServerToBrowserEvents>

/** Views of a run that changes all the time are sent no more often than this. */
const viewEveryMs = 100
/** Packets that may wait for the network before a browser counts as slow. */
const packetsInFlight = 8

const unsubscribeSchema = z.strictObject({ runId: z.string() })

export class BrowserHub {
  readonly #links = new Set<BrowserLink>()
  readonly #runs: RunBook
  readonly #views: Views
  readonly #read: ReadRecords
  readonly #changedRuns = new Set<string>()
  readonly #changedNodes = new Set<string>()
  #timer: NodeJS.Timeout | null = null

  constructor(options: { runs: RunBook; views: Views; read: ReadRecords }) {
    this.#runs = options.runs
    this.#views = options.views
    this.#read = options.read
  }

  listen(namespace: BrowserNamespace, access: Access): void {
    namespace.use((socket, next) => {
      const { headers, auth } = socket.handshake
      const token: unknown = auth['token']
      const { host, origin, cookie, authorization } = headers
      const visitor = { host, origin, cookie, authorization }
      const shown = typeof token === 'string' && token !== '' ? token : undefined
      if (access.allowsBrowser({ ...visitor, token: shown })) next()
      else next(refusal(access.refusal))
    })
    namespace.on('connection', (socket) => this.#welcome(socket))
    this.#runs.on('records', (runId, records) => {
      for (const link of this.#links) link.records(runId, records)
    })
    this.#runs.on('deleted', (runId) => {
      this.#changedRuns.delete(runId)
      for (const link of this.#links) link.runDeleted(runId)
    })
  }

  /** The run’s view changed: sent at once, or with the next round of views. */
  runChanged(runId: string): void {
    this.#changedRuns.add(runId)
    this.#schedule()
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
    const link = new BrowserLink(wireOf(socket), this.#read)
    this.#links.add(link)
    socket.on('disconnect', () => {
      link.close()
      this.#links.delete(link)
    })
    socket.on('subscribeRun', (message, acknowledge) =>
      answer(acknowledge, () => {
        const { runId, afterCursor } = parseOrThrow(
          subscribeRunSchema,
          message,
          'MESSAGE_INVALID',
          'subscribeRun',
        )
        const { lastCursor } = this.#runs.get(runId)
        // After the acknowledgement, so that the browser knows what to expect.
        queueMicrotask(() => link.subscribe(runId, afterCursor, this.#runs.find(runId)?.lastCursor ?? 0))
        return { lastCursor }
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
      if (this.#changedRuns.size + this.#changedNodes.size > 0) this.#schedule()
    }, viewEveryMs)
    setImmediate(() => this.#sendViews())
  }

  #sendViews(): void {
    const runs = [...this.#changedRuns]
      .map((runId) => this.#views.run(runId))
      .filter((view): view is RunView => view !== null)
    const nodes = [...this.#changedNodes].map((nodeId) => this.#views.node(nodeId))
    this.#changedRuns.clear()
    this.#changedNodes.clear()
    for (const link of this.#links) {
      for (const view of runs) link.run(view)
      for (const view of nodes) if (view) link.node(view)
    }
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
