/**
 * Instruction records in the shapes that published data sets use (METHODS 6.1), as one shape.
 *
 * A record's instruction and output come from the first pair of fields below that it has, or from the pair that
 * the configuration names.
 */
import { RankscopeError } from '@rankscope/protocol'
import { type PlacedValue, readJsonRecords } from './read-lines.ts'

export interface InstructionRecord {
  readonly instruction: string
  /** What the model should write. */
  readonly output: string
  /** The short answer that a scorer compares with, where the record has one of its own. */
  readonly answer: string | null
  /** Kind of record, for accuracies by kind. */
  readonly type: string | null
}

export interface FieldNames {
  readonly instruction: string
  readonly output: string
}

/** Recognised in this order: MetaMathQA and CodeFeedback-Python, Alpaca and commonsense, CodeFeedback, WizardLM, GSM8K. */
export const knownFields: readonly FieldNames[] = [
  { instruction: 'query', output: 'response' },
  { instruction: 'instruction', output: 'output' },
  { instruction: 'query', output: 'answer' },
  { instruction: 'human', output: 'assistant' },
  { instruction: 'question', output: 'answer' },
  { instruction: 'problem', output: 'solution' },
]

/**
 * Reads a data file. Throws DATA_NOT_FOUND, DATA_BROKEN (naming file and line) or DATA_EMPTY.
 * `fields`: names to use, or null to recognise them record by record.
 */
export function readRecords(file: string, fields: FieldNames | null, limit?: number): InstructionRecord[] {
  const records = readJsonRecords(file, limit).map((placed) => toRecord(placed, fields))
  if (records.length === 0) throw new RankscopeError('DATA_EMPTY', `${file}: the file holds no record`)
  return records
}

function toRecord({ value, place }: PlacedValue, fields: FieldNames | null): InstructionRecord {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw broken(place, 'is not an object')
  const source = value as Record<string, unknown>
  if (!fields && Array.isArray(source['conversations'])) return fromConversation(source, place)
  const names = fields ?? knownFields.find((pair) => pair.instruction in source && pair.output in source)
  if (!names) {
    const pairs = knownFields.map((pair) => `${pair.instruction}/${pair.output}`).join(', ')
    throw broken(
      place,
      `has fields ${Object.keys(source).join(', ')} and none of the pairs ${pairs}, conversations`,
    )
  }
  return {
    instruction: withInput(text(source, names.instruction, place), source, names),
    output: text(source, names.output, place),
    answer: names.output === 'answer' ? null : shortAnswer(source),
    type: typeof source['type'] === 'string' ? source['type'] : null,
  }
}

/** The first human turn and the answer to it, as WizardLM-Evol and ShareGPT store them. */
function fromConversation(source: Record<string, unknown>, place: string): InstructionRecord {
  const turns = source['conversations'] as { from?: unknown; value?: unknown }[]
  const [question, answer] = turns
  const fits = question?.from === 'human' && answer?.from === 'gpt'
  if (!fits || typeof question?.value !== 'string' || typeof answer?.value !== 'string')
    throw broken(place, 'has conversations that do not begin with a human turn and a gpt turn')
  return { instruction: question.value, output: answer.value, answer: null, type: null }
}

/** Alpaca's `input` is the material that the instruction is about; the paper's template has no place of its own for it. */
function withInput(instruction: string, source: Record<string, unknown>, names: FieldNames): string {
  const input = source['input']
  const belongs = names.instruction === 'instruction' && typeof input === 'string' && input !== ''
  return belongs ? `${instruction}\n${input}` : instruction
}

function text(source: Record<string, unknown>, field: string, place: string): string {
  const value = source[field]
  if (typeof value !== 'string') throw broken(place, `has no text in field ${field}`)
  return value
}

function shortAnswer(source: Record<string, unknown>): string | null {
  const answer = source['answer']
  return typeof answer === 'string' || typeof answer === 'number' ? String(answer) : null
}

function broken(place: string, what: string): RankscopeError {
  return new RankscopeError('DATA_BROKEN', `${place}: the record ${what}`, {
    hint: 'Name the instruction and output fields in the configuration (data.source.fields), or repair the file.',
  })
}
