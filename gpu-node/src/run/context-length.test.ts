import { runConfigSchema } from '@rankscope/protocol'
import { describe, expect, it } from 'vitest'
import type { TokenExample } from '../data/examples.ts'
import { scorers } from '../eval/scorers.ts'
import { parseConfig } from '../model/config.ts'
import { contextWarnings } from './context-length.ts'

const model = (changes: object = {}) =>
  parseConfig(
    {
      ...{ model_type: 'llama', hidden_size: 8, intermediate_size: 12, num_hidden_layers: 1 },
      ...{ num_attention_heads: 2, vocab_size: 11, max_position_embeddings: 32, ...changes },
    },
    'config.json',
  )
const { evaluation: settings } = runConfigSchema.parse({
  data: { source: { kind: 'task', task: 'mix' } },
  method: { name: 'lora' },
  evaluation: { maxNewTokens: 10 },
})
const example = (prompt: number, answer: number): TokenExample => ({
  inputIds: new Int32Array(prompt + answer).fill(3),
  labels: Int32Array.from({ length: prompt + answer }, (_, index) => (index < prompt ? -100 : 3)),
})
const data = (train: TokenExample, test: TokenExample | null, answers = false) => ({
  train: [example(2, 2), train],
  validation: null,
  test: test && {
    examples: [test],
    answers: answers ? [{ name: 'x', records: [], template: null as never, scorer: scorers.exact }] : [],
  },
})

describe('texts longer than the context', () => {
  it('are told with both numbers, for training, loss and answers', () => {
    expect(contextWarnings(model(), data(example(8, 24), example(22, 10), true), settings)).toEqual([])
    expect(contextWarnings(model(), data(example(8, 25), null), settings)).toEqual([
      'the longest training example has 33 tokens; the model was made for 32 (max_position_embeddings in config.json)',
    ])
    expect(contextWarnings(model(), data(example(8, 8), example(20, 20)), settings)).toEqual([
      expect.stringMatching(/^the longest test example has 40 tokens/),
    ])
    expect(contextWarnings(model(), data(example(8, 8), example(23, 5), true), settings)).toEqual([
      expect.stringMatching(/prompt of 23 tokens and 10 new ones .* made for 32/),
    ])
  })

  it('may be as long as dynamic scaling stretches the context', () => {
    const dynamic = model({ rope_scaling: { type: 'dynamic', factor: 2 } })
    expect(contextWarnings(dynamic, data(example(8, 56), null), settings)).toEqual([])
    expect(contextWarnings(dynamic, data(example(8, 57), null), settings)).toHaveLength(1)
  })
})
