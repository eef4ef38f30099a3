/** What became of the records of a source: read, used, skipped with the reason, and what else a reader should hear. */
import { RankscopeError } from '@rankscope/protocol'

export class Tally {
  read = 0
  readonly #skipped = new Map<string, Entry>()
  readonly #remarks = new Map<string, Entry>()

  /** A record that is not used. */
  skip(reason: string, place: string): null {
    add(this.#skipped, reason, place)
    return null
  }

  /** A record that is used, though not the whole of it, or not as it stands. */
  remark(what: string, place: string): void {
    add(this.#remarks, what, place)
  }

  get skipped(): Record<string, number> {
    return Object.fromEntries([...this.#skipped].map(([reason, { count }]) => [reason, count]))
  }

  /** In sentences, with the first place of each. */
  get notes(): string[] {
    return [
      ...Array.from(this.#skipped, ([reason, { count, first }]) =>
        sentence(`${count} of ${this.read} records were skipped: ${reason}`, first),
      ),
      ...Array.from(this.#remarks, ([what, { count, first }]) =>
        sentence(`${count} of ${this.read} records: ${what}`, first),
      ),
    ]
  }
}

interface Entry {
  /** Of records, each counted once. */
  count: number
  first: string
  last: string
}

/** Reasons can quote the data: a broken set gives no more of them than anyone reads. */
export const mostReasons = 20

function add(map: Map<string, Entry>, what: string, place: string): void {
  const key = map.has(what) || map.size < mostReasons ? what : 'other reasons'
  const entry = map.get(key)
  if (!entry) map.set(key, { count: 1, first: place, last: place })
  else if (entry.last !== place) {
    entry.count++
    entry.last = place
  }
}

function sentence(text: string, place: string): string {
  return `${text} (first: ${place})`
}

/** A record that can neither be used nor skipped. */
export function brokenRecord(place: string, what: string, hint?: string): RankscopeError {
  return new RankscopeError('DATA_BROKEN', `${place}: the record ${what}`, {
    hint:
      hint ??
      'Name the instruction and output fields in the configuration (data.source.fields), or repair the file.',
  })
}

/**
 * Text that can be written as UTF-8 again: half a surrogate pair, which JSON can spell, would become a replacement
 * character on the way to the tokenizer.
 */
export function soundText(value: string, field: string, place: string, tally: Tally): string {
  // Of lib.es2024; Node has it from version 20 on.
  if (!(value as unknown as { isWellFormed(): boolean }).isWellFormed())
    throw brokenRecord(
      place,
      `has half a surrogate pair in field ${field}`,
      'Repair the file: \\ud83d must be followed by its other half.',
    )
  if (value.includes('\0')) throw brokenRecord(place, `has a NUL in field ${field}`, 'Repair the file.')
  if (value.includes('\uFFFD'))
    tally.remark('hold U+FFFD, which a conversion left in place of a character', place)
  return value
}
