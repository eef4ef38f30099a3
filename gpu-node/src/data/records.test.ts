import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { collect } from '../testing/collect.ts'
import { type FieldNames, readRecords } from './records.ts'
import { Tally } from './tally.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'records-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function write(name: string, content: string | Buffer): string {
  const file = join(folder, name)
  writeFileSync(file, content)
  return file
}

async function readOne(value: unknown, fields: FieldNames | null = null, tally = new Tally()) {
  const [record] = await collect(
    readRecords(write('one.json', JSON.stringify([value])), fields, undefined, tally),
  )
  return record
}

/** What became of one record that is not used. */
async function skipped(value: unknown): Promise<Record<string, number>> {
  const tally = new Tally()
  expect(await readOne(value, null, tally)).toBeUndefined()
  expect(tally.notes[0]).toMatch(/^1 of 1 records were skipped: .*one.json:1, record 1/)
  return tally.skipped
}

async function notes(value: unknown, fields: FieldNames | null = null): Promise<string> {
  const tally = new Tally()
  expect(await readOne(value, fields, tally)).toBeDefined()
  return tally.notes.join('\n')
}

const user = (content: string) => ({ role: 'user', content, trained: false })
const assistant = (content: string) => ({ role: 'assistant', content, trained: true })
const system = (content: string) => ({ role: 'system', content, trained: false })

