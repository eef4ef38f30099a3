/**
 * The JSON values of a file, one by one with their place: an array, JSON lines, values one after another, or one object
 * that holds the records in an array, as many data sets are published (`{"version": …, "data": […]}`).
 */
import { RankscopeError } from '@rankscope/protocol'
import { duplicateKey } from './duplicate-keys.ts'
import { JsonSplitter, type RawValue } from './json-splitter.ts'
import { longestRecord, readLines, readText, tooLong } from './read-text.ts'

export interface PlacedValue {
  readonly value: unknown
  /** Where it stands, for messages: `train.jsonl:17` or `train.json:40, record 17`. */
  readonly place: string
}

/** Throws DATA_NOT_FOUND or DATA_BROKEN, naming file and line. */
export async function* readJson(file: string): AsyncGenerator<PlacedValue[]> {
  const form = await formOf(file)
  if (form === 'array') {
    let record = 0
    for await (const values of splitText(file, 'array'))
      yield values.map((raw) => parsed(raw, `${file}:${raw.line}, record ${++record}`))
    return
  }
  // The first value waits for a second: alone in its file it may be what the records are wrapped in.
  let only: RawValue | null = null
  let begun = false
  for await (const values of form === 'lines' ? splitLines(file) : splitText(file, 'values')) {
    if (values.length === 0) continue
    if (!begun && only === null && values.length === 1) {
      only = values[0] as RawValue
      continue
    }
    const all: RawValue[] = only === null ? values : [only, ...values]
    only = null
    begun = true
    yield all.map((raw) => parsed(raw, `${file}:${raw.line}`))
  }
  if (only !== null) yield unwrapped(file, only)
}

/** By the first character, or by whether the first line is a value of its own. */
async function formOf(file: string): Promise<'array' | 'lines' | 'values'> {
  const pieces: string[] = []
  let length = 0
  for await (const { text } of readText(file)) {
    const piece = pieces.length === 0 ? text.trimStart() : text
    if (piece === '') continue
    if (pieces.length === 0 && piece.startsWith('[')) return 'array'
    const end = piece.indexOf('\n')
    pieces.push(end === -1 ? piece : piece.slice(0, end))
    length += piece.length
    if (end !== -1 || length > longestRecord) break
  }
  if (length > longestRecord) throw tooLong(`${file}:1`, 'line')
  return parse(pieces.join('')) === undefined ? 'values' : 'lines'
}

async function* splitText(file: string, form: 'array' | 'values'): AsyncGenerator<RawValue[]> {
  const splitter = new JsonSplitter(file, form)
  for await (const { text } of readText(file)) yield splitter.push(text)
  splitter.end()
}

/** A line is a value, or holds several; blank lines hold none. */
async function* splitLines(file: string): AsyncGenerator<RawValue[]> {
  for await (const lines of readLines(file)) {
    const values: RawValue[] = []
    for (const { text, line } of lines) {
      const content = text.trim()
      if (content === '') continue
      const value = parse(content)
      if (value !== undefined) values.push({ text: content, line, value })
      else values.push(...severalIn(file, content, line))
    }
    yield values
  }
}

function severalIn(file: string, content: string, line: number): RawValue[] {
  const splitter = new JsonSplitter(file, 'values', line)
  const values = splitter.push(content)
  splitter.end()
  return values
}

/** Undefined where the text is not one JSON value. (A byte order mark where files were joined is white space to `trim`.) */
function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function parsed({ text, value: known }: RawValue, place: string): PlacedValue {
  let value = known
  let twice: string | null
  try {
    if (value === undefined) value = JSON.parse(text)
    twice = duplicateKey(text, value)
  } catch (cause) {
    throw new RankscopeError(
      'DATA_BROKEN',
      `${place}: the line is not valid JSON: ${(cause as Error).message}`,
      {
        hint: 'Each line of a JSONL file is one complete JSON object; a JSON file is one array of them.',
        cause,
      },
    )
  }
  if (twice !== null)
    throw new RankscopeError(
      'DATA_BROKEN',
      `${place}: the record has the field ${JSON.stringify(twice)} twice`,
      {
        hint: 'Only one of the two could be trained on: repair the file.',
      },
    )
  return { value, place }
}

/** Arrays that belong to a record. */
const partsOfRecords = new Set(['conversations', 'messages', 'conversation', 'history', 'tools', 'input_ids'])

/** The only value of a file: a record, or an object around the records. */
function unwrapped(file: string, raw: RawValue): PlacedValue[] {
  const whole = parsed(raw, `${file}:${raw.line}`)
  if (typeof whole.value !== 'object' || whole.value === null) return [whole]
  const lists = Object.entries(whole.value).filter(
    ([, list]) => Array.isArray(list) && list.length > 0 && list.every(isObject),
  )
  if (lists.length === 0 || Object.keys(whole.value).some((key) => partsOfRecords.has(key))) return [whole]
  if (lists.length > 1)
    throw new RankscopeError(
      'DATA_BROKEN',
      `${whole.place}: the file holds several lists of records: ${lists.map(([key]) => key).join(', ')}`,
      { hint: 'Write each into a file of its own; several files are several sources of a mix.' },
    )
  const [key, list] = lists[0] as [string, unknown[]]
  // Only the place in the text says in which line a record stands.
  const start = startOfList(raw.text, key)
  const before = raw.text.slice(0, start).split('\n').length - 1
  const elements = elementsOf(file, raw.text.slice(start), raw.line + before)
  return list.map((value, index) => ({
    value,
    place: `${file}:${elements[index]?.line ?? raw.line}, record ${index + 1}`,
  }))
}

function elementsOf(file: string, text: string, line: number): RawValue[] {
  const elements: RawValue[] = []
  try {
    new JsonSplitter(file, 'array', line).push(text, elements)
  } catch {
    // What follows the list is the rest of the object, which has been parsed already.
  }
  return elements
}

/** Where the list of a key of the outermost object begins. */
function startOfList(text: string, key: string): number {
  const name = new RegExp(`${JSON.stringify(key).replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}\\s*:\\s*\\[`, 'g')
  const match = name.exec(text)
  return match ? match.index + match[0].length - 1 : 0
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
