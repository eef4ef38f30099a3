/**
 * Live messages between the server and a browser, socket.io namespace `/browser`, msgpack parser. A browser
 * subscribes with the cursor it has; it receives exactly what came after, then what comes.
 */
import { z } from 'zod'
import type { Ack } from './node-events.ts'
import type { StoredRecord } from './records.ts'
import type { NodeView, RunView } from './views.ts'

export const browserNamespace = '/browser'

export const subscribeRunSchema = z.strictObject({
  runId: z.string(),
  /** Cursor of the last record that the browser holds; 0 for none. */
  afterCursor: z.int().min(0),
})
export type SubscribeRun = z.infer<typeof subscribeRunSchema>

export type ServerToBrowserEvents = {
  /** A run was created or its view changed. */
  run: (run: RunView) => void
  runDeleted: (message: { runId: string }) => void
  node: (node: NodeView) => void
  /** Records of a subscribed run, ascending by cursor, without gaps after the subscription’s cursor. */
  records: (message: { runId: string; records: StoredRecord[] }) => void
}
export type BrowserToServerEvents = {
  subscribeRun: (message: SubscribeRun, ack: (answer: Ack<{ lastCursor: number }>) => void) => void
  unsubscribeRun: (message: { runId: string }, ack: (answer: Ack<null>) => void) => void
}
