import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { makeDecoder } from './decoders.ts'
import { parseDefinition } from './definition.ts'
import { makeNormalizer } from './normalizers.ts'
import { makePreTokenizer } from './pre-tokenizers.ts'
import { TextTokenizer } from './text-tokenizer.ts'

type Case =
  | { normalizer: object; cases: [text: string, normalized: string][] }
  | { preTokenizer: object; cases: [text: string, pieces: string[]][] }
  | { decoder: object; cases: [tokens: string[], text: string][] }
  | { name: string; definition: object; cases: [text: string, ids: number[], decoded: string][] }

/** Written by bench/reference/tokenizers_cases.py with the Rust library. */
const file = process.env['RANKSCOPE_TOKENIZER_REFERENCE'] ?? join(import.meta.dirname, 'reference.jsonl')
const reference = readFileSync(file, 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Case)
const parse = (parts: object) =>
  parseDefinition({ model: { type: 'WordLevel', unk_token: 'a', vocab: { a: 0 } }, ...parts })

describe('as the Rust library does it', () => {
  for (const one of reference) {
    if ('normalizer' in one)
      it(`normalizer ${JSON.stringify(one.normalizer)}`, () => {
        const normalize = makeNormalizer(parse({ normalizer: one.normalizer }).normalizer)
        expect(one.cases.map(([text]) => [text, normalize(text)])).toEqual(one.cases)
      })
    else if ('preTokenizer' in one)
      it(`pre-tokenizer ${JSON.stringify(one.preTokenizer)}`, () => {
        const cut = makePreTokenizer(parse({ pre_tokenizer: one.preTokenizer }).preTokenizer)
        const pieces = (text: string) => cut({ text, atStart: true }).map((piece) => piece.text)
        expect(one.cases.map(([text]) => [text, pieces(text)])).toEqual(one.cases)
      })
    else if ('decoder' in one)
      it(`decoder ${JSON.stringify(one.decoder)}`, () => {
        const join = makeDecoder(parse({ decoder: one.decoder }).decoder)
        expect(one.cases.map(([tokens]) => [tokens, join(tokens)])).toEqual(one.cases)
      })
    else
      it(one.name, () => {
        const tokenizer = TextTokenizer.from(one.definition, { eos_token: '</s>' }, 1000)
        const found = one.cases.map(([text, ids]) => [text, tokenizer.encode(text), tokenizer.decode(ids)])
        expect(found).toEqual(one.cases)
      })
  }
})
