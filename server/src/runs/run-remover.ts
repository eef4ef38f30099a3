/**
 * Deleting a run: it is gone for everyone at once; then its rows leave the database piecemeal, the file shrinks, and
 * every node that ever held the run removes its folders. Nodes that are away are told when they come back, also after
 * a restart of the server; what a crash interrupts goes on at the next start.
 */
import type { DeleteRunAnswer } from '@rankscope/protocol'
import type { NodeBook } from '../nodes/node-book.ts'
import type { NodeHub } from '../sockets/node-hub.ts'
import type { Store } from '../store/store.ts'
import { isFull } from '../store/store-health.ts'
import type { RunBook } from './run-book.ts'

/** Whoever deletes is told what was freed within this time; a long run takes longer. */
const answerMs = 10_000
/** Nodes that are there but did not answer are asked again. */
const repeatMs = 30_000

export class RunRemover {
  readonly #store: Store
  readonly #runs: RunBook
  readonly #nodes: NodeBook
  readonly #hub: NodeHub
  readonly #report: (error: unknown) => void
  readonly #timer: NodeJS.Timeout
  #isStopped = false
  #freedBytes = 0
  #work: Promise<void> | null = null

  constructor(options: {
    store: Store
    runs: RunBook
    nodes: NodeBook
    hub: NodeHub
    report: (error: unknown) => void
  }) {
    this.#store = options.store
    this.#runs = options.runs
    this.#nodes = options.nodes
    this.#hub = options.hub
    this.#report = options.report
    this.#timer = setInterval(() => void this.tellNodes(), repeatMs)
    this.#timer.unref()
    this.#hub.onWelcomed = (nodeId) => void this.tellNodes(nodeId)
    this.purge()
  }

  /** NOT_FOUND where there is none. */
  async remove(runId: string): Promise<DeleteRunAnswer> {
    const { records, nodeIds } = await this.#runs.remove(runId)
    const before = this.#freedBytes
    this.purge()
    const work = this.#work
    const [nodes, isComplete] = await Promise.all([
      Promise.all(nodeIds.map((nodeId) => this.#tell(runId, nodeId))),
      within(answerMs, work),
    ])
    return { runId, records, freedBytes: this.#freedBytes - before, isComplete, nodes }
  }

  /** Remove what is left of deleted runs, and give the room back to the disk. */
  purge(): void {
    this.#work = (this.#work ?? Promise.resolve())
      .then(async () => {
        while (!this.#isStopped && (await this.#store.purge()));
        for (;;) {
          if (this.#isStopped) return
          const { freedBytes, isMore } = await this.#store.shrink()
          this.#freedBytes += freedBytes
          if (!isMore) return
        }
      })
      .catch(this.#report)
  }

  /** Orders that a node, or any, has not yet carried out. */
  async tellNodes(only?: string): Promise<void> {
    try {
      for (const { runId, nodeId } of await this.#store.listDeletions())
        if (only === undefined || nodeId === only) await this.#tell(runId, nodeId)
    } catch (error) {
      if (!this.#isStopped) this.#report(error)
    }
  }

  async #tell(runId: string, nodeId: string): Promise<DeleteRunAnswer['nodes'][number]> {
    const name = this.#nodes.find(nodeId)?.hello.name ?? nodeId
    const freedBytes = await this.#hub.deleteRun(nodeId, runId)
    if (freedBytes === null) return { nodeId, name, state: 'pending', freedBytes }
    await this.#store.deletionDone(runId, nodeId).catch((error: unknown) => {
      // The node is told again later, and answers that nothing is left.
      if (!isFull(error)) throw error
    })
    return { nodeId, name, state: 'deleted', freedBytes }
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    clearInterval(this.#timer)
    await this.#work
  }
}

/** Whether the work was done within the time. */
async function within(ms: number, work: Promise<void> | null): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms)
  })
  const done = await Promise.race([late, (work ?? Promise.resolve()).then(() => true as const)])
  clearTimeout(timer)
  return done
}
