/**
 * Many rows and long lists in few statements. A statement’s text depends on how many rows it takes, and each text stays
 * prepared for good, so numbers are made up of a few fixed sizes; none holds more parameters than any SQLite allows.
 */
import { CompiledQuery, type Kysely, type RawBuilder, sql } from 'kysely'
import type { Tables } from './schema.ts'

const sizes = [256, 32, 4, 1]
const texts = new Map<string, string>()

/** Insert rows, each an array of values in the order of `columns`; `conflict` is what follows the values. */
export async function insertRows(
  db: Kysely<Tables>,
  table: keyof Tables,
  columns: readonly string[],
  rows: readonly unknown[][],
  conflict = '',
): Promise<void> {
  let start = 0
  for (const size of sizes)
    while (rows.length - start >= size) {
      const text = insertText(table, columns, size, conflict)
      await db.executeQuery(CompiledQuery.raw(text, rows.slice(start, start + size).flat()))
      start += size
    }
}

function insertText(table: string, columns: readonly string[], size: number, conflict: string): string {
  const key = `${table} ${size} ${conflict}`
  const known = texts.get(key)
  if (known) return known
  const row = `(${columns.map(() => '?').join(', ')})`
  const names = columns.map((column) => `"${column}"`).join(', ')
  const text = `insert into "${table}" (${names}) values ${new Array(size).fill(row).join(', ')} ${conflict}`
  texts.set(key, text)
  return text
}

const listSizes = [1, 8, 64, 512]

/** The items in lists for `in (…)`, each of a fixed length: a short one repeats its last item. */
export function* lists<T>(items: readonly T[]): Generator<T[]> {
  const longest = listSizes.at(-1)!
  for (let start = 0; start < items.length; start += longest) {
    const list = items.slice(start, start + longest)
    const size = listSizes.find((one) => one >= list.length)!
    yield [...list, ...new Array<T>(size - list.length).fill(list.at(-1)!)]
  }
}

/** `column in (list)` for a list of `lists`. */
export function isOneOf(column: string, list: readonly (string | number)[]): RawBuilder<boolean> {
  return sql<boolean>`${sql.ref(column)} in (${sql.join(list)})`
}
