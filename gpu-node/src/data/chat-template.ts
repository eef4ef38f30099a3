/**
 * The chat template that a model brings along (Jinja, in `chat_template.jinja` or `tokenizer_config.json`): the text of a
 * conversation as the model saw conversations before, with what of it are answers.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Template as JinjaTemplate } from '@huggingface/jinja'
import { RankscopeError } from '@rankscope/protocol'
import { readJsonFile } from '../model/json-file.ts'
import { requireRegularFile } from '../model/regular-file.ts'
import type { Turn } from './conversation.ts'
import type { Piece } from './templates.ts'

/** Some templates write today's date: a run that goes on tomorrow must see the same text. This is the date they fall back on. */
const templateDate = '26 Jul 2024'

/** What the template says against a conversation, e.g. that turns must alternate. */
export class ChatTemplateRefusal extends Error {}

export class ChatTemplate {
  readonly #template: JinjaTemplate
  readonly #tokens: Readonly<Record<string, string>>
  readonly fingerprint: string

  private constructor(source: string, tokens: Readonly<Record<string, string>>) {
    this.#template = new JinjaTemplate(source)
    this.#tokens = tokens
    this.fingerprint = JSON.stringify([source, tokens])
  }

  /** Throws TOKENIZER_BROKEN where the model has none or it cannot be read. */
  static load(folder: string): ChatTemplate {
    const configFile = join(folder, 'tokenizer_config.json')
    const config = readJsonFile(configFile, 'TOKENIZER_BROKEN') as Record<string, unknown>
    const own = join(folder, 'chat_template.jinja')
    requireRegularFile(own, 'TOKENIZER_BROKEN')
    return existsSync(own)
      ? ChatTemplate.from(readFileSync(own, 'utf8'), config, own)
      : ChatTemplate.from(config['chat_template'], config, configFile)
  }

  /** From the contents of tokenizer_config.json and the template, which may be one of several by name. */
  static from(
    template: unknown,
    config: Record<string, unknown>,
    file = 'tokenizer_config.json',
  ): ChatTemplate {
    const named = Array.isArray(template)
      ? (template as { name?: unknown; template?: unknown }[]).find(({ name }) => name === 'default')
          ?.template
      : template
    if (typeof named !== 'string')
      throw new RankscopeError('TOKENIZER_BROKEN', `${file}: the model has no chat template`, {
        hint: 'Choose the template alpaca or plain; base models have none of their own.',
      })
    const tokens = Object.entries(config).flatMap(([key, token]) => {
      const text = (token as { content?: unknown } | null)?.content ?? token
      return key.endsWith('_token') && typeof text === 'string' ? [[key, text]] : []
    })
    try {
      return new ChatTemplate(named, Object.fromEntries(tokens) as Record<string, string>)
    } catch (cause) {
      throw new RankscopeError('TOKENIZER_BROKEN', `${file}: chat template: ${(cause as Error).message}`, {
        cause,
      })
    }
  }

  /** The text; `ask`: with the beginning of an answer that is to be written. Throws ChatTemplateRefusal. */
  render(turns: readonly Turn[], tools: readonly unknown[] | null, ask: boolean): string {
    try {
      return this.#template.render({
        ...this.#tokens,
        messages: turns.map(message),
        tools,
        add_generation_prompt: ask,
        date_string: templateDate,
      })
    } catch (cause) {
      throw new ChatTemplateRefusal((cause as Error).message, { cause })
    }
  }

  /**
   * The conversation in one text where every beginning of it is the beginning of its text; else one text per answer, as
   * the model would see it when it gives that answer (some templates leave out of earlier answers what was thought).
   */
  pieces(turns: readonly Turn[], tools: readonly unknown[] | null): readonly (readonly Piece[])[] {
    const answers = turns.flatMap((turn, index) => (turn.trained ? [index] : []))
    const whole = this.render(turns, tools, false)
    const spans = answers.map((index) => {
      const start = this.render(turns.slice(0, index), tools, true)
      const through = this.render(turns.slice(0, index + 1), tools, false)
      return { start, through }
    })
    if (spans.every(({ start, through }) => whole.startsWith(through) && through.startsWith(start))) {
      const pieces: Piece[] = []
      let at = 0
      for (const { start, through } of spans) {
        pieces.push({ text: whole.slice(at, start.length), trained: false })
        pieces.push({ text: whole.slice(start.length, through.length), trained: true })
        at = through.length
      }
      return [[...pieces, { text: whole.slice(at), trained: false }]]
    }
    return spans.map(({ start, through }) => {
      // What both have in common was there before the answer: some templates begin an answer with more than they ask for.
      const common = commonStart(start, through)
      return [
        { text: through.slice(0, common), trained: false },
        { text: through.slice(common), trained: true },
      ]
    })
  }
}

function message({ role, content, toolCalls, name }: Turn): Record<string, unknown> {
  return { role, content, ...(toolCalls && { tool_calls: toolCalls }), ...(name !== undefined && { name }) }
}

function commonStart(a: string, b: string): number {
  let length = 0
  while (length < a.length && a[length] === b[length]) length++
  return length
}
