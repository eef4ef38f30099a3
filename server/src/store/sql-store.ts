/** The store over any SQL database that Kysely speaks. One caller at a time: callers queue (see `Serial`). */
import { type Kysely, Migrator } from 'kysely'
import { appendHalving } from './halving.ts'
import { type ColumnTypes, migrations } from './migrations.ts'
import type { Tables } from './schema.ts'
import { append } from './sql-append.ts'
import { exportPage } from './sql-export.ts'
import * as records from './sql-records.ts'
import * as runs from './sql-runs.ts'
import * as series from './sql-series.ts'
import * as spectra from './sql-spectra.ts'
import * as sweeps from './sql-sweeps.ts'
import type { Store } from './store.ts'
import { Texts } from './texts.ts'

/** Bring the schema to the newest version; throws what the failing migration threw. */
export async function migrate(db: Kysely<Tables>, types: ColumnTypes): Promise<void> {
  const { error } = await new Migrator({ db, provider: migrations(types) }).migrateToLatest()
  if (error) throw error
}

export function sqlStore(db: Kysely<Tables>): Store {
  const texts = new Texts()
  return {
    createRuns: (created) => runs.createRuns(db, created),
    listRuns: () => runs.listRuns(db),
    updateRun: (runId, expectedRevision, change) => runs.updateRun(db, runId, expectedRevision, change),
    deleteRun: (runId) => runs.deleteRun(db, runId),
    purge: () => runs.purge(db),
    shrink: () => runs.shrink(db),
    listDeletions: () => runs.listDeletions(db),
    deletionDone: (runId, nodeId) => runs.deletionDone(db, runId, nodeId),
    createSweep: (sweep, created, requestId) => sweeps.createSweep(db, sweep, created, requestId),
    extendSweep: (sweepId, axes, added, requestId) => sweeps.extendSweep(db, sweepId, axes, added, requestId),
    listSweeps: () => sweeps.listSweeps(db),
    setSweepState: (sweepId, state) => sweeps.setSweepState(db, sweepId, state),
    deleteSweep: (sweepId) => sweeps.deleteSweep(db, sweepId),
    probe: () => runs.probe(db),
    saveNode: (node) => runs.saveNode(db, node),
    listNodes: () => runs.listNodes(db),
    deleteNode: (nodeId) => runs.deleteNode(db, nodeId),
    listNodeModes: () => runs.listNodeModes(db),
    saveNodeMode: (mode) => runs.saveNodeMode(db, mode),
    append: (nodeId, records) =>
      appendHalving(
        db,
        records,
        (transaction, some) => append(transaction, texts, nodeId, some),
        () => texts.forget(),
      ),
    recordsAfter: (runId, afterCursor, limit) => records.recordsAfter(db, texts, runId, afterCursor, limit),
    recordsOfKind: (runId, kind, range) => records.recordsOfKind(db, texts, runId, kind, range),
    seriesNames: (runId, after, limit) => series.seriesNames(db, texts, runId, after, limit),
    series: (runId, query) => series.series(db, texts, runId, query),
    seriesColumns: (query) => series.seriesColumns(db, texts, query),
    spectra: (runId, query) => spectra.spectra(db, texts, runId, query),
    spectraIndex: (runId, page) => spectra.spectraIndex(db, texts, runId, page),
    spectraModules: (runId) => spectra.spectraModules(db, texts, runId),
    spectraMeasures: (runId, query) => spectra.spectraMeasures(db, texts, runId, query),
    spectraValues: (runId, query) => spectra.spectraValues(db, texts, runId, query),
    spectraProfiles: (runId, query) => spectra.spectraProfiles(db, texts, runId, query),
    exportPage: (runId, format, names, position) => exportPage(db, texts, runId, format, names, position),
    close: () => db.destroy(),
  }
}
