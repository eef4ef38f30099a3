import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { collect } from '../testing/collect.ts'
import { sharedMissing, sharedPath } from '../testing/shared-material.ts'
import { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { tokenizeRecords } from './examples.ts'
import { readRecords } from './records.ts'
import { createTemplate, type TemplateName } from './templates.ts'
import { readTokenFile } from './token-file.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rankscope-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function write(name: string, content: string): void {
  writeFileSync(join(folder, name), content)
}

function template(name: TemplateName, tokenizer: TextTokenizer) {
  return createTemplate(name, tokenizer, () => {
    throw new Error('no chat template is asked for')
  })
}

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
    async (name, set) => {
      const tokenizer = load(set.model)
      const gsm8k = await collect(readRecords(sharedPath('data/gsm8k/train.jsonl'), null))
      // transformers 5 builds this tokenizer without its unknown token: what the vocabulary cannot spell vanishes.
      const spell = set.model === 'TinyStories-656K' ? spellable(set.model) : (text: string) => text
      const records = (set.gsm8k_train_record_indices ?? []).map((index) => {
        const record = gsm8k[index]!
        return { ...record, instruction: spell(record.instruction), output: spell(record.output) }
      })
      const alpaca = template('alpaca', tokenizer)
      const spelt = {
        ...alpaca,
        render: (record: (typeof records)[number]) =>
          alpaca
            .render(record)
            .map((pieces) => pieces.map((piece) => ({ ...piece, text: spell(piece.text) }))),
      }
      const { examples } = tokenizeRecords(records, spelt, set.max_tokens)
      const file = sharedPath(`golden/data/${name}.jsonl`)
      expect(examples).toEqual((await readTokenFile(file, { vocabularySize: 2048, maxLength: 512 })).examples)
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
    const [example] = tokenizeRecords(records, template('plain', tokenizer), 64).examples
    expect(example?.inputIds.at(-1)).toBe(tokenizer.endTokenId)
    expect(tokenizer.decode(example!.inputIds)).toBe('Say hi\nhi')
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
