import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dataSchema } from '@rankscope/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ChatTemplate } from '../data/chat-template.ts'
import { tokenizerConfig, trainTokenizer } from '../pretrain/bpe.ts'
import { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { loadData } from './load-data.ts'

const tokenizer = TextTokenizer.from(trainTokenizer(['a b c'], 270), tokenizerConfig(64), 270)
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rankscope-'))
  records('records', 3)
  records('twenty', 20)
  records('many', 1200)
  writeFileSync(
    join(folder, 'tokens.jsonl'),
    `${JSON.stringify({ input_ids: [1, 5, 6], labels: [-100, 5, 6] })}\n`,
  )
  writeFileSync(join(folder, 'text.txt'), 'one two three\n\nfour five six\n')
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function records(name: string, count: number) {
  const line = (i: number) => `${JSON.stringify({ question: `${name} q${i}`, answer: `a${i}` })}\n`
  const lines = Array.from({ length: count }, (_, i) => line(i + 1))
  writeFileSync(join(folder, `${name}.jsonl`), lines.join(''))
}

const load = (source: object, settings: object = {}, seed = 42, cacheFolder: string | null = null) =>
  loadData(dataSchema.parse({ source, template: 'plain', ...settings }), seed, {
    tokenizer,
    vocabularySize: 270,
    evaluationExamples: 2,
    resolvePath: (path) => join(folder, path),
    chatTemplate: () => ChatTemplate.from(undefined, {}),
    cacheFolder,
  })
const file = (name: string, more: object = {}) => ({ kind: 'records', path: `${name}.jsonl`, ...more })
const texts = (examples: readonly { inputIds: Int32Array }[]) =>
  examples.map(({ inputIds }) => tokenizer.decode(inputIds).replace(/\n.*/, ''))

describe('data of a run', () => {
  it('a task comes with its test split, as many records as evaluation wants', async () => {
    const { train, test, validation, notes, counts } = await load({
      kind: 'task',
      task: 'programs',
      trainExamples: 12,
      evaluationExamples: 128,
    })
    expect(train).toHaveLength(12)
    expect(test?.examples).toHaveLength(2)
    expect(test?.answers[0]?.records).toHaveLength(2)
    expect(validation).toBeNull()
    expect(notes).toEqual([])
    expect(counts.map(({ source, split, read, used }) => [source, split, read, used])).toEqual([
      ['task programs', 'train', 12, 12],
      ['task programs', 'test', 2, 2],
    ])
    const own = await load({ kind: 'task', task: 'programs', trainExamples: 12, validationExamples: 9 })
    expect(own.validation?.answers[0]?.records).toHaveLength(2)
    expect(own.validation?.examples).not.toEqual(own.test?.examples)
  })

  it('records take their test file and scorer; the limit is for training alone', async () => {
    const source = file('records', { evaluationPath: 'records.jsonl', scorer: 'gsm8k' })
    const { train, test } = await load(source, { limit: 1 })
    expect(train).toHaveLength(1)
    expect(test?.answers[0]?.records.map((record) => record.instruction)).toEqual([
      'records q1',
      'records q2',
    ])
    expect(test?.answers[0]?.scorer.promptSuffix).toContain('step by step')
    expect((await load(file('records'))).test).toBeNull()
  })

  it('tokens and text are evaluated by loss alone', async () => {
    const source = { path: 'tokens.jsonl', evaluationPath: 'tokens.jsonl', validationPath: 'tokens.jsonl' }
    const tokens = await load({ kind: 'tokens', ...source })
    expect(tokens.test).toMatchObject({ answers: [] })
    expect(tokens.validation?.examples).toHaveLength(1)
    const text = await load({ kind: 'text', path: 'text.txt' }, { maxLength: 8 })
    expect(text.train.every((example) => example.inputIds.length === 8)).toBe(true)
    const left = text.counts[0]!.tokens
    expect(text.notes.join()).toMatch(/text.txt: \d+ tokens at the end do not fill a block/)
    expect(left % 8).toBe(0)
  })

  it('what was cut or dropped is said, and nothing left is an error with its reason', async () => {
    const source = file('records')
    expect((await load(source, { maxLength: 16 })).notes).toEqual([])
    await expect(load(source, { maxLength: 8, template: 'alpaca' })).rejects.toThrow(
      expect.objectContaining({
        code: 'DATA_EMPTY',
        message: expect.stringMatching(/records.jsonl: .*3: no label was left/),
      }),
    )
  })

  it('every record that is read is used or skipped with a reason', async () => {
    const rows = [
      { question: 'q', answer: 'a' },
      { question: 'q', answer: '' },
      { question: 'long '.repeat(30), answer: 'a' },
      { question: 'q', answer: 'long '.repeat(30) },
    ]
    writeFileSync(join(folder, 'mixed.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'))
    const { counts, notes, train } = await load(file('mixed'), { maxLength: 32 })
    expect(train).toHaveLength(2)
    expect(counts).toEqual([
      {
        source: 'mixed.jsonl',
        split: 'train',
        read: 4,
        used: 2,
        truncated: 1,
        skipped: { 'an empty answer': 1, 'no label was left to train on within the maximum length': 1 },
        examples: 2,
        perEpoch: 2,
        tokens: train[0]!.inputIds.length + 32,
      },
    ])
    expect(notes).toEqual([
      expect.stringMatching(
        /^mixed.jsonl: 1 of 4 records were skipped: an empty answer \(first: .*mixed.jsonl:2\)/,
      ),
      'mixed.jsonl: 1 of 4 examples were cut to the maximum length',
      expect.stringMatching(/^mixed.jsonl: 1 of 4 examples were dropped: no label/),
    ])
  })

  it('packing fills rows with whole examples', async () => {
    const plain = await load(file('twenty'), { maxLength: 64 })
    const packed = await load(file('twenty'), { maxLength: 64, packing: true })
    expect(packed.train.length).toBeLessThan(plain.train.length / 2)
    const tokens = (examples: typeof plain.train) =>
      examples.reduce((sum, { inputIds }) => sum + inputIds.length, 0)
    expect(tokens(packed.train)).toBe(tokens(plain.train))
    expect(packed.notes.at(-1)).toMatch(/20 examples were packed into \d+ rows/)
  })

  it('the chat template is asked for where it is wanted, and its absence told', async () => {
    await expect(load(file('records'), { template: 'chat' })).rejects.toThrow(/has no chat template/)
  })
})

describe('a validation share', () => {
  it('is held back by seed, from the cache as without it, and nothing of it is trained on', async () => {
    const settings = { validationShare: 0.25, validationSeed: 3 }
    const { train, validation, counts } = await load(file('many'), settings)
    expect(train).toHaveLength(900)
    // As many as evaluation wants, from the start.
    expect(validation?.examples).toHaveLength(2)
    const held = validation?.answers[0]?.records.map(({ instruction }) => instruction)
    expect(texts(validation!.examples)).toEqual(held)
    expect(texts(train)).not.toContain(held?.[0])
    expect(counts.map(({ split, read, used, skipped }) => ({ split, read, used, skipped }))).toEqual([
      { split: 'train', read: 1200, used: 900, skipped: { 'held back for validation': 300 } },
      { split: 'validation', read: 300, used: 300, skipped: {} },
    ])
    const cache = join(folder, 'cache')
    for (let pass = 0; pass < 2; pass++) {
      const cached = await load(file('many'), settings, 42, cache)
      expect(cached.train).toEqual(train)
      expect(cached.validation?.answers[0]?.records).toEqual(validation?.answers[0]?.records)
    }
    expect(readdirSync(cache)).toHaveLength(1)
    // The run's own seed changes nothing: runs of a comparison are validated on the same examples.
    expect((await load(file('many'), settings, 7)).train).toEqual(train)
    expect((await load(file('many'), { ...settings, validationSeed: 4 })).train).not.toEqual(train)
  })

  it('has no effect beside a validation file, which is told', async () => {
    const { train, notes } = await load(file('twenty', { validationPath: 'records.jsonl' }), {
      validationShare: 0.5,
    })
    expect(train).toHaveLength(20)
    expect(notes).toEqual([expect.stringMatching(/nothing is held back for validation/)])
  })
})

describe('a mix', () => {
  const mix = (sources: object[], more: object = {}) => ({ kind: 'mix', sources, ...more })
  const bySource = (examples: readonly { inputIds: Int32Array }[]) => {
    const counts: Record<string, number> = {}
    for (const text of texts(examples))
      counts[text.replace(/ .*/, '')] = (counts[text.replace(/ .*/, '')] ?? 0) + 1
    return counts
  }

  it('without weights is everything once, evenly mixed', async () => {
    const { train, counts, notes } = await load(
      mix([{ source: file('records') }, { source: file('twenty') }]),
    )
    expect(bySource(train)).toEqual({ records: 3, twenty: 20 })
    expect(new Set(texts(train)).size).toBe(23)
    expect(counts.map(({ source, perEpoch }) => [source, perEpoch])).toEqual([
      ['records.jsonl', 3],
      ['twenty.jsonl', 20],
    ])
    expect(notes).toEqual([])
  })

  it('with weights has exactly its parts, repeats the small and draws from the large, and says so', async () => {
    const sources = [
      { name: 'small', source: file('records'), weight: 1 },
      { name: 'large', source: file('twenty'), weight: 2 },
    ]
    const { train, counts, notes } = await load(mix(sources, { examples: 21 }))
    expect(bySource(train)).toEqual({ records: 7, twenty: 14 })
    expect(counts.map(({ source, used, perEpoch }) => [source, used, perEpoch])).toEqual([
      ['small', 3, 7],
      ['large', 20, 14],
    ])
    expect(notes).toEqual([
      'small: 7 examples in each epoch are drawn from 3: some come again',
      'large: 6 of 20 examples are not used: the mix takes 14, drawn by seed',
    ])
    expect((await load(mix(sources, { examples: 21 }))).train).toEqual(train)
    expect((await load(mix(sources, { examples: 21 }), {}, 43)).train).not.toEqual(train)
  })

  it('gives each source its own fields, template, limit, scorer and test file', async () => {
    writeFileSync(join(folder, 'odd.jsonl'), '{"a": "odd", "b": "x"}\n{"a": "odd 2", "b": "x"}\n')
    const fields = { instruction: 'a', output: 'b' }
    const { train, test } = await load(
      mix([
        { source: { kind: 'records', path: 'odd.jsonl', fields }, limit: 1, template: 'alpaca' },
        { source: file('twenty', { evaluationPath: 'twenty.jsonl', scorer: 'math' }), limit: 2 },
        { source: { kind: 'task', task: 'choice', trainExamples: 4 } },
        { source: { kind: 'tokens', path: 'tokens.jsonl', evaluationPath: 'tokens.jsonl' } },
      ]),
      { maxLength: 256 },
    )
    expect(train).toHaveLength(1 + 2 + 4 + 1)
    expect(texts(train).filter((text) => text.startsWith('Below is'))).toHaveLength(1)
    expect(test?.answers.map(({ name, records: some }) => [name, some.length])).toEqual([
      ['twenty.jsonl', 2],
      ['task choice', 2],
    ])
    expect(test?.examples).toHaveLength(2 + 2 + 1)
  })
})
