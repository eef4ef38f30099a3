import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sharedMissing, sharedPath } from '../testing/shared-material.ts'
import { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { packTexts, readTextFile, readTokenFile, requireExamples, tokenizeRecords } from './examples.ts'
import { type FieldNames, readRecords } from './records.ts'
import { templates } from './templates.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rankscope-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function write(name: string, content: string | Buffer): string {
  const file = join(folder, name)
  writeFileSync(file, content)
  return file
}

const oneRecord = (value: object, fields: FieldNames | null = null) =>
  readRecords(write('one.json', JSON.stringify([value])), fields)[0]

describe('records', () => {
  it.each<[value: object, source: string]>([
    [{ query: 'q', response: 'r', type: 'GSM_Rephrased', original_question: 'o' }, 'MetaMathQA'],
    [{ instruction: 'q', output: 'r', input: '' }, 'Alpaca'],
    [{ query: 'q', answer: 'r', lang: 'python' }, 'CodeFeedback'],
    [{ human: 'q', assistant: 'r' }, 'WizardLM pairs'],
    [
      {
        conversations: [
          { from: 'human', value: 'q' },
          { from: 'gpt', value: 'r' },
        ],
      },
      'WizardLM conversations',
    ],
    [{ question: 'q', answer: 'r' }, 'GSM8K'],
  ])('the fields of %j are recognised (%s)', (value) => {
    expect(oneRecord(value)).toMatchObject({ instruction: 'q', output: 'r' })
  })

  it('named fields win over recognised ones', () => {
    const value = { query: 'no', response: 'no', a: 'q', b: 'r' }
    expect(oneRecord(value, { instruction: 'a', output: 'b' })).toMatchObject({
      instruction: 'q',
      output: 'r',
    })
  })

  it('a short answer beside the output is kept for the scorer, and a type for accuracies by kind', () => {
    const value = { instruction: 'q', output: 'the correct answer is true', answer: 'true', type: 'boolq' }
    expect(oneRecord(value)).toMatchObject({ answer: 'true', type: 'boolq' })
    expect(oneRecord({ question: 'q', answer: 'r #### 4' })).toMatchObject({
      answer: null,
      output: 'r #### 4',
    })
  })

  it('Alpaca’s input follows the instruction on a line of its own', () => {
    expect(oneRecord({ instruction: 'Sort.', input: '3 1', output: '1 3' })?.instruction).toBe('Sort.\n3 1')
  })

  it('JSON arrays, JSON lines and gzip give the same records; blank lines hold none; the limit is kept', () => {
    const rows = [1, 2, 3].map((i) => ({ question: `q${i}`, answer: `a${i}` }))
    const lines = `${rows.map((row) => JSON.stringify(row)).join('\n\n')}\n`
    const expected = readRecords(write('a.json', JSON.stringify(rows)), null)
    expect(readRecords(write('a.jsonl', lines), null)).toEqual(expected)
    expect(readRecords(write('a.jsonl.gz', gzipSync(lines)), null)).toEqual(expected)
    expect(readRecords(join(folder, 'a.jsonl'), null, 2)).toEqual(expected.slice(0, 2))
  })

  it('a broken line is named with its file and number', () => {
    const file = write('broken.jsonl', '{"question": "q", "answer": "a"}\n{"question": "q", "ans\n')
    expect(() => readRecords(file, null)).toThrow(
      expect.objectContaining({ code: 'DATA_BROKEN', message: expect.stringContaining(`${file}:2`) }),
    )
  })

  it.each([
    ['no known fields', { a: 1 }, /record 1: the record has fields a and none of the pairs/],
    ['an output that is not text', { question: 'q', answer: 7 }, /no text in field answer/],
    ['a conversation that begins wrongly', { conversations: [{ from: 'gpt', value: 'x' }] }, /human turn/],
    ['no object', 7, /is not an object/],
  ])('a record with %s is refused with its place', (_, value, message) => {
    expect(() => oneRecord(value as object)).toThrow(message)
  })

  it('an absent file, an empty file and a damaged archive have codes of their own', () => {
    const code = (value: string) => expect.objectContaining({ code: value })
    expect(() => readRecords(join(folder, 'nowhere.jsonl'), null)).toThrow(code('DATA_NOT_FOUND'))
    expect(() => readRecords(write('empty.jsonl', '\n'), null)).toThrow(code('DATA_EMPTY'))
    expect(() => readRecords(write('bad.gz', Buffer.of(0x1f, 0x8b, 1, 2)), null)).toThrow(code('DATA_BROKEN'))
    expect(() => readRecords(write('bad.json', '[{"a": 1}'), null)).toThrow(code('DATA_BROKEN'))
  })
})

