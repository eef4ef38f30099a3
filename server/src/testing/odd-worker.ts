/** A thread for `store-thread.test.ts` that answers, answers with what cannot travel, or dies. */
import { parentPort, threadId } from 'node:worker_threads'
import { errorPayload, RankscopeError } from '@rankscope/protocol'
import { serveCalls } from '../store/store-thread.ts'

serveCalls(
  parentPort!,
  async ({ method, args }) => {
    switch (method) {
      case 'echo':
        return args[0]
      case 'thread':
        return threadId
      case 'function':
        return () => 1
      case 'refuse':
        throw new RankscopeError('NOT_FOUND', 'there is none')
      case 'hang':
        return new Promise(() => undefined)
      case 'throw':
        setImmediate(() => {
          throw new Error('a defect')
        })
        return new Promise(() => undefined)
      case 'exit':
        process.exit(7)
    }
    return null
  },
  errorPayload,
)
