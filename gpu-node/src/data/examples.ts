/**
 * Token examples: what training consumes. Made from instruction records and a template, read from pre-tokenised
 * JSONL, or packed from plain text.
 *
 * A label stands at the position of its own token (as in Hugging Face's data); it is the target of the position
 * before. Label -100 is not trained on.
 */
import { RankscopeError } from '@rankscope/protocol'
import { z } from 'zod'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { readDataFile, readJsonRecords } from './read-lines.ts'
import type { InstructionRecord } from './records.ts'
import type { Template } from './templates.ts'

export const ignoredLabel = -100

export interface TokenExample {
  readonly inputIds: Int32Array
  /** Same length as inputIds. */
  readonly labels: Int32Array
}

export interface ExampleSet {
  readonly examples: TokenExample[]
  /** Examples that were cut to the maximum length. */
  readonly truncated: number
  /** Examples left out because no label was left, e.g. where the prompt alone fills the maximum length. */
  readonly dropped: number
}

/**
 * Prompt and target as one text, tokenised together; the first len(tokens(prompt)) labels are masked, and the
 * whole is cut to `maxLength`, which may cost the end token (METHODS §1 row 26).
 */
export function tokenizeRecords(
  records: readonly InstructionRecord[],
  template: Template,
  tokenizer: TextTokenizer,
  maxLength: number,
): ExampleSet {
  return collect(
    records.map((record) => {
      const prompt = template.prompt(record.instruction)
      const ids = tokenizer.encode(prompt + template.target(record.output, tokenizer.endToken))
      const masked = tokenizer.encode(prompt).length
      const inputIds = Int32Array.from(ids)
      return { inputIds, labels: inputIds.map((id, position) => (position < masked ? ignoredLabel : id)) }
    }),
    maxLength,
  )
}

const tokenLineSchema = z.object({ input_ids: z.array(z.int().min(0)).min(1), labels: z.array(z.int()) })

/**
 * Pre-tokenised JSONL `{"input_ids": [...], "labels": [...]}` in file order. Throws DATA_BROKEN naming file and line
 * for ids outside the vocabulary or labels that do not match.
 */
export function readTokenFile(
  file: string,
  vocabularySize: number,
  maxLength: number,
  limit?: number,
): ExampleSet {
  const examples = readJsonRecords(file, limit).map(({ value, place }): TokenExample => {
    const parsed = tokenLineSchema.safeParse(value)
    if (!parsed.success)
      throw broken(place, 'the line is not {"input_ids": [...], "labels": [...]} with whole numbers')
    const { input_ids: ids, labels } = parsed.data
    if (ids.length !== labels.length)
      throw broken(place, `${ids.length} input_ids have ${labels.length} labels`)
    const outside = [...ids, ...labels.filter((label) => label !== ignoredLabel)].find(
      (id) => id < 0 || id >= vocabularySize,
    )
    if (outside !== undefined)
      throw broken(place, `token ${outside} is outside the vocabulary of ${vocabularySize}`)
    return { inputIds: Int32Array.from(ids), labels: Int32Array.from(labels) }
  })
  return requireExamples(collect(examples, maxLength), file)
}

/** Plain text, documents separated by blank lines, packed. Throws DATA_NOT_FOUND or DATA_EMPTY. */
export function readTextFile(file: string, tokenizer: TextTokenizer, blockLength: number): ExampleSet {
  const documents = readDataFile(file)
    .toString('utf8')
    .split(/\r?\n\s*\r?\n/)
    .map((document) => document.trim())
    .filter((document) => document !== '')
  const examples = packTexts(documents, tokenizer, blockLength)
  return requireExamples({ examples, truncated: 0, dropped: 0 }, file)
}

/**
 * Language-model examples of exactly `blockLength` tokens, every label present: the documents one after another,
 * each closed by the end token, cut without padding. What does not fill a last block is left out, unless it is
 * all there is. No more documents are taken than `maxExamples` blocks need.
 */
export function packTexts(
  documents: Iterable<string>,
  tokenizer: TextTokenizer,
  blockLength: number,
  maxExamples = Number.POSITIVE_INFINITY,
): TokenExample[] {
  const stream: number[] = []
  const examples: TokenExample[] = []
  const cut = (length: number) => {
    const inputIds = Int32Array.from(stream.splice(0, length))
    examples.push({ inputIds, labels: inputIds })
  }
  for (const document of documents) {
    for (const id of tokenizer.encode(document)) stream.push(id)
    stream.push(tokenizer.endTokenId)
    while (stream.length >= blockLength && examples.length < maxExamples) cut(blockLength)
    if (examples.length >= maxExamples) return examples
  }
  if (examples.length === 0 && stream.length > 1) cut(stream.length)
  return examples
}

/** Throws DATA_EMPTY where nothing is left to train on. `subject` names the source. */
export function requireExamples(set: ExampleSet, subject: string): ExampleSet {
  if (set.examples.length > 0) return set
  throw new RankscopeError(
    'DATA_EMPTY',
    `${subject}: no example has a label to train on (${set.dropped} were dropped)`,
    {
      hint: 'Raise the maximum length: a prompt that fills it leaves no room for the answer.',
    },
  )
}

/** Cuts to `maxLength` and leaves out what has no target: the first token is never predicted. */
function collect(examples: readonly TokenExample[], maxLength: number): ExampleSet {
  const cut = examples.map(({ inputIds, labels }) => ({
    inputIds: inputIds.slice(0, maxLength),
    labels: labels.slice(0, maxLength),
  }))
  const kept = cut.filter(({ labels }) => labels.subarray(1).some((label) => label !== ignoredLabel))
  const truncated = examples.filter(({ inputIds }) => inputIds.length > maxLength).length
  return { examples: kept, truncated, dropped: examples.length - kept.length }
}

function broken(place: string, what: string): RankscopeError {
  return new RankscopeError('DATA_BROKEN', `${place}: ${what}`, {
    hint: 'The file must have been tokenised with the tokenizer of this model.',
  })
}
