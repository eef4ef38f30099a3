/**
 * Instruction records in the shapes that published data sets use (METHODS 6.1), as one shape.
 *
 * A record's instruction and output come from the first pair of fields below that it has, or from the fields that the
 * configuration names; a conversation is kept with all its turns.
 */
import { nameFault, nameLengths, RankscopeError } from '@rankscope/protocol'
import { readTurns, type Turn, trainable } from './conversation.ts'
import type { PlacedValue } from './read-json.ts'
import { readValues } from './read-values.ts'
import { brokenRecord, soundText, Tally } from './tally.ts'

export interface InstructionRecord {
  /** Of a conversation: what was said before its last answer. */
  readonly instruction: string
  /** What the model should write; of a conversation, the last answer. */
  readonly output: string
  /** The short answer that a scorer compares with, where the record has one of its own. */
  readonly answer: string | null
  /** Kind of record, for accuracies by kind. */
  readonly type: string | null
  /** All turns, where there are more than a question and its answer; the last is an answer. */
  readonly turns?: readonly Turn[]
  /** Tools that the conversation may call, as the data describes them. */
  readonly tools?: readonly unknown[]
}

export interface FieldNames {
  readonly instruction: string
  readonly output: string
  /** Material that the instruction is about; it follows on a line of its own. */
  readonly input?: string | null
  readonly system?: string | null
  /** Earlier turns: pairs of question and answer, or turns. */
  readonly history?: string | null
}

/**
 * Recognised in this order: MetaMathQA and CodeFeedback-Python, Alpaca and commonsense, CodeFeedback, WizardLM, GSM8K,
 * MATH; Dolly, OpenAI's completions, UltraChat-like pairs, OpenOrca, plain pairs.
 */
export const knownFields: readonly FieldNames[] = [
  { instruction: 'query', output: 'response' },
  { instruction: 'instruction', output: 'output', input: 'input' },
  { instruction: 'query', output: 'answer' },
  { instruction: 'human', output: 'assistant' },
  { instruction: 'question', output: 'answer' },
  { instruction: 'problem', output: 'solution' },
  { instruction: 'instruction', output: 'response', input: 'context' },
  { instruction: 'prompt', output: 'completion' },
  { instruction: 'prompt', output: 'response' },
  { instruction: 'question', output: 'response' },
  { instruction: 'input', output: 'output' },
]

/** Fields that hold what somebody meant to be trained on; when one is not used, that is said. */
const contents = new Set([
  ...['input', 'context', 'passage', 'document', 'system', 'system_prompt', 'history', 'tools', 'functions'],
  ...[
    'conversations',
    'messages',
    'conversation',
    'images',
    'image',
    'videos',
    'audios',
    'chosen',
    'rejected',
  ],
])

/**
 * Reads a data file in parts. `fields`: names to use, or null to recognise them record by record. What is skipped goes
 * into `tally`. Throws DATA_NOT_FOUND, DATA_BROKEN (naming file and line), or DATA_EMPTY where there is no record at all.
 */
export async function* readRecords(
  file: string,
  fields: FieldNames | null,
  limit?: number,
  tally = new Tally(),
): AsyncGenerator<InstructionRecord[]> {
  for await (const values of readValues(file, limit)) {
    tally.read += values.length
    yield values.flatMap((placed) => toRecord(placed, fields, tally) ?? [])
  }
  if (tally.read === 0) throw new RankscopeError('DATA_EMPTY', `${file}: the file holds no record`)
}

/** Null where the record is skipped. */
function toRecord(
  { value, place }: PlacedValue,
  fields: FieldNames | null,
  tally: Tally,
): InstructionRecord | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw brokenRecord(place, 'is not an object')
  const source = value as Record<string, unknown>
  const list = fields ? undefined : ['conversations', 'messages'].find((name) => Array.isArray(source[name]))
  if (list !== undefined) return fromConversation(source, list, place, tally)
  const names = fields ?? knownFields.find((pair) => pair.instruction in source && pair.output in source)
  if (!names) {
    const pairs = knownFields.map((pair) => `${pair.instruction}/${pair.output}`).join(', ')
    throw brokenRecord(
      place,
      `has fields ${Object.keys(source).join(', ')} and none of the pairs ${pairs}, conversations, messages`,
    )
  }
  return fromPair(source, names, place, tally)
}

function fromPair(
  source: Record<string, unknown>,
  names: FieldNames,
  place: string,
  tally: Tally,
): InstructionRecord | null {
  const used = new Set([names.instruction, names.output])
  const optional = (field: string | null | undefined) => {
    if (field === null || field === undefined) return ''
    used.add(field)
    const value = source[field] ?? ''
    if (typeof value !== 'string') throw brokenRecord(place, `has no text in field ${field}`)
    return soundText(value, field, place, tally)
  }
  const asked = text(source, names.instruction, place, tally)
  const output = text(source, names.output, place, tally)
  // Alpaca's own field belongs to its own pair, whoever names it.
  const input = optional(names.input ?? (names.instruction === 'instruction' ? 'input' : null))
  const system = systemOf(source, names, optional)
  const history = names.history ?? 'history'
  used.add(history)
  const before = historyOf(source[history], history, place, tally)
  unusedContents(source, used, place, tally)
  if (output.trim() === '') return tally.skip('an empty answer', place)
  const instruction = input === '' ? asked : `${asked}\n${input}`
  const common = {
    instruction,
    output,
    answer: names.output === 'answer' ? null : shortAnswer(source, place, tally),
    type: kindOf(source),
  }
  if (system === '' && before.length === 0) return common
  const turns = trainable(
    [
      ...(system === '' ? [] : [turn('system', system)]),
      ...before,
      turn('user', instruction),
      turn('assistant', output),
    ],
    place,
    tally,
  )
  return turns && { ...common, turns }
}

