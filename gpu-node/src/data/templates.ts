/** Prompt templates: how a record becomes the text that the model sees, and which parts of it the model should write. */
import type { RunConfig } from '@rankscope/protocol'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import type { ChatTemplate } from './chat-template.ts'
import type { Turn } from './conversation.ts'
import type { InstructionRecord } from './records.ts'

export type TemplateName = RunConfig['data']['template']

/** A stretch of a record's text. */
export interface Piece {
  readonly text: string
  /** Written by the model: its tokens are trained on. */
  readonly trained: boolean
}

export interface Template {
  /** Text that generation goes on from: all before the last answer. */
  prompt(record: InstructionRecord): string
  /** The text in pieces, one list per example: one, or one per answer where the answers do not fit into one text. */
  render(record: InstructionRecord): readonly (readonly Piece[])[]
  /** Token ids of a text that this template made. */
  encode(text: string): number[]
  /** Names all that decides the text. */
  readonly fingerprint: string
}

/** How the turns of a conversation are spelt. */
interface Wording {
  /** What stands before the first turn; null where the conversation brings a system turn of its own. */
  opening: string
  system(content: string): string
  user(content: string): string
  tool(content: string): string
  /** What an answer begins with; not trained on. */
  answer: string
  /** What ends an answer before the end token. */
  close: string
}

const wordings: Record<Exclude<TemplateName, 'chat'>, Wording> = {
  /**
   * The template of the HD-PiSSA and PiSSA code (METHODS 6.1): no space after "Response:", newline before the end. A
   * system turn takes the place of the opening sentence; further turns repeat the headings.
   */
  alpaca: {
    opening:
      'Below is an instruction that describes a task. Write a response that appropriately completes the request.',
    system: (content) => content,
    user: (content) => `\n\n### Instruction:\n${content}`,
    tool: (content) => `\n\n### Tool result:\n${content}`,
    answer: '\n\n### Response:',
    close: '\n',
  },
  plain: {
    opening: '',
    system: (content) => `${content}\n`,
    user: (content) => `${content}\n`,
    tool: (content) => `${content}\n`,
    answer: '',
    close: '',
  },
}

/** `chat` is asked for where the model's own template is wanted; it throws where there is none. */
export function createTemplate(
  name: TemplateName,
  tokenizer: TextTokenizer,
  chat: () => ChatTemplate,
): Template {
  return name === 'chat' ? ownTemplate(tokenizer, chat()) : wordedTemplate(wordings[name], tokenizer)
}

function wordedTemplate(wording: Wording, tokenizer: TextTokenizer): Template {
  const pieces = (record: InstructionRecord) => worded(wording, turnsOf(record), tokenizer.endToken)
  return {
    prompt: (record) => joined(pieces(record).slice(0, -1)),
    render: (record) => [pieces(record)],
    encode: (text) => tokenizer.encode(text),
    fingerprint: JSON.stringify(
      worded(
        wording,
        (['system', 'user', 'tool', 'assistant'] as const).map((role) => ({
          role,
          content: '\0',
          trained: role === 'assistant',
        })),
        tokenizer.endToken,
      ),
    ),
  }
}

/** Pieces of a conversation that ends with an answer; neighbours that are not trained on are joined. */
function worded(wording: Wording, turns: readonly Turn[], endToken: string): Piece[] {
  const pieces: Piece[] = []
  let before = turns[0]?.role === 'system' ? '' : wording.opening
  turns.forEach((turn, index) => {
    if (turn.role !== 'assistant') {
      before += wording[turn.role](turn.content)
      return
    }
    const answer = `${spelt(turn)}${wording.close}${endToken}`
    before += wording.answer
    // The last answer is a piece of its own, trained on or not: what stands before it is the prompt.
    if (turn.trained || index === turns.length - 1) {
      pieces.push({ text: before, trained: false }, { text: answer, trained: turn.trained })
      before = ''
    } else before += answer
  })
  return pieces
}

/** An answer that calls tools, for templates that have no words of their own for it: the calls as JSON. */
function spelt({ content, toolCalls }: Turn): string {
  if (!toolCalls) return content
  const calls = toolCalls.map((call) => JSON.stringify(call)).join('\n')
  return content === '' ? calls : `${content}\n${calls}`
}

function ownTemplate(tokenizer: TextTokenizer, chat: ChatTemplate): Template {
  return {
    prompt: (record) => chat.render(turnsOf(record).slice(0, -1), record.tools ?? null, true),
    render: (record) => chat.pieces(turnsOf(record), record.tools ?? null),
    // The template spells the begin token where the model wants one.
    encode: (text) => tokenizer.encode(text, { begin: false }),
    fingerprint: chat.fingerprint,
  }
}

export function turnsOf(record: InstructionRecord): readonly Turn[] {
  return (
    record.turns ?? [
      { role: 'user', content: record.instruction, trained: false },
      { role: 'assistant', content: record.output, trained: true },
    ]
  )
}

function joined(pieces: readonly Piece[]): string {
  return pieces.map(({ text }) => text).join('')
}
