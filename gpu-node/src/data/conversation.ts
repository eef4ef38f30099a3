/**
 * Conversations as published data sets store them: ShareGPT (`conversations` of {from, value}) and OpenAI or Transformers
 * (`messages` of {role, content}), with system and tool turns. Every answer is trained on, whichever turn it is.
 */
import { brokenRecord, soundText, type Tally } from './tally.ts'

export interface Turn {
  readonly role: 'system' | 'user' | 'assistant' | 'tool'
  readonly content: string
  /** Of answers: whether the model is trained on it; `"weight": 0` in the data says no. */
  readonly trained: boolean
  /** Calls of tools in an answer, as the data has them; for chat templates, which spell them. */
  readonly toolCalls?: readonly unknown[]
  /** Of a tool's turn: its name. */
  readonly name?: string
}

const roles: Readonly<Record<string, Turn['role']>> = {
  system: 'system',
  developer: 'system',
  user: 'user',
  human: 'user',
  prompter: 'user',
  assistant: 'assistant',
  gpt: 'assistant',
  chatgpt: 'assistant',
  bing: 'assistant',
  bard: 'assistant',
  model: 'assistant',
  bot: 'assistant',
  function_call: 'assistant',
  tool: 'tool',
  function: 'tool',
  observation: 'tool',
  function_response: 'tool',
}

/** The turns of a list. Throws DATA_BROKEN for what is no turn; `field` names the list. */
export function readTurns(list: readonly unknown[], field: string, place: string, tally: Tally): Turn[] {
  return list.map((entry, index) => {
    const where = `${field}[${index}]`
    if (typeof entry !== 'object' || entry === null || Array.isArray(entry))
      throw brokenRecord(place, `has something in ${where} that is no turn`)
    const turn = entry as Record<string, unknown>
    const role = roles[String(turn['role'] ?? turn['from'])]
    if (role === undefined)
      throw brokenRecord(
        place,
        `has a turn in ${where} of ${JSON.stringify(turn['role'] ?? turn['from'])}`,
        `Turns are of ${Object.keys(roles).join(', ')}.`,
      )
    const toolCalls = turn['tool_calls']
    const calls = Array.isArray(toolCalls) && toolCalls.length > 0 ? toolCalls : undefined
    const content = textOf(turn['content'] ?? turn['value'] ?? turn['text'] ?? (calls ? '' : undefined))
    if (content === null) throw brokenRecord(place, `has no text in ${where}`)
    return {
      role,
      content: soundText(content, where, place, tally),
      trained: role === 'assistant' && isTrained(turn, where, place),
      ...(calls && { toolCalls: calls }),
      ...(role === 'tool' && typeof turn['name'] === 'string' && { name: turn['name'] }),
    }
  })
}

/** Text, or a list of parts that are all text. */
function textOf(content: unknown): string | null {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return null
  const parts = content.map((part: unknown) => {
    if (typeof part === 'string') return part
    const { type, text } = (part ?? {}) as { type?: unknown; text?: unknown }
    return (type === undefined || type === 'text') && typeof text === 'string' ? text : null
  })
  return parts.includes(null) ? null : parts.join('')
}

function isTrained(turn: Record<string, unknown>, where: string, place: string): boolean {
  const weight = turn['weight'] ?? 1
  if (weight !== 0 && weight !== 1)
    throw brokenRecord(
      place,
      `has a weight in ${where} that is neither 0 nor 1`,
      'An answer is trained on or not.',
    )
  return weight === 1
}

/**
 * What of a conversation can be trained on: from its beginning to its last answer. Null, and counted, where there is
 * nothing.
 */
export function trainable(turns: readonly Turn[], place: string, tally: Tally): readonly Turn[] | null {
  const first = turns.find(({ role }) => role !== 'system')
  if (first === undefined) return tally.skip('a conversation without turns', place)
  if (first.role === 'assistant') return tally.skip('a conversation that begins with an answer', place)
  const end = turns.findLastIndex(({ role }) => role === 'assistant') + 1
  if (end === 0) return tally.skip('a conversation without an answer', place)
  if (end < turns.length) tally.remark('turns after the last answer were left out', place)
  const used = turns.slice(0, end).map((turn) => {
    if (turn.role !== 'assistant' || turn.content.trim() !== '' || turn.toolCalls) return turn
    if (turn.trained) tally.remark('have an empty answer, which is not trained on', place)
    return { ...turn, trained: false }
  })
  if (!used.some(({ trained }) => trained)) return tally.skip('no answer to train on', place)
  return used
}
