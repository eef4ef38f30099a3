import { describe, expect, it } from 'vitest'
import { TextTokenizer } from '../data/tokenizer.ts'
import { Random } from '../random.ts'
import { taskRecords } from '../tasks/index.ts'
import { specialTokens, tokenizerConfig, trainTokenizer } from './bpe.ts'
import { pretrainingDocument } from './text.ts'

const documents = (seed: number, count: number) => {
  const random = new Random(seed)
  return Array.from({ length: count }, () => pretrainingDocument(random))
}

describe('the tokenizer that we train', () => {
  const definition = trainTokenizer(documents(1, 400), 420)
  const tokenizer = TextTokenizer.from(definition, tokenizerConfig(64))

  it('gives every text back, whatever its bytes', () => {
    for (const text of [
      'The cat says meow.',
      'x = [1, 20]; print(x)',
      '  two\n\n lines ',
      'naïve — 漢字 😀',
      documents(2, 1)[0]!,
    ])
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text)
  })

  it('spells numbers digit by digit, each with the space before it', () => {
    const ids = tokenizer.encode(' 12 345').slice(1)
    expect(ids.map((id) => tokenizer.decode([id]))).toEqual([' 1', '2', ' 3', '4', '5'])
  })

  it('makes frequent words one token, and is the same when trained again', () => {
    expect(tokenizer.encode(' Backwards')).toHaveLength(2)
    expect(trainTokenizer(documents(1, 400), 420)).toEqual(definition)
  })

  it('begins with the start token, and knows the end token in the text', () => {
    const ids = tokenizer.encode(`a${specialTokens.end}`)
    expect(ids[0]).toBe(1)
    expect(ids.at(-1)).toBe(tokenizer.endTokenId)
    expect(tokenizer.padTokenId).toBe(0)
  })
})

describe('the text for pretraining', () => {
  it('is the same for the same seed', () => {
    expect(documents(5, 20)).toEqual(documents(5, 20))
    expect(documents(5, 20)).not.toEqual(documents(6, 20))
  })

  it('states only true sums and true orders', () => {
    const text = documents(3, 2000).join('\n')
    const sums = [...text.matchAll(/(\d+) ([+*-]) (\d+) = (\d+)/g)]
    expect(sums.length).toBeGreaterThan(500)
    for (const [, a, operator, b, result] of sums) {
      const [x, y] = [Number(a), Number(b)]
      expect(Number(result)).toBe(operator === '+' ? x + y : operator === '-' ? x - y : x * y)
    }
    for (const [, list, back] of text.matchAll(/Words: ([a-z ]+)\. Backwards: ([a-z ]+)\./g))
      expect(back!.split(' ').reverse().join(' ')).toBe(list)
  })

  it('holds no task: no instruction of any task with its answer', () => {
    const text = documents(4, 3000).join('\n')
    expect(text).not.toMatch(/Answer|answer\d/)
    for (const task of ['arithmetic', 'programs', 'choice'] as const)
      for (const { instruction, output } of taskRecords(task, 'test', 200, 0))
        expect(text.includes(`${instruction}\n${output}`)).toBe(false)
  })
})
