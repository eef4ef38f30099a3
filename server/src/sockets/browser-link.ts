/**
 * One browser. Records of a subscribed run are sent as they are committed while the browser keeps up; a browser
 * that is behind (it has just subscribed, slept, or reads slowly) is served from the store by its cursor, page
 * by page, so that nothing piles up in memory and nothing is missed or repeated. Views of runs and nodes are
 * replaced by newer ones while they wait.
 */
import type {
  Health,
  NodeView,
  RunRowChange,
  RunView,
  ServerToBrowserEvents,
  StoredRecord,
  SubscribeRun,
  Watch,
} from '@rankscope/protocol'

/** What a link needs of its socket. */
export type Wire = {
  send<E extends keyof ServerToBrowserEvents>(event: E, ...args: Parameters<ServerToBrowserEvents[E]>): void
  /** True while the network does not take what was sent already. */
  isCongested(): boolean
  /** Calls back once, when the network takes data again. */
  onceDrained(callback: () => void): void
}

export type ReadRecords = (runId: string, afterCursor: number, limit: number) => Promise<StoredRecord[]>

type Subscription = {
  runId: string
  sentCursor: number
  lastCursor: number
  isReading: boolean
}

const pageRecords = 500
/** After the store could not be read it is asked again. */
const retryMs = 1000

export class BrowserLink {
  readonly #wire: Wire
  readonly #read: ReadRecords
  readonly #report: (error: unknown) => void
  readonly #subscriptions = new Map<string, Subscription>()
  readonly #waitingRuns = new Map<string, RunView>()
  readonly #waitingRows = new Map<string, RunRowChange>()
  readonly #waitingNodes = new Map<string, NodeView>()
  #watched: { runs: Watch['runs']; views: ReadonlySet<string>; nodes: boolean } = {
    runs: 'views',
    views: new Set(),
    nodes: true,
  }
  #awaitsDrain = false
  #isClosed = false

  constructor(wire: Wire, read: ReadRecords, report: (error: unknown) => void) {
    this.#wire = wire
    this.#read = read
    this.#report = report
  }

  /** From then on the browser gets exactly what comes after `afterCursor`. `lastCursor`: the run’s newest. */
  subscribe({ runId, afterCursor }: SubscribeRun, lastCursor: number): void {
    const subscription: Subscription = {
      runId,
      sentCursor: afterCursor,
      lastCursor,
      isReading: false,
    }
    this.#subscriptions.set(runId, subscription)
    void this.#catchUp(subscription)
  }

  watch({ runs, views = [], nodes }: Watch): void {
    this.#watched = { runs, views: new Set(views), nodes }
    if (runs !== 'rows') this.#waitingRows.clear()
    if (runs !== 'views') this.#waitingRuns.clear()
    if (!nodes) this.#waitingNodes.clear()
  }

  get wantsRows(): boolean {
    return this.#watched.runs === 'rows'
  }

  wantsView(runId: string): boolean {
    return this.#watched.runs === 'views' || this.#watched.views.has(runId)
  }

  unsubscribe(runId: string): void {
    this.#subscriptions.delete(runId)
  }

  /** Just committed, ascending by cursor. */
  records(runId: string, records: StoredRecord[]): void {
    const subscription = this.#subscriptions.get(runId)
    if (!subscription) return
    subscription.lastCursor = Math.max(subscription.lastCursor, records.at(-1)!.cursor)
    const isNext = records[0]!.cursor === subscription.sentCursor + 1
    if (isNext && !subscription.isReading && !this.#wire.isCongested()) {
      subscription.sentCursor = subscription.lastCursor
      this.#sendRecords(subscription, records)
    } else void this.#catchUp(subscription)
  }

  run(view: RunView): void {
    if (!this.wantsView(view.runId)) return
    this.#waitingRuns.set(view.runId, view)
    this.#flushViews()
  }

  /** Changes of several rows; those that wait already are joined, newest values last. */
  rows(changes: readonly RunRowChange[]): void {
    if (!this.wantsRows) return
    for (const change of changes)
      this.#waitingRows.set(change.runId, { ...this.#waitingRows.get(change.runId), ...change })
    this.#flushViews()
  }

  node(view: NodeView): void {
    if (!this.#watched.nodes) return
    this.#waitingNodes.set(view.nodeId, view)
    this.#flushViews()
  }

  health(health: Health): void {
    this.#send('health', health)
  }

  runDeleted(runId: string): void {
    this.#subscriptions.delete(runId)
    this.#waitingRuns.delete(runId)
    this.#waitingRows.delete(runId)
    this.#send('runDeleted', { runId })
  }

  close(): void {
    this.#isClosed = true
    this.#subscriptions.clear()
  }

  async #catchUp(subscription: Subscription): Promise<void> {
    if (subscription.isReading) return
    subscription.isReading = true
    try {
      while (subscription.sentCursor < subscription.lastCursor && this.#isWanted(subscription)) {
        if (this.#wire.isCongested()) {
          this.#resumeWhenDrained()
          break
        }
        const { runId, sentCursor, lastCursor } = subscription
        const records = await this.#read(runId, sentCursor, pageRecords)
        if (!this.#isWanted(subscription)) break
        // None where the run has been deleted.
        subscription.sentCursor = records.at(-1)?.cursor ?? lastCursor
        subscription.lastCursor = Math.max(subscription.lastCursor, subscription.sentCursor)
        if (records.length > 0) this.#sendRecords(subscription, records)
      }
    } catch (error) {
      this.#report(error)
      setTimeout(() => {
        if (this.#isWanted(subscription)) void this.#catchUp(subscription)
      }, retryMs).unref()
    } finally {
      subscription.isReading = false
    }
  }

  #sendRecords({ runId }: Subscription, records: readonly StoredRecord[]): void {
    this.#send('records', { runId, records: records.map(withoutProfiles) })
  }

  /** What cannot be sent is reported and left out: neither the link nor the commit that it came from pays for it. */
  #send<E extends keyof ServerToBrowserEvents>(
    event: E,
    ...args: Parameters<ServerToBrowserEvents[E]>
  ): void {
    try {
      this.#wire.send(event, ...args)
    } catch (error) {
      this.#report(error)
    }
  }

  /** The browser may have unsubscribed, or subscribed anew from elsewhere, while the store was read. */
  #isWanted(subscription: Subscription): boolean {
    return !this.#isClosed && this.#subscriptions.get(subscription.runId) === subscription
  }

  #flushViews(): void {
    if (this.#wire.isCongested()) {
      this.#resumeWhenDrained()
      return
    }
    for (const view of this.#waitingRuns.values()) this.#send('run', view)
    if (this.#waitingRows.size > 0) this.#send('runRows', { rows: [...this.#waitingRows.values()] })
    for (const view of this.#waitingNodes.values()) this.#send('node', view)
    this.#waitingRuns.clear()
    this.#waitingRows.clear()
    this.#waitingNodes.clear()
  }

  #resumeWhenDrained(): void {
    if (this.#awaitsDrain || this.#isClosed) return
    this.#awaitsDrain = true
    this.#wire.onceDrained(() => {
      this.#awaitsDrain = false
      if (this.#isClosed) return
      this.#flushViews()
      for (const subscription of this.#subscriptions.values()) void this.#catchUp(subscription)
    })
  }
}

/** Profiles are asked for. */
function withoutProfiles(record: StoredRecord): StoredRecord {
  const { body } = record
  if (body.kind !== 'spectrum' || !('profiles' in body)) return record
  const { profiles: _, ...rest } = body
  return { ...record, body: rest }
}
