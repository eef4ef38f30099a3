import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dataSchema } from '@rankscope/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tokenizerConfig, trainTokenizer } from '../pretrain/bpe.ts'
import { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { loadData } from './load-data.ts'

const tokenizer = TextTokenizer.from(trainTokenizer(['a b c'], 270), tokenizerConfig(64), 270)
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rankscope-'))
  const line = (i: number) => `${JSON.stringify({ question: `q${i}`, answer: `a${i}` })}\n`
  writeFileSync(join(folder, 'records.jsonl'), [1, 2, 3].map(line).join(''))
  writeFileSync(
    join(folder, 'tokens.jsonl'),
    `${JSON.stringify({ input_ids: [1, 5, 6], labels: [-100, 5, 6] })}\n`,
  )
  writeFileSync(join(folder, 'text.txt'), 'one two three\n\nfour five six\n')
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const load = (source: object, settings: object = {}) =>
  loadData(dataSchema.parse({ source, template: 'plain', ...settings }), {
    tokenizer,
    vocabularySize: 270,
    evaluationExamples: 2,
    resolvePath: (path) => join(folder, path),
    cacheFolder: null,
  })

describe('data of a run', () => {
  it('a task comes with its test split, as many records as evaluation wants', () => {
    const { train, evaluation, notes } = load({
      kind: 'task',
      task: 'programs',
      trainExamples: 12,
      evaluationExamples: 128,
    })
    expect(train).toHaveLength(12)
    expect(evaluation?.examples).toHaveLength(2)
    expect(evaluation?.answers?.records).toHaveLength(2)
    expect(notes).toEqual([])
  })

  it('records take their test file and scorer; the limit is for training alone', () => {
    const source = {
      kind: 'records',
      path: 'records.jsonl',
      evaluationPath: 'records.jsonl',
      scorer: 'gsm8k',
    }
    const { train, evaluation } = load(source, { limit: 1 })
    expect(train).toHaveLength(1)
    expect(evaluation?.answers?.records.map((record) => record.instruction)).toEqual(['q1', 'q2'])
    expect(evaluation?.answers?.scorer.promptSuffix).toContain('step by step')
    expect(load({ kind: 'records', path: 'records.jsonl' }).evaluation).toBeNull()
  })

  it('tokens and text are evaluated by loss alone', () => {
    const tokens = load({ kind: 'tokens', path: 'tokens.jsonl', evaluationPath: 'tokens.jsonl' })
    expect(tokens.evaluation).toMatchObject({ answers: null })
    const text = load({ kind: 'text', path: 'text.txt' }, { maxLength: 8 })
    expect(text.train.every((example) => example.inputIds.length === 8)).toBe(true)
  })

  it('what was cut or dropped is said, and nothing left is an error', () => {
    const source = { kind: 'records', path: 'records.jsonl' }
    expect(load(source, { maxLength: 8, template: 'plain' }).notes).toEqual([])
    expect(() => load(source, { maxLength: 8, template: 'alpaca' })).toThrow(
      expect.objectContaining({ code: 'DATA_EMPTY', message: expect.stringContaining('records.jsonl') }),
    )
  })
})
