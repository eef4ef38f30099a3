/** Interned texts: series names and modules are kept once and stand in rows as small numbers. */
import type { Kysely } from 'kysely'
import { insertRows, isOneOf, lists } from './bulk.ts'
import type { Tables } from './schema.ts'

export class Texts {
  readonly #keys = new Map<string, number>()
  readonly #texts = new Map<number, string>()

  /** True of a text that this store is known to hold. */
  has(text: string): boolean {
    return this.#keys.has(text)
  }

  /** Keys of the texts, creating those that are missing; call inside the transaction that uses them. */
  async intern(db: Kysely<Tables>, texts: Iterable<string>): Promise<Map<string, number>> {
    const wanted = [...new Set(texts)]
    const missing = wanted.filter((text) => !this.#keys.has(text))
    await insertRows(
      db,
      'texts',
      ['text'],
      missing.map((text) => [text]),
      'on conflict do nothing',
    )
    for (const some of lists(missing)) {
      const rows = await db.selectFrom('texts').selectAll().where(isOneOf('text', some)).execute()
      for (const row of rows) this.#remember(row.textKey, row.text)
    }
    return new Map(wanted.map((text) => [text, this.#keys.get(text)!]))
  }

  async find(db: Kysely<Tables>, text: string): Promise<number | null> {
    const known = this.#keys.get(text)
    if (known !== undefined) return known
    const row = await db.selectFrom('texts').selectAll().where('text', '=', text).executeTakeFirst()
    if (!row) return null
    this.#remember(row.textKey, row.text)
    return row.textKey
  }

  /** Texts by key, for keys that rows of the database hold. */
  async resolve(db: Kysely<Tables>, keys: Iterable<number>): Promise<ReadonlyMap<number, string>> {
    const missing = [...new Set(keys)].filter((key) => !this.#texts.has(key))
    for (const some of lists(missing)) {
      const rows = await db.selectFrom('texts').selectAll().where(isOneOf('textKey', some)).execute()
      for (const row of rows) this.#remember(row.textKey, row.text)
    }
    return this.#texts
  }

  /** After a transaction was undone, what it interned is gone. */
  forget(): void {
    this.#keys.clear()
    this.#texts.clear()
  }

  #remember(key: number, text: string): void {
    this.#keys.set(text, key)
    this.#texts.set(key, text)
  }
}
