/** Label masks of conversations, held to cases made by hand: the trained text is written out. */
import { describe, expect, it } from 'vitest'
import { tokenizerConfig, trainTokenizer } from '../pretrain/bpe.ts'
import { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { ChatTemplate } from './chat-template.ts'
import { ignoredLabel, tokenizeRecords } from './examples.ts'
import type { InstructionRecord } from './records.ts'
import { createTemplate, type TemplateName } from './templates.ts'

const tokenizer = TextTokenizer.from(
  trainTokenizer(['hello dog, how are you'], 290),
  tokenizerConfig(512),
  290,
)
const end = tokenizer.endToken
/** What the tokenizer puts before every text that is not a chat template's. */
const begin = '<|start|>'

const turn = (
  role: 'system' | 'user' | 'assistant' | 'tool',
  content: string,
  trained = role === 'assistant',
) => ({
  role,
  content,
  trained,
})
const talk: InstructionRecord = {
  instruction: 'and now?',
  output: 'yes',
  answer: null,
  type: null,
  turns: [
    turn('system', 'be brief'),
    turn('user', 'hi'),
    turn('assistant', 'hello'),
    turn('tool', '42'),
    turn('assistant', 'no', false),
    turn('user', 'and now?'),
    turn('assistant', 'yes'),
  ],
}
const pair: InstructionRecord = { instruction: 'hi', output: 'hello', answer: null, type: null }

/** In the way of ChatML, as Qwen has it. */
const chatml =
  '{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% endif %}{{ eos_token }}\n{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}'
const chat = (source: unknown) => ChatTemplate.from(source, { bos_token: '<s>', eos_token: { content: end } })

function template(name: TemplateName, source: unknown = chatml) {
  return createTemplate(name, tokenizer, () => chat(source))
}

/** Each example's text, what is trained on between angle quotes; read back from tokens and labels. */
function marked(record: InstructionRecord, name: TemplateName, source?: unknown, maxLength = 512): string[] {
  const { examples } = tokenizeRecords([record], template(name, source), maxLength)
  return examples.map(({ inputIds, labels }) => {
    let text = ''
    let inside = false
    for (const [at, id] of inputIds.entries()) {
      const trained = labels[at] !== ignoredLabel
      if (trained) expect(labels[at]).toBe(id)
      if (trained !== inside) text += trained ? '«' : '»'
      inside = trained
      text += tokenizer.tokenText(id)
    }
    return text + (inside ? '»' : '')
  })
}

describe('label masks', () => {
  it('of a question and its answer are those of the released code', () => {
    expect(marked(pair, 'alpaca')).toEqual([
      `${begin}Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\nhi\n\n### Response:«hello\n${end}»`,
    ])
    expect(marked(pair, 'plain')).toEqual([`${begin}hi\n«hello${end}»`])
  })

  it('of a conversation cover every answer that is trained on, with its end, and nothing else', () => {
    expect(marked(talk, 'plain')).toEqual([
      `${begin}be brief\nhi\n«hello${end}»42\nno${end}and now?\n«yes${end}»`,
    ])
    expect(marked(talk, 'alpaca')).toEqual([
      `${begin}be brief\n\n### Instruction:\nhi\n\n### Response:«hello\n${end}»\n\n### Tool result:\n42\n\n### Response:no\n${end}\n\n### Instruction:\nand now?\n\n### Response:«yes\n${end}»`,
    ])
    expect(marked(talk, 'chat')).toEqual([
      `<s><|system|>be brief${end}\n<|user|>hi${end}\n<|assistant|>«hello${end}\n»<|tool|>42${end}\n<|assistant|>no${end}\n<|user|>and now?${end}\n<|assistant|>«yes${end}\n»`,
    ])
  })

  it('are cut with the tokens', () => {
    const [whole] = tokenizeRecords([talk], template('plain'), 512).examples
    const [cut] = tokenizeRecords([talk], template('plain'), 20).examples
    expect(cut).toEqual({ inputIds: whole!.inputIds.slice(0, 20), labels: whole!.labels.slice(0, 20) })
  })

  it('an answer that calls tools is trained on with its calls', () => {
    const calls = { ...turn('assistant', ''), toolCalls: [{ name: 'f' }] }
    const record = {
      ...pair,
      turns: [turn('user', 'hi'), calls, turn('tool', '42'), turn('assistant', 'yes')],
    }
    expect(marked(record, 'plain')).toEqual([`${begin}hi\n«{"name":"f"}${end}»42\n«yes${end}»`])
    expect(marked(record, 'chat')[0]).toContain(`<|assistant|>«[{"name": "f"}]${end}\n»<|tool|>42`)
  })

  it('where a template shows earlier answers otherwise, each answer is an example of its own', () => {
    // Only the last answer keeps what stands before the bar, as with templates that leave out what was thought.
    const forgetful =
      "{% for m in messages %}[{{ m.role }}]{% if m.role == 'assistant' and not loop.last %}{{ m.content.split('|')[1] }}{% else %}{{ m.content }}{% endif %}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
    const record = {
      ...pair,
      turns: [
        turn('user', 'hi'),
        turn('assistant', 'hm|hello'),
        turn('user', 'now?'),
        turn('assistant', 'ah|yes'),
      ],
    }
    expect(marked(record, 'chat', forgetful)).toEqual([
      `[user]hi${end}[assistant]«hm|hello${end}»`,
      `[user]hi${end}[assistant]hello${end}[user]now?${end}[assistant]«ah|yes${end}»`,
    ])
    const { origins } = tokenizeRecords([record, record], template('chat', forgetful), 512)
    expect(origins).toEqual([0, 0, 1, 1])
  })
})

describe('prompts to go on from', () => {
  it('are all that comes before the last answer', () => {
    for (const [name, record, source] of [
      ['alpaca', talk],
      ['plain', talk],
      ['chat', talk],
      ['alpaca', pair],
    ] as [TemplateName, InstructionRecord, unknown?][]) {
      const [text] = marked(record, name, source)
      const prompt = text!.slice(0, text!.lastIndexOf('«')).replace(/[«»]|^<\|start\|>/g, '')
      expect(template(name, source).prompt(record)).toBe(prompt)
    }
  })
})

describe('the chat template of a model', () => {
  it('is the one called default where there are several; none is an error that says what to do', () => {
    const several = [
      { name: 'tool_use', template: 'tools' },
      { name: 'default', template: 'x{{ messages[0].content }}' },
    ]
    expect(chat(several).render([turn('user', 'hi')], null, false)).toBe('xhi')
    for (const nothing of [undefined, null, [{ name: 'other', template: 'x' }]])
      expect(() => chat(nothing)).toThrow(/has no chat template/)
    expect(() => chat('{% if %}')).toThrow(expect.objectContaining({ code: 'TOKENIZER_BROKEN' }))
  })

  it('that refuses a conversation has it skipped, with its words', () => {
    const strict = "{% if messages[0].role == 'system' %}{{ raise_exception('no system turns') }}{% endif %}x"
    const { examples, skipped } = tokenizeRecords([talk], template('chat', strict), 512)
    expect(examples).toEqual([])
    expect(skipped).toEqual({ "the model's chat template refuses it: no system turns": 1 })
  })

  it('writes the same date every day', () => {
    expect(chat('{{ date_string }}').render([], null, false)).toBe('26 Jul 2024')
  })

  it('gets tools as the data has them', () => {
    const source = '{% if tools %}{{ tools[0].name }}{% endif %}{{ messages[0].content }}'
    expect(chat(source).render([turn('user', 'hi')], [{ name: 'f' }], false)).toBe('fhi')
    expect(chat(source).render([turn('user', 'hi')], null, false)).toBe('hi')
  })
})
