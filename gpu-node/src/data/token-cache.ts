/**
 * Tokenised instruction records on disk, so that the next run on the same records, tokenizer, template and length
 * tokenises nothing. A file is named by the hash of all that decides its content.
 *
 * Layout: a header, then of each example its number of tokens, its record and its number of label spans, the spans of
 * labels that are trained on, and the ids of all examples one after another; labels follow from ids and spans.
 */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { RankscopeError } from '@rankscope/protocol'
import { z } from 'zod'
import { discard, readCacheFile, writeCacheFile } from '../disk-cache.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import {
  addRecord,
  ExampleCollector,
  type ExampleSet,
  ignoredLabel,
  type TokenExample,
  tokenizeRecords,
} from './examples.ts'
import type { InstructionRecord } from './records.ts'
import type { Template } from './templates.ts'

/** Raised when the same records would give other tokens. */
const version = 2
const family = '.tokens'
const limitBytes = 4 * 2 ** 30
/** Fewer are tokenised as soon as they are read. */
const fewestRecords = 1000

const headerSchema = z.strictObject({
  examples: z.int().min(1),
  spans: z.int().min(0),
  tokens: z.int().min(1),
  truncated: z.int().min(0),
  skipped: z.record(z.string(), z.int()),
})

export interface CachedExamples extends ExampleSet {
  /** What kept the cache from being written, or null. */
  readonly cacheProblem: string | null
}

export interface TokenizeOptions {
  readonly template: Template
  readonly tokenizer: TextTokenizer
  readonly maxLength: number
  /** Null: there is no cache. */
  readonly folder: string | null
  /** As many records are kept in memory between the two passes over a file; of more, the file is read twice. */
  readonly heldRecords?: number
}

/** `tokenizeRecords` of all that `read` gives, by way of the cache. `read` gives the same records each time. */
export async function tokenizeOnce(
  read: () => AsyncIterable<readonly InstructionRecord[]>,
  options: TokenizeOptions,
): Promise<CachedExamples> {
  const { template, tokenizer, maxLength, folder, heldRecords = 20_000 } = options
  if (folder === null) return { ...(await tokenizeAll(read(), options)).set, cacheProblem: null }
  const first = await survey(read(), heldRecords)
  if (first.records && first.count < fewestRecords)
    return { ...tokenizeRecords(first.records, template, maxLength), cacheProblem: null }
  const settings = JSON.stringify([
    version,
    tokenizer.fingerprint,
    template.fingerprint,
    maxLength,
    first.count,
  ])
  const name = createHash('sha256').update(settings).update(first.digest).digest('hex').slice(0, 32)
  const file = join(folder, `${name}${family}`)
  const found = fromFile(file)
  if (found) return { ...found, cacheProblem: null }
  if (first.records) {
    const set = tokenizeRecords(first.records, template, maxLength)
    return { ...set, cacheProblem: toFile(folder, file, set) }
  }
  const { set, digest } = await tokenizeAll(read(), options)
  if (digest !== first.digest)
    throw new RankscopeError('DATA_BROKEN', 'the data file was changed while it was read', {
      hint: 'Start the run again when the file is complete.',
    })
  return { ...set, cacheProblem: toFile(folder, file, set) }
}

/** How many records there are and what they say; the records themselves while they are few. */
async function survey(parts: AsyncIterable<readonly InstructionRecord[]>, heldRecords: number) {
  const hash = createHash('sha256')
  let held: InstructionRecord[] | null = []
  let count = 0
  for await (const records of parts) {
    count += records.length
    for (const record of records) hash.update(wordsOf(record))
    if (held && held.length + records.length > heldRecords) held = null
    held?.push(...records)
  }
  return { records: held, count, digest: hash.digest('hex') }
}

async function tokenizeAll(
  parts: AsyncIterable<readonly InstructionRecord[]>,
  { template, maxLength }: TokenizeOptions,
) {
  const hash = createHash('sha256')
  const collector = new ExampleCollector(maxLength)
  for await (const records of parts)
    for (const record of records) {
      hash.update(wordsOf(record))
      addRecord(collector, record, template, maxLength)
    }
  return { set: collector.set, digest: hash.digest('hex') }
}

/** All of a record that its tokens follow from. */
function wordsOf({ instruction, output, turns, tools }: InstructionRecord): string {
  return JSON.stringify(turns ? [turns, tools] : [instruction, output])
}

function fromFile(file: string): ExampleSet | null {
  const found = readCacheFile(file)
  if (!found) return null
  const parsed = headerSchema.safeParse(found.header)
  const fits = (header: z.infer<typeof headerSchema>) =>
    found.body.length === 4 * (3 * header.examples + 2 * header.spans + header.tokens)
  if (!parsed.success || !fits(parsed.data)) {
    discard(file)
    return null
  }
  const { examples: count, spans, tokens, truncated, skipped } = parsed.data
  const { buffer, byteOffset } = found.body
  let offset = byteOffset
  const next = (length: number) => {
    const array = new Int32Array(buffer, offset, length)
    offset += array.byteLength
    return array
  }
  const lengths = next(count)
  const origins = Array.from(next(count))
  const spanCounts = next(count)
  const bounds = next(2 * spans)
  const ids = next(tokens)
  const labels = new Int32Array(tokens).fill(ignoredLabel)
  let start = 0
  let span = 0
  const examples = Array.from(lengths, (length, index): TokenExample => {
    for (let left = spanCounts[index]!; left > 0; left--, span++) {
      const [from, to] = [start + bounds[2 * span]!, start + bounds[2 * span + 1]!]
      labels.set(ids.subarray(from, to), from)
    }
    const place = [start, start + length] as const
    start += length
    return { inputIds: ids.subarray(...place), labels: labels.subarray(...place) }
  })
  return { examples, origins, truncated, skipped }
}

function toFile(folder: string, file: string, set: ExampleSet): string | null {
  const { examples, origins, truncated, skipped } = set
  if (examples.length === 0) return null
  const lengths = Int32Array.from(examples, ({ inputIds }) => inputIds.length)
  const spans = examples.map(spansOf)
  const ids = new Int32Array(lengths.reduce((sum, length) => sum + length, 0))
  let start = 0
  for (const { inputIds } of examples) {
    ids.set(inputIds, start)
    start += inputIds.length
  }
  const bounds = Int32Array.from(spans.flat())
  const header = {
    examples: examples.length,
    spans: bounds.length / 2,
    tokens: ids.length,
    truncated,
    skipped,
  }
  const arrays = [
    lengths,
    Int32Array.from(origins),
    Int32Array.from(spans, (list) => list.length / 2),
    bounds,
    ids,
  ]
  return writeCacheFile({ folder, limitBytes }, file, header, arrays, family)
}

/** First and last position (exclusive) of each stretch that is trained on. */
function spansOf({ labels }: TokenExample): number[] {
  const bounds: number[] = []
  for (let at = 0; at <= labels.length; at++) {
    const trained = at < labels.length && labels[at] !== ignoredLabel
    if (trained !== (bounds.length % 2 === 1)) bounds.push(at)
  }
  return bounds
}
