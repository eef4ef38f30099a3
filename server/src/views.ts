/** Runs and nodes as they are shown, put together from what the books and the scheduler know. */
import type { NodeView, RunView } from '@rankscope/protocol'
import { isActive } from '@rankscope/protocol'
import { type NodeBook, toNodeView } from './nodes/node-book.ts'
import type { RunBook } from './runs/run-book.ts'
import { toRunView } from './runs/run-view.ts'
import type { Waiting } from './scheduler/place.ts'
import type { Scheduler } from './scheduler/shell.ts'

export class Views {
  readonly #runs: RunBook
  readonly #nodes: NodeBook
  readonly #scheduler: Scheduler

  constructor(runs: RunBook, nodes: NodeBook, scheduler: Scheduler) {
    this.#runs = runs
    this.#nodes = nodes
    this.#scheduler = scheduler
  }

  run(runId: string): RunView | null {
    const run = this.#runs.find(runId)
    return run ? toRunView(run, this.#scheduler.waiting(runId)) : null
  }

  waiting(runId: string): Waiting | undefined {
    return this.#scheduler.waiting(runId)
  }

  node(nodeId: string): NodeView | null {
    const node = this.#nodes.find(nodeId)
    if (!node) return null
    const held = this.#runs
      .list()
      .filter((run) => run.nodeId === nodeId && isActive(run.state))
      .map((run) => run.runId)
    return toNodeView(node, held)
  }
}