function fromConversation(
  source: Record<string, unknown>,
  list: string,
  place: string,
  tally: Tally,
): InstructionRecord | null {
  const used = new Set([list, 'tools'])
  const optional = (field: string) => {
    used.add(field)
    const value = source[field] ?? ''
    if (typeof value !== 'string') throw brokenRecord(place, `has no text in field ${field}`)
    return soundText(value, field, place, tally)
  }
  const told = readTurns(source[list] as unknown[], list, place, tally)
  const system = systemOf(source, null, optional)
  const tools = toolsOf(source['tools'], place)
  unusedContents(source, used, place, tally)
  // A pair beside the conversation says the same or something else; either way it is not read.
  const pair = knownFields.find(({ instruction, output }) => instruction in source && output in source)
  if (pair) tally.remark(`the fields ${pair.instruction} and ${pair.output} are not used`, place)
  const turns = trainable(system === '' ? told : [turn('system', system), ...told], place, tally)
  if (!turns) return null
  const [question, answer] = turns.slice(-2) as [Turn, Turn]
  const common = {
    instruction: turns.findLast(({ role }) => role === 'user')?.content ?? question.content,
    output: answer.content,
    answer: shortAnswer(source, place, tally),
    type: kindOf(source),
  }
  const isPair = turns.length === 2 && question.role === 'user' && !answer.toolCalls && !tools
  return isPair ? common : { ...common, turns, ...(tools && { tools }) }
}

function systemOf(
  source: Record<string, unknown>,
  names: FieldNames | null,
  optional: (field: string) => string,
): string {
  if (names?.system) return optional(names.system)
  const field = ['system', 'system_prompt'].find((name) => name in source)
  return field === undefined ? '' : optional(field)
}

/** Alpaca's history: pairs of question and answer; or turns. */
function historyOf(history: unknown, field: string, place: string, tally: Tally): Turn[] {
  if (history === undefined || history === null || history === '') return []
  if (!Array.isArray(history)) throw brokenRecord(place, `has no list in field ${field}`)
  if (!history.some(Array.isArray)) return readTurns(history, field, place, tally)
  return history.flatMap((pair: unknown, index) => {
    const where = `${field}[${index}]`
    if (!Array.isArray(pair) || pair.length !== 2 || !pair.every((part) => typeof part === 'string'))
      throw brokenRecord(place, `has something in ${where} that is no pair of question and answer`)
    const [question, answer] = pair as [string, string]
    return [
      turn('user', soundText(question, where, place, tally)),
      turn('assistant', soundText(answer, where, place, tally)),
    ]
  })
}

/** A list, or a list spelt as JSON, as data sets in columns have it. */
function toolsOf(tools: unknown, place: string): readonly unknown[] | null {
  if (tools === undefined || tools === null || tools === '') return null
  let list = tools
  try {
    if (typeof tools === 'string') list = JSON.parse(tools)
  } catch {}
  if (!Array.isArray(list)) throw brokenRecord(place, 'has no list of tools in field tools')
  return list.length === 0 ? null : list
}

function turn(role: Turn['role'], content: string): Turn {
  return { role, content, trained: role === 'assistant' }
}

function unusedContents(
  source: Record<string, unknown>,
  used: ReadonlySet<string>,
  place: string,
  tally: Tally,
): void {
  for (const [field, value] of Object.entries(source))
    if (contents.has(field) && !used.has(field) && !isEmpty(value))
      tally.remark(`the field ${field} is not used`, place)
}

function isEmpty(value: unknown): boolean {
  return value === null || value === '' || (Array.isArray(value) && value.length === 0)
}

function text(source: Record<string, unknown>, field: string, place: string, tally: Tally): string {
  const value = source[field]
  if (typeof value !== 'string') throw brokenRecord(place, `has no text in field ${field}`)
  return soundText(value, field, place, tally)
}

/** A name for a table of accuracies; what cannot be one is none. */
function kindOf({ type }: Record<string, unknown>): string | null {
  return typeof type === 'string' && type.length <= nameLengths.key && nameFault(type) === null ? type : null
}

function shortAnswer(source: Record<string, unknown>, place: string, tally: Tally): string | null {
  const answer = source['answer']
  if (typeof answer === 'number') return String(answer)
  return typeof answer === 'string' ? soundText(answer, 'answer', place, tally) : null
}
