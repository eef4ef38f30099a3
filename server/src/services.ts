/** What the HTTP routes work with. */
import type { ExportBook } from './exports/export-book.ts'
import type { NodeBook } from './nodes/node-book.ts'
import type { RunBook } from './runs/run-book.ts'
import type { RunRemover } from './runs/run-remover.ts'
import type { Scheduler } from './scheduler/shell.ts'
import type { NodeHub } from './sockets/node-hub.ts'
import type { Store } from './store/store.ts'
import type { StoreHealth } from './store/store-health.ts'
import type { SweepBook } from './sweeps/sweep-book.ts'
import type { Views } from './views.ts'

export type Services = {
  store: Store
  runs: RunBook
  nodes: NodeBook
  nodeHub: NodeHub
  scheduler: Scheduler
  views: Views
  health: StoreHealth
  remover: RunRemover
  sweeps: SweepBook
  exports: ExportBook
  now: () => number
  startedMs: number
}
