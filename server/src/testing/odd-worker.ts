/** A thread for `store-thread.test.ts` that answers, answers with what cannot travel, or dies. */
import { parentPort, threadId } from 'node:worker_threads'
import { RankscopeError } from '@rankscope/protocol'
import type { Call, Reply } from '../store/store-thread.ts'

parentPort!.on('message', ({ id, method, args }: Call) => {
  const reply = (value: unknown) => parentPort!.postMessage({ id, ok: true, value } satisfies Reply)
  if (method === 'echo') reply(args[0])
  if (method === 'thread') reply(threadId)
  if (method === 'close') reply(null)
  if (method === 'refuse') {
    const error = new RankscopeError('NOT_FOUND', 'there is none').toPayload()
    parentPort!.postMessage({ id, ok: false, error } satisfies Reply)
  }
  if (method === 'throw') throw new Error('a defect')
  if (method === 'exit') process.exit(7)
})