describe('records', () => {
  it.each<[value: object, source: string]>([
    [{ query: 'q', response: 'r', type: 'GSM_Rephrased', original_question: 'o' }, 'MetaMathQA'],
    [{ instruction: 'q', output: 'r', input: '' }, 'Alpaca'],
    [{ query: 'q', answer: 'r', lang: 'python' }, 'CodeFeedback'],
    [{ human: 'q', assistant: 'r' }, 'WizardLM pairs'],
    [{ question: 'q', answer: 'r' }, 'GSM8K'],
    [{ instruction: 'q', response: 'r', context: '' }, 'Dolly'],
    [{ prompt: 'q', completion: 'r' }, 'completions'],
    [
      {
        conversations: [
          { from: 'human', value: 'q' },
          { from: 'gpt', value: 'r' },
        ],
      },
      'WizardLM conversations',
    ],
    [
      {
        messages: [
          { role: 'user', content: 'q' },
          { role: 'assistant', content: 'r' },
        ],
      },
      'messages',
    ],
  ])('the fields of %j are recognised (%s)', async (value) => {
    const record = await readOne(value)
    expect(record).toMatchObject({ instruction: 'q', output: 'r' })
    expect(record).not.toHaveProperty('turns')
  })

  it('named fields win over recognised ones', async () => {
    const value = { query: 'no', response: 'no', a: 'q', b: 'r' }
    expect(await readOne(value, { instruction: 'a', output: 'b' })).toMatchObject({
      instruction: 'q',
      output: 'r',
    })
  })

  it('named fields of input, system and history are taken, too', async () => {
    const value = { a: 'q', b: 'r', material: '3 1', rule: 'be brief', past: [['hi', 'hello']] }
    const fields = { instruction: 'a', output: 'b', input: 'material', system: 'rule', history: 'past' }
    expect((await readOne(value, fields))?.turns).toEqual([
      system('be brief'),
      user('hi'),
      assistant('hello'),
      user('q\n3 1'),
      assistant('r'),
    ])
  })

  it('a short answer beside the output is kept for the scorer, and a type for accuracies by kind', async () => {
    const value = { instruction: 'q', output: 'the correct answer is true', answer: 'true', type: 'boolq' }
    expect(await readOne(value)).toMatchObject({ answer: 'true', type: 'boolq' })
    expect(await readOne({ question: 'q', answer: 'r #### 4' })).toMatchObject({
      answer: null,
      output: 'r #### 4',
    })
  })

  it('Alpaca’s input follows the instruction on a line of its own, and so does Dolly’s context', async () => {
    const record = await readOne({ instruction: 'Sort.', input: '3 1', output: '1 3' })
    expect(record?.instruction).toBe('Sort.\n3 1')
    expect((await readOne({ instruction: 'Sort.', context: '3 1', response: '1 3' }))?.instruction).toBe(
      'Sort.\n3 1',
    )
  })

  it('the limit is kept, and what lies behind is not looked at', async () => {
    const file = write('a.jsonl', `${'{"question": "q", "answer": "a"}\n'.repeat(2)}{"question": 7}\n`)
    expect(await collect(readRecords(file, null, 2))).toHaveLength(2)
    await expect(collect(readRecords(file, null))).rejects.toThrow(/a.jsonl:3: /)
  })

  it.each<[string, unknown, RegExp]>([
    ['no known fields', { a: 1 }, /record 1: the record has fields a and none of the pairs/],
    ['an output that is a number', { question: 'q', answer: 7 }, /no text in field answer/],
    ['an output that is null', { question: 'q', answer: null }, /no text in field answer/],
    ['an output that is a list', { question: 'q', answer: ['a'] }, /no text in field answer/],
    ['an input that is no text', { instruction: 'q', input: 7, output: 'a' }, /no text in field input/],
    [
      'a system prompt that is no text',
      { query: 'q', response: 'a', system: ['x'] },
      /no text in field system/,
    ],
    ['a history that is no list', { query: 'q', response: 'a', history: 'x' }, /no list in field history/],
    ['a history of halves', { query: 'q', response: 'a', history: [['x']] }, /history\[0\] that is no pair/],
    ['a turn of nobody', { conversations: [{ from: 'alien', value: 'x' }] }, /conversations\[0\] of "alien"/],
    ['a turn without text', { messages: [{ role: 'user', content: null }] }, /no text in messages\[0\]/],
    [
      'a picture',
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: 'x' }] }] },
      /no text in messages\[0\]/,
    ],
    [
      'half a surrogate pair',
      { query: 'q', response: 'hi \ud83d there' },
      /half a surrogate pair in field response/,
    ],
    [
      'half a pair in a turn',
      { messages: [{ role: 'user', content: '\udc00' }] },
      /half a surrogate pair in field messages\[0\]/,
    ],
    ['a NUL', { query: 'q\0', response: 'a' }, /a NUL in field query/],
    ['no object', 7, /is not an object/],
    ['null', null, /is not an object/],
    ['a list', ['q', 'a'], /is not an object/],
  ])('a record with %s is refused with its place', async (_, value, message) => {
    await expect(readOne(value)).rejects.toThrow(
      expect.objectContaining({ code: 'DATA_BROKEN', message: expect.stringMatching(message) }),
    )
    await expect(readOne(value)).rejects.toThrow(/one.json:1, record 1: /)
  })

  it('a whole surrogate pair, spelt as escapes, is a character', async () => {
    const file = write('pair.jsonl', '{"query": "q", "response": "\\ud83d\\ude00"}')
    expect((await collect(readRecords(file, null)))[0]?.output).toBe('😀')
  })

  it('an empty answer is skipped and counted', async () => {
    expect(await skipped({ question: 'q', answer: '' })).toEqual({ 'an empty answer': 1 })
    expect(await skipped({ instruction: 'q', output: ' \n' })).toEqual({ 'an empty answer': 1 })
  })

  it('contents that are not used are told by name', async () => {
    expect(await notes({ query: 'q', response: 'r', context: 'c', images: [] })).toMatch(
      /^1 of 1 records: the field context is not used/,
    )
    const messages = [
      { role: 'user', content: 'u' },
      { role: 'assistant', content: 'a' },
    ]
    expect(await notes({ messages, prompt: 'u', completion: 'a' })).toMatch(
      /fields prompt and completion are not used/,
    )
    const named = { instruction: 'a', output: 'b' }
    expect(await notes({ a: 'q', b: 'r', conversations: [{}] }, named)).toMatch(
      /field conversations is not used/,
    )
    expect(await notes({ query: 'q\uFFFD', response: 'r' })).toMatch(/U\+FFFD/)
    expect(await notes({ query: 'q', response: 'r', type: 'x', idx: 3 })).toBe('')
  })
})

