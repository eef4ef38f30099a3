/**
 * Pre-tokenised files: records of `input_ids` and `labels`, and an `attention_mask` where rows were padded. Padding is
 * taken off on either side, so that a row trains as if it had never been padded.
 */

import { RankscopeError } from '@rankscope/protocol'
import {
  ExampleCollector,
  type ExampleSet,
  ignoredLabel,
  requireExamples,
  type TokenExample,
} from './examples.ts'
import type { PlacedValue } from './read-json.ts'
import { readValues } from './read-values.ts'
import { Tally } from './tally.ts'

export interface TokenFileOptions {
  vocabularySize: number
  maxLength: number
  limit?: number | undefined
  /** Tells rows that begin with padding and no mask that says so; null where the tokenizer has no token of its own for it. */
  padTokenId?: number | null
}

/**
 * In file order. Throws DATA_BROKEN naming file and line for ids outside the vocabulary, labels and masks that do not fit;
 * DATA_EMPTY where no label is left.
 */
export async function readTokenFile(
  file: string,
  { vocabularySize, maxLength, limit, padTokenId = null }: TokenFileOptions,
  tally = new Tally(),
): Promise<ExampleSet> {
  const collector = new ExampleCollector(maxLength)
  for await (const values of readValues(file, limit)) {
    tally.read += values.length
    for (const placed of values) {
      const example = readRow(placed, vocabularySize)
      if (example === null) collector.skip('the attention mask leaves nothing')
      else {
        if (padTokenId !== null && !hasMask(placed) && beginsWithPadding(example, padTokenId))
          tally.remark(
            'begin with the padding token, and no attention_mask says that it is padding',
            placed.place,
          )
        collector.add([example])
      }
    }
  }
  return requireExamples(collector.set, file)
}

/** Null where the mask leaves nothing. */
function readRow({ value, place }: PlacedValue, vocabularySize: number): TokenExample | null {
  const row = (value ?? {}) as Record<string, unknown>
  const ids = integers(row['input_ids'])
  const labels = integers(row['labels'])
  if (ids === null || labels === null || ids.length === 0)
    throw broken(place, 'the line is not {"input_ids": [...], "labels": [...]} with whole numbers')
  if (ids.length !== labels.length)
    throw broken(place, `${ids.length} input_ids have ${labels.length} labels`)
  const isToken = (id: number) => id >= 0 && id < vocabularySize
  const outside =
    ids.find((id) => !isToken(id)) ?? labels.find((label) => label !== ignoredLabel && !isToken(label))
  if (outside !== undefined)
    throw broken(place, `token ${outside} is outside the vocabulary of ${vocabularySize}`)
  const [start, end] = attended(row['attention_mask'], ids.length, place)
  requireOwnPositions(row['position_ids'], ids.length, start, end, place)
  if ([...labels.slice(0, start), ...labels.slice(end)].some((label) => label !== ignoredLabel))
    throw broken(
      place,
      'a position that the attention_mask leaves out has a label to train on',
      'Set it to -100.',
    )
  if (start === end) return null
  return {
    inputIds: Int32Array.from(ids.slice(start, end)),
    labels: Int32Array.from(labels.slice(start, end)),
  }
}

/** First and last position (exclusive) with a 1. */
function attended(mask: unknown, length: number, place: string): [start: number, end: number] {
  if (mask === undefined || mask === null) return [0, length]
  const values = Array.isArray(mask) ? mask.map(Number) : null
  if (values === null || values.some((value) => value !== 0 && value !== 1))
    throw broken(place, 'the attention_mask is no list of 0 and 1')
  if (values.length !== length)
    throw broken(place, `${length} input_ids have an attention_mask of ${values.length}`)
  const start = values.indexOf(1)
  if (start === -1) return [0, 0]
  const end = values.lastIndexOf(1) + 1
  if (values.slice(start, end).includes(0))
    throw broken(
      place,
      'the attention_mask leaves out positions in the middle',
      'Padding stands before or after.',
    )
  return [start, end]
}

/** Positions count from the first token on; others would change what the model computes. */
function requireOwnPositions(
  positions: unknown,
  length: number,
  start: number,
  end: number,
  place: string,
): void {
  if (positions === undefined || positions === null) return
  const values = integers(positions)
  const counts =
    values?.length === length && values.slice(start, end).every((value, i) => value === i + values[start]!)
  if (!counts)
    throw broken(place, 'position_ids do not count on by one', 'Leave them out: each row is one sequence.')
}

function integers(list: unknown): number[] | null {
  return Array.isArray(list) && list.every((value) => Number.isSafeInteger(value)) ? list : null
}

function hasMask({ value }: PlacedValue): boolean {
  return Array.isArray((value as Record<string, unknown>)['attention_mask'])
}

/** Two at least: one may be the beginning of a text. */
function beginsWithPadding({ inputIds, labels }: TokenExample, padTokenId: number): boolean {
  return [0, 1].every((at) => inputIds[at] === padTokenId && labels[at] === ignoredLabel)
}

function broken(
  place: string,
  what: string,
  hint = 'The file must have been tokenised with the tokenizer of this model.',
): RankscopeError {
  return new RankscopeError('DATA_BROKEN', `${place}: ${what}`, { hint })
}
