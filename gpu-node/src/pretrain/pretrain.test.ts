import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memory } from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { cpuBackend } from '../backends/cpu.ts'
import { openModelFolder } from '../model/folder.ts'
import { Random } from '../random.ts'
import { taskRecords } from '../tasks/index.ts'
import { pretrainingDocument } from '../tasks/pretraining-text.ts'
import { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { specialTokens, tokenizerConfig, trainTokenizer } from './bpe.ts'
import { miniConfig, pretrain } from './pretrain.ts'

const documents = (seed: number, count: number) => {
  const random = new Random(seed)
  return Array.from({ length: count }, () => pretrainingDocument(random))
}

describe('the tokenizer that we train', () => {
  const definition = trainTokenizer(documents(1, 400), 420)
  const tokenizer = TextTokenizer.from(definition, tokenizerConfig(64), 420)

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

describe('pretraining', () => {
  it('writes a model folder that loads, the same for the same seed, with a loss that falls', async () => {
    await cpuBackend.start({ threads: 1 })
    const before = memory().numTensors
    const folder = mkdtempSync(join(tmpdir(), 'rankscope-'))
    const config = {
      ...miniConfig,
      hiddenSize: 16,
      intermediateSize: 16,
      layers: 1,
      heads: 2,
      keyValueHeads: 1,
      headDim: 8,
    }
    const make = async (name: string) => {
      const losses: number[] = []
      await pretrain({
        folder: join(folder, name),
        seed: 1,
        tokens: 12 * 4 * 24,
        blockLength: 24,
        blocksPerStep: 4,
        config,
        onStep: ({ loss }) => losses.push(loss),
      })
      const { specs, read } = openModelFolder(join(folder, name))
      return { losses, weights: specs.map(read) }
    }
    const [first, second] = [await make('first'), await make('second')]
    expect(second).toEqual(first)
    expect(first.losses).toHaveLength(12)
    expect(first.losses.at(-1)).toBeLessThan(first.losses[0]!)
    expect(readdirSync(join(folder, 'first')).sort()).toEqual([
      'config.json',
      'generation_config.json',
      'model.safetensors',
      'special_tokens_map.json',
      'tokenizer.json',
      'tokenizer_config.json',
    ])
    expect(TextTokenizer.load(join(folder, 'first'), config.vocabularySize).endTokenId).toBe(
      config.endTokenIds[0],
    )
    expect(memory().numTensors).toBe(before)
    rmSync(folder, { recursive: true })
  })
})