describe('conversations', () => {
  it('keep all their turns, whatever their roles are called', async () => {
    const told = [
      { from: 'system', value: 's' },
      { from: 'human', value: 'u1' },
      { from: 'gpt', value: 'a1' },
      { from: 'observation', value: 't' },
      { from: 'gpt', value: 'a2' },
    ]
    const expected = [
      system('s'),
      user('u1'),
      assistant('a1'),
      { role: 'tool', content: 't', trained: false },
      assistant('a2'),
    ]
    const record = await readOne({ conversations: told })
    expect(record).toMatchObject({ instruction: 'u1', output: 'a2', turns: expected })
    const messages = told.map(({ from, value }) => ({
      role: { human: 'user', gpt: 'assistant', observation: 'tool' }[from] ?? from,
      content: [{ type: 'text', text: value }],
    }))
    expect((await readOne({ messages }))?.turns).toEqual(expected)
  })

  it('take the system prompt that stands beside them, and tools', async () => {
    const conversations = [
      { from: 'human', value: 'u' },
      { from: 'gpt', value: 'a' },
    ]
    expect((await readOne({ system: 'be brief', conversations }))?.turns).toEqual([
      system('be brief'),
      user('u'),
      assistant('a'),
    ])
    const record = await readOne({ tools: '[{"name": "f"}]', conversations })
    expect(record?.tools).toEqual([{ name: 'f' }])
    await expect(readOne({ tools: 'f', conversations })).rejects.toThrow(/no list of tools/)
  })

  it('a history comes before the question, as pairs or as turns', async () => {
    const expected = [user('hi'), assistant('hello'), user('and now?'), assistant('yes')]
    const value = { instruction: 'and now?', input: '', output: 'yes' }
    expect((await readOne({ ...value, history: [['hi', 'hello']] }))?.turns).toEqual(expected)
    const turns = [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: 'hello' },
    ]
    expect((await readOne({ ...value, history: turns }))?.turns).toEqual(expected)
    expect(await readOne({ ...value, history: [] })).not.toHaveProperty('turns')
  })

  it('answers with calls of tools, and answers that the data says not to train on', async () => {
    const calls = [{ type: 'function', function: { name: 'f', arguments: '{}' } }]
    const messages = [
      { role: 'user', content: 'u' },
      { role: 'assistant', content: null, tool_calls: calls },
      { role: 'tool', name: 'f', content: 't' },
      { role: 'assistant', content: 'no', weight: 0 },
      { role: 'user', content: 'again' },
      { role: 'assistant', content: 'yes', weight: 1 },
    ]
    const turns = (await readOne({ messages }))?.turns
    expect(turns?.map(({ trained }) => trained)).toEqual([false, true, false, false, false, true])
    expect(turns?.[1]).toMatchObject({ content: '', toolCalls: calls })
    expect(turns?.[2]).toMatchObject({ name: 'f' })
    await expect(readOne({ messages: [{ role: 'assistant', content: 'x', weight: 0.5 }] })).rejects.toThrow(
      /weight/,
    )
  })

  it('with nothing to train on are skipped and counted', async () => {
    const turn = (role: string, content = 'x') => ({ role, content })
    const talk = (...messages: object[]) => skipped({ messages })
    expect(await talk()).toEqual({ 'a conversation without turns': 1 })
    expect(await talk(turn('user'))).toEqual({ 'a conversation without an answer': 1 })
    expect(await talk(turn('assistant'), turn('user'), turn('assistant'))).toEqual({
      'a conversation that begins with an answer': 1,
    })
    expect(await talk(turn('user'), turn('assistant', ''))).toEqual({ 'no answer to train on': 1 })
  })

  it('lose what follows the last answer, and that is told', async () => {
    const messages = ['user', 'assistant', 'user'].map((role) => ({ role, content: role }))
    const tally = new Tally()
    const record = await readOne({ messages }, null, tally)
    expect(record).toMatchObject({ instruction: 'user', output: 'assistant' })
    expect(tally.notes[0]).toMatch(/1 of 1 records: turns after the last answer were left out/)
  })
})
