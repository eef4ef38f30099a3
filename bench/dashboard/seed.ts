/**
 * A data folder with runs that never trained: curves and spectra from formulas, written as rows in bulk. Every run's
 * loss has one spike of a single point, which a chart must show. The same arguments give the same numbers.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import {
  comparisonMethodNames,
  encodeMessage,
  type RecordBody,
  type RunConfig,
  runConfigSchema,
  scalarNames,
  targetModuleNames,
  toFloat64Bytes,
} from '@rankscope/protocol'
import Database from 'libsql'
import { emptyProgress } from '../../server/src/runs/projection.ts'
import { openSqliteStore } from '../../server/src/store/sqlite.ts'

export type Seed = {
  runs: number
  /** Steps of each run, every one of them with a value of each series. */
  steps: number
  series: readonly string[]
  /** Spectra of the first run. */
  spectra: { modules: number; snapshots: number; values: number } | null
}

/** Twelve series, those with charts first. */
export const seriesNames: readonly string[] = [
  scalarNames.trainLoss,
  scalarNames.learningRate,
  scalarNames.gradNorm,
  scalarNames.tokensPerSecond,
  scalarNames.updateNorm,
  scalarNames.tokens,
  scalarNames.residentMemoryBytes,
  scalarNames.stepTimeMs,
  scalarNames.epoch,
  scalarNames.receivedBytes,
  scalarNames.evaluationLoss,
  scalarNames.accuracy,
]

export const spikeValue = 50
const startMs = Date.UTC(2026, 0, 5)
const branching = 8
const topLevel = 5

/** The step at which a run's loss spikes; counted from 0. */
export function spikeStep(run: number, steps: number): number {
  return 1 + ((run * 7919 + 4242) % steps)
}

export async function seedStore(folder: string, seed: Seed): Promise<string[]> {
  mkdirSync(folder, { recursive: true })
  const file = join(folder, 'rankscope.db')
  const store = await openSqliteStore(file)
  const ids: string[] = []
  for (let first = 0; first < seed.runs; first += 200) {
    const some = Array.from({ length: Math.min(200, seed.runs - first) }, (_, index) => first + index)
    const created = await store.createRuns(
      some.map((index) => ({
        runId: `seeded${String(index).padStart(6, '0')}`,
        name: `seeded-${index}`,
        config: configOf(index),
        createdMs: startMs + index * 60_000,
      })),
    )
    ids.push(...created.map((run) => run.runId))
  }
  await store.close()
  const db = new Database(file)
  db.pragma('synchronous = OFF')
  db.pragma('temp_store = MEMORY')
  db.exec('BEGIN')
  finishRuns(db, seed)
  if (seed.series.length > 0) addSeries(db, seed)
  if (seed.spectra) addSpectra(db, seed.spectra)
  db.exec('COMMIT')
  db.pragma('wal_checkpoint(TRUNCATE)')
  db.close()
  return ids
}

function configOf(index: number): RunConfig {
  const name = comparisonMethodNames[index % comparisonMethodNames.length]!
  return runConfigSchema.parse({
    data: { source: { kind: 'task', task: 'arithmetic' } },
    method: name === 'full' ? { name } : { name, rank: 4 * 2 ** (index % 4) },
    optimizer: { learningRate: 10 ** -(3 + (index % 3)) },
    seed: Math.floor(index / 12),
    group: `group ${Math.floor(index / 20)}`,
    spectra: { everySteps: 10 },
  })
}

function finishRuns(db: Database.Database, { runs, steps, spectra }: Seed): void {
  const update = db.prepare(
    `UPDATE runs SET state = 'finished', attempt = 1, startedMs = createdMs, endedMs = createdMs + 3600000, lastCursor = ?, progress = ? WHERE runId = ?`,
  )
  for (let index = 0; index < runs; index++) {
    const loss = 0.3 + ((index * 37) % 100) / 100
    const progress = {
      ...emptyProgress(),
      step: steps,
      totalSteps: steps,
      latest: { [scalarNames.trainLoss]: loss, [scalarNames.accuracy]: 1 - loss / 2 },
      start: {
        backend: 'native',
        threads: 1,
        trainableParameters: 100_000,
        totalParameters: 1_000_000,
        modules: index === 0 && spectra ? moduleNames(spectra.modules).map(shapeOf) : [],
        warnings: [],
      },
      summary: {
        finalLoss: loss,
        accuracy: 1 - loss / 2,
        effectiveRank: 4 + (index % 30),
        tokensPerSecond: 5000,
      },
    }
    update.run([1_000_000, JSON.stringify(progress), `seeded${String(index).padStart(6, '0')}`])
  }
}

