/**
 * The SQLite store: one file, written by one worker thread and read by another, so that neither a commit nor a
 * long query holds up live traffic. WAL with synchronous FULL: what is acknowledged survives kill -9.
 */

import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { launcher } from '@rankscope/launch'
import { systemError } from '@rankscope/protocol'
import type { Store } from './store.ts'
import { StoreThread } from './store-thread.ts'

export type SqliteWorkerData = {
  entry: string
  file: string
  role: 'write' | 'read'
  maxPages: number | null
}

/** Open or create the database file. A coded error that names it where it cannot be used. */
export async function openSqliteStore(
  file: string,
  options: { maxPages?: number | null } = {},
): Promise<Store> {
  makeFolder(dirname(file))
  const thread = (role: SqliteWorkerData['role']) =>
    new StoreThread(() => {
      const entry = new URL('./sqlite-worker.ts', import.meta.url).href
      const workerData: SqliteWorkerData = { entry, file, role, maxPages: options.maxPages ?? null }
      return new Worker(launcher, { workerData })
    })
  const writer = thread('write')
  const reader = thread('read')
  const store: Store = {
    createRuns: method(writer, 'createRuns'),
    listRuns: method(writer, 'listRuns'),
    updateRun: method(writer, 'updateRun'),
    deleteRun: method(writer, 'deleteRun'),
    purge: method(writer, 'purge'),
    shrink: method(writer, 'shrink'),
    listDeletions: method(writer, 'listDeletions'),
    deletionDone: method(writer, 'deletionDone'),
    listNodeModes: method(writer, 'listNodeModes'),
    saveNodeMode: method(writer, 'saveNodeMode'),
    createSweep: method(writer, 'createSweep'),
    extendSweep: method(writer, 'extendSweep'),
    listSweeps: method(writer, 'listSweeps'),
    setSweepState: method(writer, 'setSweepState'),
    deleteSweep: method(writer, 'deleteSweep'),
    probe: method(writer, 'probe'),
    saveNode: method(writer, 'saveNode'),
    listNodes: method(writer, 'listNodes'),
    deleteNode: method(writer, 'deleteNode'),
    append: method(writer, 'append'),
    recordsAfter: method(reader, 'recordsAfter'),
    recordsOfKind: method(reader, 'recordsOfKind'),
    series: method(reader, 'series'),
    spectra: method(reader, 'spectra'),
    spectraIndex: method(reader, 'spectraIndex'),
    seriesNames: method(reader, 'seriesNames'),
    seriesColumns: method(reader, 'seriesColumns'),
    spectraModules: method(reader, 'spectraModules'),
    spectraMeasures: method(reader, 'spectraMeasures'),
    spectraValues: method(reader, 'spectraValues'),
    spectraProfiles: method(reader, 'spectraProfiles'),
    exportPage: method(reader, 'exportPage'),
    close: async () => {
      await reader.close()
      await writer.close()
    },
  }
  try {
    // A thread opens the file at its first call: the writer makes the tables before the reader looks.
    await store.listRuns()
  } catch (error) {
    await store.close()
    throw error
  }
  return store
}

/** The store’s method of that name, carried out in a thread. */
function method<M extends keyof Store>(thread: StoreThread, name: M): Store[M] {
  return ((...args: unknown[]) => thread.call(name, args)) as Store[M]
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true })
  } catch (cause) {
    throw systemError(cause) ?? cause
  }
}
