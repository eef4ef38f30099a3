/**
 * Spectra in SQL, every answer bounded: which there are, their measures, single ones with their values, and pages of
 * whole ones. The index (`spectra`) says where each lies in `records`.
 */
import {
  encodeColumn,
  encodeSteps,
  fromFloat64Bytes,
  fromJsonNumber,
  type JsonNumber,
  type RecordBodyOf,
  type SpectraMeasuresAnswer,
  type SpectraModulesAnswer,
  type SpectraProfilesAnswer,
  type SpectraValuesAnswer,
  type SpectrumPart,
  type SpectrumView,
  toJsonNumber,
} from '@rankscope/protocol'
import { type Kysely, sql } from 'kysely'
import { decodeBody } from './record-body.ts'
import { partCodes, type SpectrumOverview, type Tables } from './schema.ts'
import { type Snapshot, withRun } from './snapshot.ts'
import type {
  MeasuresQuery,
  ProfilesQuery,
  SpectraPage,
  SpectraQuery,
  SpectrumEntry,
  ValuesQuery,
} from './store.ts'
import type { Texts } from './texts.ts'

/** One answer of values grows to about this size. */
const valuesBytes = 4 * 2 ** 20
/** One answer of measures has about so many numbers. */
const measureNumbers = 400_000

const partNames = new Map<number, SpectrumPart>(
  Object.entries(partCodes).map(([part, code]) => [code, part as SpectrumPart]),
)

export function spectraModules(
  db: Kysely<Tables>,
  texts: Texts,
  runId: string,
): Promise<SpectraModulesAnswer> {
  const absent: SpectraModulesAnswer = { groups: [], shapes: {}, cursor: 0 }
  return withRun(db, runId, absent, async ({ transaction, runKey, run }) => {
    // Counted in the database: a row per module instead of one per spectrum.
    const { rows } = await sql<{
      moduleKey: number
      part: number
      final: number
      rows: number
      columns: number
      steps: string
    }>`select "moduleKey", "part", "final", max("rows") as "rows", max("columns") as "columns",
      group_concat("step") as "steps" from "spectra" where "runKey" = ${runKey}
      group by "moduleKey", "part", "final"`.execute(transaction)
    const names = await texts.resolve(
      transaction,
      rows.map((row) => row.moduleKey),
    )
    const groups = new Map<string, SpectraModulesAnswer['groups'][number]>()
    const shapes: SpectraModulesAnswer['shapes'] = {}
    for (const row of rows) {
      const module = names.get(row.moduleKey)!
      shapes[module] = [row.rows, row.columns]
      const key = `${row.part} ${row.final} ${row.steps}`
      const group = groups.get(key)
      if (group) group.modules.push(module)
      else
        groups.set(key, {
          part: partNames.get(row.part)!,
          final: row.final === 1,
          modules: [module],
          steps: row.steps
            .split(',')
            .map(Number)
            .sort((left, right) => left - right),
        })
    }
    for (const group of groups.values()) group.modules.sort()
    return { groups: [...groups.values()], shapes, cursor: run.lastCursor }
  })
}

export function spectraMeasures(
  db: Kysely<Tables>,
  texts: Texts,
  runId: string,
  query: MeasuresQuery,
): Promise<SpectraMeasuresAnswer> {
  const absent: SpectraMeasuresAnswer = { modules: [], next: null, cursor: 0 }
  return withRun(db, runId, absent, async ({ transaction, runKey, run }) => {
    const wanted = await modulesOf(transaction, texts, runKey, query.modules ?? null)
    const { after } = query
    const rest = after === undefined ? wanted : wanted.filter(({ module }) => module > after)
    const values = query.measures.map((measure) => sql`json_extract("overview", ${jsonPath(measure)})`)
    const modules: SpectraMeasuresAnswer['modules'] = []
    let numbers = 0
    for (const { module, moduleKey } of rest) {
      if (numbers >= measureNumbers) return { modules, next: modules.at(-1)!.module, cursor: run.lastCursor }
      const { rows } = await sql<Record<string, JsonNumber | null> & { step: number }>`
        select "step", ${sql.join(values.map((value, index) => sql`${value} as ${sql.ref(`m${index}`)}`))}
        from "spectra" where "runKey" = ${runKey} and "moduleKey" = ${moduleKey}
          and "part" = ${partCodes[query.part]} and "final" = ${query.final ? 1 : 0}
          and "step" >= ${query.fromStep ?? 0} and "step" <= ${query.toStep ?? Number.MAX_SAFE_INTEGER}
        order by "step"`.execute(transaction)
      if (rows.length === 0) continue
      numbers += rows.length * values.length
      modules.push({
        module,
        steps: encodeSteps(rows.map((row) => row.step)),
        values: query.measures.map((_, index) =>
          encodeColumn(
            rows.map((row) => fromJsonNumber(row[`m${index}`] ?? 'NaN')),
            query.precision,
          ),
        ),
      })
    }
    return { modules, next: null, cursor: run.lastCursor }
  })
}

