/**
 * The inside of a run’s process: takes the order from the daemon, trains, hands over every record. The process lives
 * no longer than its daemon: when the channel closes it leaves, and the server requeues the run from its checkpoint.
 */

import { endWithParent } from '../parent-death.ts'
import { type ExecuteRun, RunControl } from '../run/run.ts'
import type { MessageFromRun, MessageToRun, RunOrder } from './run-messages.ts'

/** Serves one order, then ends the process. */
export function serveRun(execute: ExecuteRun): void {
  const control = new RunControl()
  process.on('message', (value) => {
    const message = value as MessageToRun
    switch (message.type) {
      case 'request':
        control.request(message.request)
        break
      case 'gang':
        hearGang(message.from, message.body)
        break
      case 'flushed':
        flushes.get(message.flush)?.()
        flushes.delete(message.flush)
        break
      case 'start':
        void run(execute, message.order, control)
        break
      default:
        message satisfies never
    }
  })
  process.on('disconnect', () => process.exit(1))
  endWithParent()
  // The daemon may have gone before it was asked for.
  if (!process.connected) process.exit(1)
}

/** What another node of the run says; nothing before the run listens. */
let hearGang: (from: string, body: Uint8Array<ArrayBuffer>) => void = () => {}

/** By number: what waits for the daemon to have written. */
const flushes = new Map<number, () => void>()
let lastFlush = 0

function recordsKept(): Promise<void> {
  lastFlush += 1
  const flush = lastFlush
  return new Promise((resolve) => {
    flushes.set(flush, resolve)
    void send({ type: 'flush', flush })
  })
}

async function run(execute: ExecuteRun, order: RunOrder, control: RunControl): Promise<void> {
  const { config, gang, ...surroundings } = order
  let lastSent: Promise<void> = Promise.resolve()
  await execute(config, {
    ...surroundings,
    control,
    recordsKept,
    ...(gang && {
      gang: {
        ...gang,
        tell: (to: string, body: Uint8Array<ArrayBuffer>) => void send({ type: 'gang', to, body }),
        onMessage: (hear: typeof hearGang) => {
          hearGang = hear
        },
      },
    }),
    emit: (body) => {
      lastSent = send({ type: 'record', timeMs: Date.now(), body })
    },
  })
  // Messages keep their order, and written to the channel is enough: the daemon reads on when this process is gone.
  await lastSent
  process.exit(0)
}

function send(message: MessageFromRun): Promise<void> {
  return new Promise((resolve) => {
    process.send!(message, () => resolve())
  })
}
