/**
 * The SQLite store: one file, written by one worker thread and read by another, so that neither a commit nor a
 * long query holds up live traffic. WAL with synchronous FULL: what is acknowledged survives kill -9.
 */

import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { launcher } from '@rankscope/launch'
import { type ErrorPayload, errorPayload, RankscopeError } from '@rankscope/protocol'
import type { Store } from './store.ts'

export type SqliteWorkerData = { entry: string; file: string; role: 'write' | 'read' }
export type Call = { id: number; method: keyof Store; args: unknown[] }
export type Reply = { id: number } & ({ ok: true; value: unknown } | { ok: false; error: ErrorPayload })

/** Open or create the database file. STORE_FAILED where it cannot be used. */
export async function openSqliteStore(file: string): Promise<Store> {
  mkdirSync(dirname(file), { recursive: true })
  const writer = new StoreThread(file, 'write')
  const reader = new StoreThread(file, 'read')
  // A thread opens the file at its first call: the writer makes the tables before the reader looks.
  await writer.method('listRuns')()
  return {
    createRuns: writer.method('createRuns'),
    listRuns: writer.method('listRuns'),
    updateRun: writer.method('updateRun'),
    deleteRun: writer.method('deleteRun'),
    purge: writer.method('purge'),
    createSweep: writer.method('createSweep'),
    extendSweep: writer.method('extendSweep'),
    listSweeps: writer.method('listSweeps'),
    setSweepState: writer.method('setSweepState'),
    deleteSweep: writer.method('deleteSweep'),
    saveNode: writer.method('saveNode'),
    listNodes: writer.method('listNodes'),
    deleteNode: writer.method('deleteNode'),
    append: writer.method('append'),
    recordsAfter: reader.method('recordsAfter'),
    recordsOfKind: reader.method('recordsOfKind'),
    series: reader.method('series'),
    spectra: reader.method('spectra'),
    spectraIndex: reader.method('spectraIndex'),
    close: async () => {
      await reader.close()
      await writer.close()
    },
  }
}

type Pending = { resolve: (value: unknown) => void; reject: (error: Error) => void }

class StoreThread {
  readonly #worker: Worker
  readonly #pending = new Map<number, Pending>()
  #nextId = 1
  #failure: Error | null = null

  constructor(file: string, role: SqliteWorkerData['role']) {
    const entry = new URL('./sqlite-worker.ts', import.meta.url).href
    const workerData: SqliteWorkerData = { entry, file, role }
    const worker = new Worker(launcher, { workerData })
    this.#worker = worker
    worker.on('message', (reply: Reply) => this.#settle(reply))
    worker.on('error', (error) => this.#fail(error))
    worker.on('exit', () => this.#fail(new Error('the store is closed')))
  }

  /** The store’s method of that name, carried out in the thread. */
  method<M extends keyof Store>(name: M): Store[M] {
    return ((...args: unknown[]) => this.#call(name, args)) as Store[M]
  }

  /** Waits for the calls before it. */
  async close(): Promise<void> {
    await this.#call('close', [])
    await this.#worker.terminate()
  }

  #call(method: keyof Store, args: unknown[]): Promise<unknown> {
    if (this.#failure) return Promise.reject(this.#failure)
    return new Promise((resolve, reject) => {
      const id = this.#nextId++
      this.#pending.set(id, { resolve, reject })
      this.#worker.postMessage({ id, method, args } satisfies Call)
    })
  }

  #settle(reply: Reply): void {
    const pending = this.#pending.get(reply.id)
    this.#pending.delete(reply.id)
    if (reply.ok) pending?.resolve(reply.value)
    else pending?.reject(RankscopeError.fromPayload(reply.error))
  }

  #fail(cause: unknown): void {
    this.#failure ??= new RankscopeError('STORE_FAILED', errorPayload(cause).message, { cause })
    for (const { reject } of this.#pending.values()) reject(this.#failure)
    this.#pending.clear()
  }
}