function jsonPath(measure: string): string {
  return measure === 'frobenius' ? '$.frobenius' : `$.measures."${measure.replaceAll('"', '')}"`
}

/** Modules that have spectra, ascending by name: those wanted, or all. */
async function modulesOf(
  db: Kysely<Tables>,
  texts: Texts,
  runKey: number,
  wanted: readonly string[] | null,
): Promise<{ module: string; moduleKey: number }[]> {
  const modules: { module: string; moduleKey: number }[] = []
  if (wanted === null) {
    const rows = await db
      .selectFrom('spectra')
      .select('moduleKey')
      .distinct()
      .where('runKey', '=', runKey)
      .execute()
    const names = await texts.resolve(
      db,
      rows.map((row) => row.moduleKey),
    )
    for (const { moduleKey } of rows) modules.push({ module: names.get(moduleKey)!, moduleKey })
  } else
    for (const module of new Set(wanted)) {
      const moduleKey = await texts.find(db, module)
      if (moduleKey !== null) modules.push({ module, moduleKey })
    }
  return modules.sort((left, right) => (left.module < right.module ? -1 : 1))
}

export async function spectraValues(
  db: Kysely<Tables>,
  texts: Texts,
  runId: string,
  { items, precision }: ValuesQuery,
): Promise<SpectraValuesAnswer> {
  return eachSpectrum(db, texts, runId, items, ({ singularValues }) => {
    const values = encodeColumn(fromFloat64Bytes(singularValues), precision)
    return { value: values, bytes: values.byteLength }
  })
}

export async function spectraProfiles(
  db: Kysely<Tables>,
  texts: Texts,
  runId: string,
  { items, names }: ProfilesQuery,
): Promise<SpectraProfilesAnswer> {
  return eachSpectrum(db, texts, runId, items, ({ profiles = {} }) => {
    const value: SpectraProfilesAnswer['spectra'][number] = {}
    let bytes = 0
    for (const name of names) {
      const profile = profiles[name]
      if (!profile) continue
      value[name] = encodeColumn(fromFloat64Bytes(profile), 'float64')
      bytes += profile.byteLength
    }
    return { value, bytes }
  })
}

/** What `pick` takes of each wanted spectrum, in order, until the answer is large; null where there is none. */
async function eachSpectrum<T>(
  db: Kysely<Tables>,
  texts: Texts,
  runId: string,
  items: ValuesQuery['items'],
  pick: (body: RecordBodyOf<'spectrum'>) => { value: T; bytes: number },
): Promise<{ spectra: (T | null)[]; next: number | null; cursor: number }> {
  const absent: { spectra: (T | null)[]; next: number | null; cursor: number } = {
    spectra: items.map(() => null),
    next: null,
    cursor: 0,
  }
  return withRun(db, runId, absent, async ({ transaction, runKey, run }) => {
    const spectra: (T | null)[] = []
    let bytes = 0
    for (const [index, item] of items.entries()) {
      if (bytes >= valuesBytes) return { spectra, next: index, cursor: run.lastCursor }
      const moduleKey = await texts.find(transaction, item.module)
      const row = await transaction
        .selectFrom('spectra')
        .innerJoin('records', (join) =>
          join.onRef('records.runKey', '=', 'spectra.runKey').onRef('records.cursor', '=', 'spectra.cursor'),
        )
        .select('records.body')
        .where('spectra.runKey', '=', runKey)
        .where('spectra.moduleKey', '=', moduleKey ?? -1)
        .where('spectra.part', '=', partCodes[item.part])
        .where('spectra.step', '=', item.step)
        .where('spectra.final', '=', item.final ? 1 : 0)
        .executeTakeFirst()
      const picked = row ? pick(bodyOf(row.body)) : null
      bytes += picked?.bytes ?? 0
      spectra.push(picked?.value ?? null)
    }
    return { spectra, next: null, cursor: run.lastCursor }
  })
}