/** Rows of points made inside the database, and their pyramid of buckets as the server keeps it. */
function addSeries(db: Database.Database, { runs, steps, series }: Seed): void {
  const text = db.prepare('INSERT INTO texts (text) VALUES (?) ON CONFLICT DO NOTHING')
  for (const name of series) text.run([name])
  const keys = new Map(
    (db.prepare('SELECT textKey, text FROM texts').all([]) as { textKey: number; text: string }[]).map(
      (row) => [row.text, row.textKey],
    ),
  )
  const noise = `(((step * 7919 + :run * 104729 + :name * 1299709) % 1009) / 1009.0)`
  const insert = db.prepare(
    `INSERT INTO points (runKey, nameKey, step, attempt, seq, timeMs, value)
     WITH RECURSIVE counted(step) AS (SELECT 1 UNION ALL SELECT step + 1 FROM counted WHERE step < :steps)
     SELECT :run, :name, step, 1, step, :start + step * 1000.0,
       CASE WHEN :spike = step THEN ${spikeValue}.0
            ELSE :scale * (0.4 + 2.0 / (1.0 + step * 0.004) + 0.3 * ${noise}) END
     FROM counted`,
  )
  const stride = branching ** 3
  const built = Math.floor((steps + 1) / stride) * stride
  const known = db.prepare('INSERT INTO series (runKey, nameKey, builtTo) VALUES (?, ?, ?)')
  for (let run = 0; run < runs; run++) {
    const start = startMs + run * 60_000
    for (const [position, name] of series.entries()) {
      const spike = position === 0 ? spikeStep(run, steps) : 0
      const nameKey = keys.get(name)!
      insert.run({
        run: run + 1,
        name: nameKey,
        steps,
        start,
        spike,
        scale: 1 + 0.05 * ((run * 31 + position) % 17),
      })
      known.run([run + 1, nameKey, built])
    }
  }
  for (let level = 1; level <= topLevel; level++) {
    const width = branching ** level
    const end = Math.floor(built / width) * width
    if (end === 0) break
    // SQLite takes bare columns from the row that holds the max().
    db.exec(
      level === 1
        ? `INSERT INTO buckets (runKey, nameKey, level, bucket, step, timeMs, last, min, max, count, nanCount)
           SELECT runKey, nameKey, 1, step / ${width}, max(step), timeMs, value, lo, hi, n, 0 FROM (
             SELECT runKey, nameKey, step, timeMs, value,
               min(value) OVER w lo, max(value) OVER w hi, count(*) OVER w n
             FROM points WHERE step < ${end}
             WINDOW w AS (PARTITION BY runKey, nameKey, step / ${width}))
           GROUP BY runKey, nameKey, step / ${width}`
        : `INSERT INTO buckets (runKey, nameKey, level, bucket, step, timeMs, last, min, max, count, nanCount)
           SELECT a.runKey, a.nameKey, ${level}, a.parent, b.step, b.timeMs, b.last, a.lo, a.hi, a.n, 0 FROM (
             SELECT runKey, nameKey, bucket / ${branching} parent, max(bucket) newest, min(min) lo, max(max) hi, sum(count) n
             FROM buckets WHERE level = ${level - 1} AND bucket < ${end / (width / branching)}
             GROUP BY runKey, nameKey, bucket / ${branching}) a
           JOIN buckets b ON b.runKey = a.runKey AND b.nameKey = a.nameKey AND b.level = ${level - 1} AND b.bucket = a.newest`,
    )
  }
}

export function moduleNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => {
    const projection = targetModuleNames[index % targetModuleNames.length]!
    const block = ['gate_proj', 'up_proj', 'down_proj'].includes(projection) ? 'mlp' : 'self_attn'
    return `model.layers.${Math.floor(index / targetModuleNames.length)}.${block}.${projection}`
  })
}

function shapeOf(name: string) {
  return { name, rows: 4096, columns: 4096 }
}

/** Spectra of the first run: a cliff at rank 32 that softens with the steps. */
function addSpectra(
  db: Database.Database,
  { modules, snapshots, values }: NonNullable<Seed['spectra']>,
): void {
  const names = moduleNames(modules)
  const text = db.prepare('INSERT INTO texts (text) VALUES (?) ON CONFLICT DO NOTHING')
  for (const name of names) text.run([name])
  const find = db.prepare('SELECT textKey FROM texts WHERE text = ?')
  const keys = names.map((name) => (find.get([name]) as { textKey: number }).textKey)
  const record = db.prepare(
    'INSERT INTO records (runKey, cursor, attempt, seq, timeMs, kind, body) VALUES (1, ?, 1, ?, ?, 5, ?)',
  )
  const row = db.prepare(
    'INSERT INTO spectra (runKey, moduleKey, part, step, final, attempt, cursor, rows, columns, overview) VALUES (1, ?, 1, ?, 0, 1, ?, 4096, 4096, ?)',
  )
  let cursor = 0
  for (let snapshot = 1; snapshot <= snapshots; snapshot++) {
    const step = snapshot * 10
    for (const [index, module] of names.entries()) {
      const size = (1 + snapshot / snapshots) * (1 + (index % 7) / 7)
      const singularValues = Float64Array.from(
        { length: values },
        (_, at) =>
          size *
          (at < 32
            ? Math.exp(-at / (12 + (index % 20)))
            : 1e-3 * Math.exp(-(at - 32) / 40) * (snapshot / snapshots)),
      )
      const frobenius = Math.hypot(...singularValues)
      const measures = {
        numericalRank: 32 + (snapshot % 20),
        numericalRankThreshold: 1e-4,
        numericalRankFloat64: values,
        energyRank90: 10 + (index % 9),
        energyRank99: 20 + (index % 9),
        effectiveRank: 12 + (index % 20) + snapshot / snapshots,
        spectralEntropyRank: 9 + (index % 12),
        stableRank: 1.5 + (index % 10) / 10,
        participationRatio: 7 + (index % 6),
      }
      const body: RecordBody = {
        kind: 'spectrum',
        step,
        module,
        part: 'total',
        rows: 4096,
        columns: 4096,
        singularValues: toFloat64Bytes(singularValues),
        frobenius,
        measures,
        elapsedMs: 1,
        final: false,
      }
      cursor++
      record.run([cursor, cursor, startMs + step * 1000, encodeMessage(body)])
      row.run([keys[index]!, step, cursor, JSON.stringify({ frobenius, measures })])
    }
  }
}