describe('pre-tokenised files', () => {
  const line = (ids: number[], labels: number[]) => `${JSON.stringify({ input_ids: ids, labels })}\n`

  it('keep their order, are cut to the maximum length, and lose examples without a label', () => {
    const file = write(
      't.jsonl',
      line([1, 2, 3], [-100, 2, 3]) + line([1, 2, 3, 4], [-100, -100, -100, 4]) + line([5, 6], [-100, 6]),
    )
    const set = readTokenFile(file, 10, 3)
    expect(set.examples.map(({ inputIds }) => [...inputIds])).toEqual([
      [1, 2, 3],
      [5, 6],
    ])
    expect(set).toMatchObject({ truncated: 1, dropped: 1 })
  })

  it.each([
    [line([1, 2], [1]), /:1: 2 input_ids have 1 labels/],
    [line([1, 12], [1, 2]), /:1: token 12 is outside the vocabulary of 10/],
    [line([1, 2], [1, -1]), /:1: token -1 is outside/],
    ['{"ids": [1]}\n', /:1: the line is not/],
  ])('%s is refused with its line', (content, message) => {
    expect(() => readTokenFile(write('t.jsonl', content), 10, 8)).toThrow(message)
  })

  it('a file in which no label is left is DATA_EMPTY', () => {
    const file = write('t.jsonl', line([1, 2], [-100, -100]))
    expect(() => readTokenFile(file, 10, 8)).toThrow(expect.objectContaining({ code: 'DATA_EMPTY' }))
    expect(() => requireExamples({ examples: [], truncated: 0, dropped: 3 }, 'task')).toThrow(
      /3 were dropped/,
    )
  })
})

describe.skipIf(sharedMissing)(`tokenised text ${sharedMissing ?? ''}`, () => {
  const load = (model: string) => TextTokenizer.load(sharedPath('data/models', model), 2048)
  type DataSet = { model: string; max_tokens: number; gsm8k_train_record_indices?: number[] }
  const dataSets = Object.entries(
    sharedMissing
      ? {}
      : (JSON.parse(readFileSync(sharedPath('golden/data/datasets.json'), 'utf8')) as Record<
          string,
          DataSet
        >),
  ).filter(([, { gsm8k_train_record_indices: indices }]) => indices !== undefined)

  it.each(dataSets)(
    'GSM8K in the Alpaca template has the ids and labels that transformers made: %s',
    (name, set) => {
      const tokenizer = load(set.model)
      const gsm8k = readRecords(sharedPath('data/gsm8k/train.jsonl'), null)
      // transformers 5 builds this tokenizer without its unknown token: what the vocabulary cannot spell vanishes.
      const spell = set.model === 'TinyStories-656K' ? spellable(set.model) : (text: string) => text
      const records = (set.gsm8k_train_record_indices ?? []).map((index) => {
        const record = gsm8k[index]!
        return { ...record, instruction: spell(record.instruction), output: spell(record.output) }
      })
      const template = { ...templates.alpaca, prompt: (text: string) => spell(templates.alpaca.prompt(text)) }
      const { examples } = tokenizeRecords(records, template, tokenizer, set.max_tokens)
      const expected = readTokenFile(sharedPath(`golden/data/${name}.jsonl`), 2048, 512).examples
      expect(examples).toEqual(expected)
    },
  )

  /** Removes the characters that a tokenizer's vocabulary has no token for. */
  function spellable(model: string) {
    const definition = JSON.parse(readFileSync(sharedPath('data/models', model, 'tokenizer.json'), 'utf8'))
    const known = new Set(Object.keys(definition.model.vocab))
    return (text: string) =>
      [...text].filter((character) => character === ' ' || known.has(character)).join('')
  }

  it('the literal end-of-text token in a target becomes its single id', () => {
    const tokenizer = load('stories260K')
    const records = [{ instruction: 'Say hi', output: 'hi', answer: null, type: null }]
    const [example] = tokenizeRecords(records, templates.plain, tokenizer, 64).examples
    expect(example?.inputIds.at(-1)).toBe(tokenizer.endTokenId)
    expect(tokenizer.decode(example!.inputIds)).toBe('Say hi\nhi')
  })

  it('packed text loses nothing but the tail, and separates documents by the end token', () => {
    const tokenizer = load('stories260K')
    const text = 'One day a cat ran.\n\nThe dog\nslept.\n\n\nThe end.'
    const blocks = packTexts(text.split('\n\n'), tokenizer, 6)
    const joined = blocks.flatMap(({ inputIds }) => [...inputIds])
    expect(blocks.every(({ inputIds, labels }) => inputIds.length === 6 && labels === inputIds)).toBe(true)
    const whole = text.split('\n\n').flatMap((part) => [...tokenizer.encode(part), tokenizer.endTokenId])
    expect(joined).toEqual(whole.slice(0, Math.floor(whole.length / 6) * 6))
    expect(readTextFile(write('a.txt', text), tokenizer, 400).examples).toHaveLength(1)
  })

  it('a folder without a tokenizer is TOKENIZER_BROKEN', () => {
    expect(() => TextTokenizer.load(folder, 10)).toThrow(
      expect.objectContaining({ code: 'TOKENIZER_BROKEN' }),
    )
    write('tokenizer.json', '{')
    write('tokenizer_config.json', '{}')
    expect(() => TextTokenizer.load(folder, 10)).toThrow(/tokenizer.json: not readable as JSON/)
  })
})