/** Rows of the index that fit, a page of them. Ascending by step, then by cursor. */
async function page(
  { transaction, runKey }: Snapshot,
  texts: Texts,
  wanted: SpectraQuery & SpectraPage,
  limit: number,
) {
  let query = transaction
    .selectFrom('spectra')
    .selectAll()
    .where('runKey', '=', runKey)
    .orderBy('step')
    .orderBy('cursor')
    .limit(limit)
  if (wanted.module !== null)
    query = query.where('moduleKey', '=', (await texts.find(transaction, wanted.module)) ?? -1)
  if (wanted.part !== null) query = query.where('part', '=', partCodes[wanted.part])
  if (wanted.step !== null) query = query.where('step', '=', wanted.step)
  if (wanted.final !== null) query = query.where('final', '=', wanted.final ? 1 : 0)
  if (wanted.after !== null) {
    const [step, cursor] = wanted.after.split('.').map(Number)
    query = query.where(sql<boolean>`("step", "cursor") > (${step}, ${cursor})`)
  }
  return query.execute()
}

export function spectra(
  db: Kysely<Tables>,
  texts: Texts,
  runId: string,
  wanted: SpectraQuery & SpectraPage,
): Promise<{ spectra: SpectrumView[]; next: string | null; cursor: number }> {
  const absent: { spectra: SpectrumView[]; next: string | null; cursor: number } = {
    spectra: [],
    next: null,
    cursor: 0,
  }
  return withRun(db, runId, absent, async (snapshot) => {
    const { transaction, runKey, run } = snapshot
    const rows = await page(snapshot, texts, wanted, wanted.limit)
    const views: SpectrumView[] = []
    let bytes = 0
    for (const row of rows) {
      if (bytes >= valuesBytes) break
      const { body } = await transaction
        .selectFrom('records')
        .select('body')
        .where('runKey', '=', runKey)
        .where('cursor', '=', row.cursor)
        .executeTakeFirstOrThrow()
      bytes += body.byteLength
      views.push(readSpectrum(body))
    }
    const last = rows[views.length - 1]
    const isWhole = views.length === rows.length && rows.length < wanted.limit
    return {
      spectra: views,
      next: isWhole || !last ? null : `${last.step}.${last.cursor}`,
      cursor: run.lastCursor,
    }
  })
}

function bodyOf(bytes: Uint8Array) {
  const raw = decodeBody(bytes)
  if (!('kept' in raw) || raw.kept.kind !== 'spectrum') throw new Error('not a spectrum')
  return raw.kept
}

function readSpectrum(bytes: Uint8Array): SpectrumView {
  const { step, module, part, rows, columns, frobenius, measures, final, singularValues } = bodyOf(bytes)
  return {
    step,
    module,
    part,
    rows,
    columns,
    final,
    singularValues: Array.from(fromFloat64Bytes(singularValues), toJsonNumber),
    frobenius: toJsonNumber(frobenius),
    measures: Object.fromEntries(
      Object.entries(measures).map(([name, value]) => [name, toJsonNumber(value)]),
    ),
  }
}

export function spectraIndex(
  db: Kysely<Tables>,
  texts: Texts,
  runId: string,
  wanted: SpectraPage,
): Promise<{ entries: SpectrumEntry[]; next: string | null; cursor: number }> {
  const absent: { entries: SpectrumEntry[]; next: string | null; cursor: number } = {
    entries: [],
    next: null,
    cursor: 0,
  }
  const all: SpectraQuery = { module: null, part: null, step: null, final: null }
  return withRun(db, runId, absent, async (snapshot) => {
    const rows = await page(snapshot, texts, { ...all, ...wanted }, wanted.limit)
    const names = await texts.resolve(
      snapshot.transaction,
      rows.map((row) => row.moduleKey),
    )
    const entries = rows.map((row) => ({
      step: row.step,
      module: names.get(row.moduleKey)!,
      part: partNames.get(row.part)!,
      rows: row.rows,
      columns: row.columns,
      final: row.final === 1,
      ...(JSON.parse(row.overview) as SpectrumOverview),
    }))
    const last = rows.at(-1)
    const next = last && rows.length === wanted.limit ? `${last.step}.${last.cursor}` : null
    return { entries, next, cursor: snapshot.run.lastCursor }
  })
}
