/**
 * A worker thread that carries out calls one after the other. Whatever happens to it, every call is answered: one that
 * cannot be sent or answered is refused by itself; when the thread dies, all that wait are refused with STORE_FAILED and
 * the next call starts another thread, which finds the file as the last commit left it.
 */
import type { MessagePort, Worker } from 'node:worker_threads'
import { type ErrorPayload, errorPayload, RankscopeError } from '@rankscope/protocol'

export type Call = { id: number; method: string; args: unknown[] }
export type Reply = { id: number } & ({ ok: true; value: unknown } | { ok: false; error: ErrorPayload })

type Pending = { resolve: (value: unknown) => void; reject: (error: Error) => void }

export class StoreThread {
  readonly #start: () => Worker
  readonly #pending = new Map<number, Pending>()
  #worker: Worker | null = null
  #nextId = 1
  #isClosed = false

  constructor(start: () => Worker) {
    this.#start = start
  }

  call(method: string, args: unknown[]): Promise<unknown> {
    if (this.#isClosed) return Promise.reject(failed('it is closed'))
    return new Promise((resolve, reject) => {
      const id = this.#nextId++
      this.#pending.set(id, { resolve, reject })
      try {
        this.#worker ??= this.#open()
        this.#worker.postMessage({ id, method, args } satisfies Call)
      } catch (cause) {
        this.#pending.delete(id)
        reject(failed(`a call of ${method} cannot be sent: ${errorPayload(cause).message}`, cause))
      }
    })
  }

  /** Waits for the calls before it. */
  async close(): Promise<void> {
    const closing = this.#worker ? this.call('close', []) : null
    this.#isClosed = true
    // A thread that died meanwhile needs no closing.
    await closing?.catch(() => undefined)
    await this.#worker?.terminate()
  }

  #open(): Worker {
    const worker = this.#start()
    worker.on('message', (reply: Reply) => this.#settle(reply))
    worker.on('messageerror', (error) => this.#abandon(worker, error))
    worker.on('error', (error) => this.#abandon(worker, error))
    worker.on('exit', (code) => this.#abandon(worker, new Error(`its thread ended (${code})`)))
    return worker
  }

  #settle(reply: Reply): void {
    const pending = this.#pending.get(reply.id)
    this.#pending.delete(reply.id)
    if (reply.ok) pending?.resolve(reply.value)
    else pending?.reject(RankscopeError.fromPayload(reply.error))
  }

  #abandon(worker: Worker, cause: unknown): void {
    if (this.#worker !== worker) return
    this.#worker = null
    void worker.terminate()
    const waiting = [...this.#pending.values()]
    this.#pending.clear()
    for (const { reject } of waiting) reject(failed(errorPayload(cause).message, cause))
  }
}

/**
 * The other side: answers calls one after the other. An answer that cannot travel between threads is refused by itself;
 * the calls behind it do not wait for that.
 */
export function serveCalls(
  port: MessagePort,
  answer: (call: Call) => Promise<unknown>,
  toPayload: (error: unknown) => ErrorPayload,
): void {
  let queue: Promise<unknown> = Promise.resolve()
  port.on('message', (call: Call) => {
    queue = queue.then(async () => {
      try {
        port.postMessage({ id: call.id, ok: true, value: await answer(call) } satisfies Reply)
      } catch (error) {
        port.postMessage({ id: call.id, ok: false, error: toPayload(error) } satisfies Reply)
      }
    })
  })
}

function failed(why: string, cause?: unknown): RankscopeError {
  return new RankscopeError('STORE_FAILED', `the store failed: ${why}`, {
    hint: 'try again; what was acknowledged is on disk',
    ...(cause === undefined ? {} : { cause }),
  })
}
