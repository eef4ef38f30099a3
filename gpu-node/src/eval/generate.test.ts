import { memory } from '@tensorflow/tfjs-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cpuBackend } from '../backends/cpu.ts'
import { evaluationBatch, lossTokens } from '../data/batch.ts'
import { tokenizeRecords } from '../data/examples.ts'
import { createTemplate, type Template } from '../data/templates.ts'
import { parseConfig } from '../model/config.ts'
import { loss, plainLinear, sequenceLogits } from '../model/llama.ts'
import { loadModel, Model } from '../model/model.ts'
import { parameterSpecs } from '../model/parameters.ts'
import { parameter } from '../ops/index.ts'
import { Random } from '../random.ts'
import { sharedMissing, sharedPath } from '../testing/shared-material.ts'
import { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { evaluateAccuracy, evaluateLoss } from './evaluate.ts'
import { generate } from './generate.ts'
import { logLikelihoods } from './log-likelihood.ts'
import { drawToken } from './sampling.ts'
import { scorers } from './scorers.ts'

const vocabulary = 13

function randomModel(changes: object = {}): Model {
  const config = parseConfig(
    {
      model_type: 'mistral',
      hidden_size: 16,
      intermediate_size: 24,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      vocab_size: vocabulary,
      ...changes,
    },
    'config.json',
  )
  const random = new Random(5)
  const weights = parameterSpecs(config).map(({ name, shape }) => {
    const values = new Float32Array(shape.reduce((product, size) => product * size, 1))
    return [name, parameter(random.fillNormal(values, 0, 0.5), shape)] as const
  })
  return new Model(config, new Map(weights), null)
}

/** Greedy decoding without a cache: the whole sequence is read again for each token. */
async function slowly(
  model: Model,
  prompt: readonly number[],
  count: number,
  stop: number,
): Promise<number[]> {
  const ids = [...prompt]
  while (ids.length < prompt.length + count) {
    const logits = sequenceLogits(model, Int32Array.from(ids), { batch: 1, sequence: ids.length })
    const last = Array.from((await logits.data()).slice((ids.length - 1) * vocabulary))
    logits.dispose()
    const best = last.indexOf(Math.max(...last))
    if (best === stop) break
    ids.push(best)
  }
  return ids.slice(prompt.length)
}

beforeAll(async () => {
  await cpuBackend.start({ threads: 1 })
})

describe('greedy generation with the key-value cache', () => {
  const prompts = [[1, 4, 2, 9, 3], [7], [1, 5, 5], [12, 11, 10, 9, 8, 7, 6]]

  it.each([
    ['full attention', {}],
    ['a sliding window', { sliding_window: 3 }],
    [
      'norms of queries and keys and a window in one layer',
      {
        ...{ model_type: 'qwen3', head_dim: 4, use_sliding_window: true, sliding_window: 3 },
        layer_types: ['full_attention', 'sliding_attention'],
      },
    ],
    [
      'biases and YaRN',
      {
        ...{ model_type: 'llama', attention_bias: true, mlp_bias: true },
        rope_scaling: { rope_type: 'yarn', factor: 2 },
      },
    ],
  ])(
    'gives what reading everything again gives, for prompts of different lengths, with %s',
    async (_, changes) => {
      const model = randomModel(changes)
      for (const stop of [-1, 3]) {
        const options = { maxNewTokens: 9, batchSize: 3, stopTokenIds: new Set([stop]) }
        const found = await generate(model, prompts, options)
        for (const [index, prompt] of prompts.entries())
          expect(found[index]).toEqual(await slowly(model, prompt, 9, stop))
      }
      model.dispose()
    },
  )

  it('ends before the stop token and leaves no tensor behind', async () => {
    const model = randomModel()
    model.rope.upTo(32)
    const before = memory().numTensors
    const [first] = await slowly(model, [7], 1, -1)
    const shares: number[] = []
    const found = await generate(model, [[7], [7]], {
      maxNewTokens: 5,
      batchSize: 1,
      stopTokenIds: new Set([first!]),
      onProgress: (done) => shares.push(done),
    })
    expect(found).toEqual([[], []])
    expect(shares).toEqual([0.5, 1])
    expect(memory().numTensors).toBe(before)
    model.dispose()
  })
})

describe('sampling', () => {
  it('draws each token as often as its share says, of the likeliest that reach top-p', () => {
    const logits = Float32Array.from([0.5, 0.3, 0.15, 0.05], (share) => 2 * Math.log(share))
    const count = (topP: number) => {
      const random = new Random(3)
      const counts = [0, 0, 0, 0]
      for (let draw = 0; draw < 20_000; draw++) counts[drawToken(logits, { temperature: 2, topP }, random)]!++
      return counts.map((drawn) => drawn / 20_000)
    }
    for (const [at, share] of [0.5, 0.3, 0.15, 0.05].entries()) expect(count(1)[at]).toBeCloseTo(share, 1.9)
    // 0.5 and 0.3 reach 0.75: the rest is never drawn.
    const [first, second, ...rest] = count(0.75)
    expect(first).toBeCloseTo(0.625, 1.9)
    expect(second).toBeCloseTo(0.375, 1.9)
    expect(rest).toEqual([0, 0])
    expect(count(0.4)).toEqual([1, 0, 0, 0])
  })

  it('gives the same by the same seed, whatever is decoded beside it, and as greedy at temperatures near zero', async () => {
    const model = randomModel()
    const prompts = [[1, 4, 2], [7], [1, 5, 5, 9]]
    const sampled = (seed: number, batchSize: number, temperature = 1) => {
      const streams = prompts.map((_, at) => new Random(seed).fork(String(at)))
      const pick = (logits: Float32Array, at: number) =>
        drawToken(logits, { temperature, topP: 1 }, streams[at]!)
      return generate(model, prompts, { maxNewTokens: 8, batchSize, stopTokenIds: new Set(), pick })
    }
    expect(await sampled(1, 1)).toEqual(await sampled(1, 3))
    expect(await sampled(1, 3)).not.toEqual(await sampled(2, 3))
    const greedy = await generate(model, prompts, { maxNewTokens: 8, batchSize: 3, stopTokenIds: new Set() })
    expect(await sampled(5, 3, 1e-4)).toEqual(greedy)
    // Enough is enough: after the third token.
    const isEnough = (tokens: readonly number[]) => tokens.length === 3
    const options = { maxNewTokens: 8, batchSize: 3, stopTokenIds: new Set<number>(), isEnough }
    expect(await generate(model, prompts, options)).toEqual(greedy.map((tokens) => tokens.slice(0, 3)))
    model.dispose()
  })
})

it('log-likelihoods are sums of ln softmax over the continuation, whatever stands beside', async () => {
  const model = randomModel()
  const continuations = [
    { tokens: [1, 4, 2, 9], known: 2 },
    { tokens: [7, 3], known: 1 },
    { tokens: [12, 11, 10, 9, 8], known: 4 },
  ]
  model.rope.upTo(32)
  const before = memory().numTensors
  const found = await logLikelihoods(model, continuations, { batchSize: 2, padTokenId: 0 })
  expect(memory().numTensors).toBe(before)
  for (const [at, { tokens, known }] of continuations.entries()) {
    const logits = sequenceLogits(model, Int32Array.from(tokens), { batch: 1, sequence: tokens.length })
    const values = await logits.data()
    logits.dispose()
    let sum = 0
    for (let place = known; place < tokens.length; place++) {
      const row = Array.from(values.slice((place - 1) * vocabulary, place * vocabulary))
      sum += row[tokens[place]!]! - Math.log(row.reduce((total, value) => total + Math.exp(value), 0))
    }
    expect(found[at]).toBeCloseTo(sum, 4)
  }
  model.dispose()
})

describe.skipIf(sharedMissing)(`evaluation of stories260K ${sharedMissing ?? ''}`, () => {
  const folder = sharedPath('data/models/stories260K')
  const tokenizer = sharedMissing ? (null as never) : TextTokenizer.load(folder, 512)
  let model: Model
  beforeAll(() => {
    model = loadModel(folder)
  })
  afterAll(() => model.dispose())

  const record = (instruction: string, output: string, type: string) => ({
    instruction,
    output,
    answer: null,
    type,
  })

  it('writes the beginning of a story, and scores by record and by type', async () => {
    const template: Template = {
      prompt: (record) => record.instruction,
      render: () => [],
      encode: (text) => tokenizer.encode(text),
      fingerprint: '',
    }
    const options = { maxNewTokens: 8, batchSize: 4, template, scorer: scorers.exact }
    const records = [
      record('Once upon a time, there was', ' wrong', 'a'),
      record('Lily wanted to', 'wrong', 'b'),
    ]
    const first = await evaluateAccuracy(model, tokenizer, records, options)
    expect(first).toMatchObject({ accuracy: 0, examples: 2 })
    expect(first.answers[0]?.completion).toMatch(/^ ?a (little|big|small)/)
    const learned = first.answers.map((answer, i) =>
      record(records[i]!.instruction, answer.completion, records[i]!.type),
    )
    const half = [learned[0]!, records[1]!]
    expect(await evaluateAccuracy(model, tokenizer, half, options, plainLinear(model))).toMatchObject({
      accuracy: 0.5,
      byType: { a: { accuracy: 1, examples: 1 }, b: { accuracy: 0, examples: 1 } },
    })
  })

  it('the loss over several batches is the mean over all their tokens', async () => {
    const records = [
      record('One', 'day a cat ran.', 'a'),
      record('Two', 'dogs', 'b'),
      record('Three big', 'red cars went.', 'c'),
    ]
    const plain = createTemplate('plain', tokenizer, () => {
      throw new Error('no chat template is asked for')
    })
    const { examples } = tokenizeRecords(records, plain, 64)
    const whole = loss(model, evaluationBatch(examples, tokenizer.padTokenId))
    const [expected] = await whole.loss.data()
    whole.loss.dispose()
    whole.perToken.dispose()
    const found = await evaluateLoss(model, examples, { batchSize: 2, padTokenId: tokenizer.padTokenId })
    expect(found.loss / expected!).toBeCloseTo(1, 5)
    expect(found.tokens).toBe(examples.reduce((sum, example) => sum + lossTokens(example), 0))
  })
})
