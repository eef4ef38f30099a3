/**
 * One browser. Records of a subscribed run are sent as they are committed while the browser keeps up; a browser
 * that is behind (it has just subscribed, slept, or reads slowly) is served from the store by its cursor, page
 * by page, so that nothing piles up in memory and nothing is missed or repeated. Views of runs and nodes are
 * replaced by newer ones while they wait.
 */
import type { NodeView, RunView, ServerToBrowserEvents, StoredRecord } from '@rankscope/protocol'

/** What a link needs of its socket. */
export type Wire = {
  send<E extends keyof ServerToBrowserEvents>(event: E, ...args: Parameters<ServerToBrowserEvents[E]>): void
  /** True while the network does not take what was sent already. */
  isCongested(): boolean
  /** Calls back once, when the network takes data again. */
  onceDrained(callback: () => void): void
}

export type ReadRecords = (runId: string, afterCursor: number, limit: number) => Promise<StoredRecord[]>

type Subscription = { runId: string; sentCursor: number; lastCursor: number; isReading: boolean }

const pageRecords = 500

export class BrowserLink {
  readonly #wire: Wire
  readonly #read: ReadRecords
  readonly #subscriptions = new Map<string, Subscription>()
  readonly #waitingRuns = new Map<string, RunView>()
  readonly #waitingNodes = new Map<string, NodeView>()
  #awaitsDrain = false
  #isClosed = false

  constructor(wire: Wire, read: ReadRecords) {
    this.#wire = wire
    this.#read = read
  }

  /** From then on the browser gets exactly what comes after `afterCursor`. `lastCursor`: the run’s newest. */
  subscribe(runId: string, afterCursor: number, lastCursor: number): void {
    const subscription = { runId, sentCursor: afterCursor, lastCursor, isReading: false }
    this.#subscriptions.set(runId, subscription)
    void this.#catchUp(subscription)
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
      this.#wire.send('records', { runId, records })
    } else void this.#catchUp(subscription)
  }

  run(view: RunView): void {
    this.#waitingRuns.set(view.runId, view)
    this.#flushViews()
  }

  node(view: NodeView): void {
    this.#waitingNodes.set(view.nodeId, view)
    this.#flushViews()
  }

  runDeleted(runId: string): void {
    this.#subscriptions.delete(runId)
    this.#waitingRuns.delete(runId)
    this.#wire.send('runDeleted', { runId })
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
        const { runId, sentCursor } = subscription
        const records = await this.#read(runId, sentCursor, pageRecords)
        if (!this.#isWanted(subscription) || records.length === 0) break
        subscription.sentCursor = records.at(-1)!.cursor
        subscription.lastCursor = Math.max(subscription.lastCursor, subscription.sentCursor)
        this.#wire.send('records', { runId, records })
      }
    } finally {
      subscription.isReading = false
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
    for (const view of this.#waitingRuns.values()) this.#wire.send('run', view)
    for (const view of this.#waitingNodes.values()) this.#wire.send('node', view)
    this.#waitingRuns.clear()
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
