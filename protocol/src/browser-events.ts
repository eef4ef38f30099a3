/**
 * Live messages between the server and a browser, socket.io namespace `/browser`, msgpack parser. A browser
 * subscribes with the cursor it has; it receives exactly what came after, then what comes.
 */
import { z } from 'zod'
import type { Health } from './api.ts'
import type { Ack } from './node-events.ts'
import type { StoredRecord } from './records.ts'
import type { RunRowChange } from './run-row.ts'
import type { NodeView, RunView } from './views.ts'

export const browserNamespace = '/browser'

export const subscribeRunSchema = z.strictObject({
  runId: z.string(),
  /** Cursor of the last record that the browser holds; 0 for none. */
  afterCursor: z.int().min(0),
})
export type SubscribeRun = z.infer<typeof subscribeRunSchema>

/**
 * What a page wants to hear of runs and nodes at large. Until a browser says so it gets the whole views of all runs,
 * and nodes.
 */
export const watchSchema = z.strictObject({
  /** views: each changed run whole; rows: changed fields of rows, several runs in one message; none: nothing. */
  runs: z.enum(['views', 'rows', 'none']),
  /** Runs whose views come whole whatever `runs` says. */
  views: z.array(z.string().max(64)).max(256).default([]),
  nodes: z.boolean(),
})
export type Watch = z.input<typeof watchSchema>

export type ServerToBrowserEvents = {
  /** A run was created or its view changed. */
  run: (run: RunView) => void
  /** Rows that were created or changed, only the fields that did; each run once. */
  runRows: (message: { rows: RunRowChange[] }) => void
  /** At once and whenever it changes. */
  health: (health: Health) => void
  runDeleted: (message: { runId: string }) => void
  node: (node: NodeView) => void
  /** Records of a subscribed run, ascending by cursor, all that come after its cursor. */
  records: (message: { runId: string; records: StoredRecord[] }) => void
}
export type BrowserToServerEvents = {
  subscribeRun: (message: SubscribeRun, ack: (answer: Ack<{ lastCursor: number }>) => void) => void
  unsubscribeRun: (message: { runId: string }, ack: (answer: Ack<null>) => void) => void
  watch: (message: Watch, ack: (answer: Ack<null>) => void) => void
}
