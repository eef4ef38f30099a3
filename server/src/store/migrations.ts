/** Versions of the schema. A migration that was released is never edited; a change is a new one. */
import { type Kysely, type Migration, type MigrationProvider, sql } from 'kysely'

/** Column types that differ between databases. */
export type ColumnTypes = {
  key: 'integer' | 'serial'
  bytes: 'blob' | 'bytea'
  real: 'real' | 'double precision'
  integer: 'integer' | 'bigint'
  /** What SQLite calls a table that is stored inside its primary key’s index. */
  clustered: boolean
}

export const sqliteTypes: ColumnTypes = {
  key: 'integer',
  bytes: 'blob',
  real: 'real',
  integer: 'integer',
  clustered: true,
}

export function migrations(types: ColumnTypes): MigrationProvider {
  return {
    getMigrations: async () => ({
      '001-first': first(types),
      '002-sweeps': sweeps(types),
      '003-holders': holders(types),
    }),
  }
}

function first(types: ColumnTypes): Migration {
  const { key, bytes, real, integer } = types
  return {
    async up(db: Kysely<unknown>): Promise<void> {
      const schema = db.schema
      const clustered = sql`without rowid`
      await schema
        .createTable('texts')
        .addColumn('textKey', key, (column) => column.primaryKey())
        .addColumn('text', 'text', (column) => column.notNull().unique())
        .execute()
      await schema
        .createTable('runs')
        .addColumn('runKey', key, (column) =>
          types.key === 'integer' ? column.primaryKey().autoIncrement() : column.primaryKey(),
        )
        .addColumn('runId', 'text', (column) => column.notNull().unique())
        .addColumn('name', 'text', (column) => column.notNull().unique())
        .addColumn('state', 'text', (column) => column.notNull())
        .addColumn('attempt', 'integer', (column) => column.notNull())
        .addColumn('nodeId', 'text')
        .addColumn('createdMs', real, (column) => column.notNull())
        .addColumn('queuedMs', real, (column) => column.notNull())
        .addColumn('startedMs', real)
        .addColumn('endedMs', real)
        .addColumn('lastCursor', integer, (column) => column.notNull())
        .addColumn('revision', integer, (column) => column.notNull())
        .addColumn('config', 'text', (column) => column.notNull())
        .addColumn('progress', 'text', (column) => column.notNull())
        .execute()
      await schema
        .createTable('nodes')
        .addColumn('nodeId', 'text', (column) => column.primaryKey())
        .addColumn('firstSeenMs', real, (column) => column.notNull())
        .addColumn('lastSeenMs', real, (column) => column.notNull())
        .addColumn('hello', 'text', (column) => column.notNull())
        .execute()
      // Rows with spectra are wide, so this table keeps its own row ids.
      await schema
        .createTable('records')
        .addColumn('runKey', integer, (column) => column.notNull())
        .addColumn('cursor', integer, (column) => column.notNull())
        .addColumn('attempt', integer, (column) => column.notNull())
        .addColumn('seq', integer, (column) => column.notNull())
        .addColumn('timeMs', real, (column) => column.notNull())
        .addColumn('kind', 'integer', (column) => column.notNull())
        .addColumn('body', bytes, (column) => column.notNull())
        .addPrimaryKeyConstraint('recordsByCursor', ['runKey', 'cursor'])
        .addUniqueConstraint('recordsBySeq', ['runKey', 'attempt', 'seq'])
        .execute()
      // All but scalars (4), which are many and are read through `points`.
      await schema
        .createIndex('recordsByKind')
        .on('records')
        .columns(['runKey', 'kind', 'cursor'])
        .where(sql.ref('kind'), '<>', sql.lit(4))
        .execute()
      let points = schema
        .createTable('points')
        .addColumn('runKey', integer, (column) => column.notNull())
        .addColumn('nameKey', integer, (column) => column.notNull())
        .addColumn('step', integer, (column) => column.notNull())
        .addColumn('attempt', integer, (column) => column.notNull())
        .addColumn('seq', integer, (column) => column.notNull())
        .addColumn('timeMs', real, (column) => column.notNull())
        .addColumn('value', real)
        .addPrimaryKeyConstraint('pointsByStep', ['runKey', 'nameKey', 'step'])
      let series = schema
        .createTable('series')
        .addColumn('runKey', integer, (column) => column.notNull())
        .addColumn('nameKey', integer, (column) => column.notNull())
        .addColumn('builtTo', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('seriesByName', ['runKey', 'nameKey'])
      let buckets = schema
        .createTable('buckets')
        .addColumn('runKey', integer, (column) => column.notNull())
        .addColumn('nameKey', integer, (column) => column.notNull())
        .addColumn('level', 'integer', (column) => column.notNull())
        .addColumn('bucket', integer, (column) => column.notNull())
        .addColumn('step', integer, (column) => column.notNull())
        .addColumn('timeMs', real, (column) => column.notNull())
        .addColumn('last', real)
        .addColumn('min', real)
        .addColumn('max', real)
        .addColumn('count', 'integer', (column) => column.notNull())
        .addColumn('nanCount', 'integer', (column) => column.notNull())
        .addPrimaryKeyConstraint('bucketsByIndex', ['runKey', 'nameKey', 'level', 'bucket'])
      let spectra = schema
        .createTable('spectra')
        .addColumn('runKey', integer, (column) => column.notNull())
        .addColumn('moduleKey', integer, (column) => column.notNull())
        .addColumn('part', 'integer', (column) => column.notNull())
        .addColumn('step', integer, (column) => column.notNull())
        .addColumn('final', 'integer', (column) => column.notNull())
        .addColumn('attempt', integer, (column) => column.notNull())
        .addColumn('cursor', integer, (column) => column.notNull())
        .addColumn('rows', 'integer', (column) => column.notNull())
        .addColumn('columns', 'integer', (column) => column.notNull())
        .addColumn('overview', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('spectraByModule', ['runKey', 'moduleKey', 'part', 'step', 'final'])
      if (types.clustered) {
        points = points.modifyEnd(clustered)
        series = series.modifyEnd(clustered)
        buckets = buckets.modifyEnd(clustered)
        spectra = spectra.modifyEnd(clustered)
      }
      for (const table of [points, series, buckets, spectra]) await table.execute()
      await schema
        .createTable('purges')
        .addColumn('runKey', integer, (column) => column.primaryKey())
        .execute()
    },
  }
}

function sweeps({ real }: ColumnTypes): Migration {
  return {
    async up(db: Kysely<unknown>): Promise<void> {
      await db.schema
        .createTable('sweeps')
        .addColumn('sweepId', 'text', (column) => column.primaryKey())
        .addColumn('createdMs', real, (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addColumn('spec', 'text', (column) => column.notNull())
        .execute()
      await db.schema
        .createTable('sweepRuns')
        .addColumn('sweepId', 'text', (column) => column.notNull())
        .addColumn('position', 'integer', (column) => column.notNull())
        .addColumn('runId', 'text', (column) => column.notNull().unique())
        .addColumn('point', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('sweepRunsByPosition', ['sweepId', 'position'])
        .execute()
      await db.schema
        .createTable('sweepRequests')
        .addColumn('requestId', 'text', (column) => column.primaryKey())
        .addColumn('sweepId', 'text', (column) => column.notNull())
        .execute()
    },
  }
}

function holders({ bytes }: ColumnTypes): Migration {
  return {
    async up(db: Kysely<unknown>): Promise<void> {
      const { schema } = db
      await schema.createTable('probe').addColumn('filler', bytes).execute()
      for (const table of ['holders', 'deletions'])
        await schema
          .createTable(table)
          .addColumn('runId', 'text', (column) => column.notNull())
          .addColumn('nodeId', 'text', (column) => column.notNull())
          .addPrimaryKeyConstraint(`${table}ByRun`, ['runId', 'nodeId'])
          .execute()
      await schema
        .createTable('nodeModes')
        .addColumn('nodeId', 'text', (column) => column.primaryKey())
        .addColumn('mode', 'text', (column) => column.notNull())
        .addColumn('pausedRuns', 'text', (column) => column.notNull())
        .execute()
      await sql`insert into "holders" ("runId", "nodeId")
        select "runId", "nodeId" from "runs" where "nodeId" is not null`.execute(db)
    },
  }
}
