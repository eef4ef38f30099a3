/**
 * Tokenised instruction records on disk, so that the next run on the same records, tokenizer, template and length
 * tokenises nothing. A file is named by the hash of all that decides its content.
 *
 * Layout: a header, then the number of tokens of each example, how many of its first labels are masked, and the ids of
 * all one after another; labels follow from ids and masks.
 */
import { join } from 'node:path'
import { z } from 'zod'
import { digestOf, discard, readCacheFile, writeCacheFile } from '../disk-cache.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { type ExampleSet, ignoredLabel, type TokenExample, tokenizeRecords } from './examples.ts'
import type { InstructionRecord } from './records.ts'
import type { Template } from './templates.ts'

/** Raised when the same records would give other tokens. */
const version = 1
const family = '.tokens'
const limitBytes = 4 * 2 ** 30
/** Fewer are tokenised as soon as they are read. */
const fewestRecords = 1000

const headerSchema = z.strictObject({
  examples: z.int().min(1),
  tokens: z.int().min(1),
  truncated: z.int().min(0),
  dropped: z.int().min(0),
})

export interface CachedExamples extends ExampleSet {
  /** What kept the cache from being written, or null. */
  readonly cacheProblem: string | null
}

/** `tokenizeRecords`, by way of the cache in `folder` (null: there is none). */
export function tokenizeOnce(
  records: readonly InstructionRecord[],
  template: Template,
  tokenizer: TextTokenizer,
  maxLength: number,
  folder: string | null,
): CachedExamples {
  const compute = () => tokenizeRecords(records, template, tokenizer, maxLength)
  if (folder === null || records.length < fewestRecords) return { ...compute(), cacheProblem: null }
  const file = join(folder, `${key(records, template, tokenizer, maxLength)}${family}`)
  const found = read(file)
  if (found) return { ...found, cacheProblem: null }
  const set = compute()
  return { ...set, cacheProblem: set.examples.length === 0 ? null : write(folder, file, set) }
}

function key(
  records: readonly InstructionRecord[],
  template: Template,
  tokenizer: TextTokenizer,
  maxLength: number,
): string {
  // The template by what it makes of a record, so that a changed one has another name.
  const wording = template.prompt('\0') + template.target('\0', tokenizer.endToken)
  const settings = JSON.stringify([version, tokenizer.fingerprint, wording, maxLength, records.length])
  const parts = function* () {
    yield settings
    for (const { instruction, output } of records) yield JSON.stringify([instruction, output])
  }
  return digestOf(parts()).slice(0, 32)
}

function read(file: string): ExampleSet | null {
  const found = readCacheFile(file)
  if (!found) return null
  const header = headerSchema.safeParse(found.header)
  if (!header.success || found.body.length !== 4 * (2 * header.data.examples + header.data.tokens)) {
    discard(file)
    return null
  }
  const { examples: count, tokens, truncated, dropped } = header.data
  const { buffer, byteOffset } = found.body
  const lengths = new Int32Array(buffer, byteOffset, count)
  const masked = new Int32Array(buffer, byteOffset + 4 * count, count)
  const ids = new Int32Array(buffer, byteOffset + 8 * count, tokens)
  const labels = ids.slice()
  let start = 0
  const examples = Array.from(lengths, (length, index): TokenExample => {
    const place = [start, start + length] as const
    labels.fill(ignoredLabel, start, start + masked[index]!)
    start += length
    return { inputIds: ids.subarray(...place), labels: labels.subarray(...place) }
  })
  return { examples, truncated, dropped }
}

function write(folder: string, file: string, { examples, truncated, dropped }: ExampleSet): string | null {
  const lengths = Int32Array.from(examples, ({ inputIds }) => inputIds.length)
  const masked = Int32Array.from(examples, ({ labels }) =>
    labels.findIndex((label) => label !== ignoredLabel),
  )
  const ids = new Int32Array(lengths.reduce((sum, length) => sum + length, 0))
  let start = 0
  for (const { inputIds } of examples) {
    ids.set(inputIds, start)
    start += inputIds.length
  }
  const header = { examples: examples.length, tokens: ids.length, truncated, dropped }
  return writeCacheFile({ folder, limitBytes }, file, header, [lengths, masked, ids], family)
}
