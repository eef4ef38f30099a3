import { describe, expect, it } from 'vitest'
import { formatConfig, parseConfig } from './config.ts'
import { ropeFrequencies } from './rope-table.ts'

const base = {
  model_type: 'llama',
  hidden_size: 64,
  intermediate_size: 172,
  num_hidden_layers: 5,
  num_attention_heads: 8,
  vocab_size: 512,
}
const llama3 = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 }
const parse = (changes: object) => parseConfig({ ...base, ...changes }, 'config.json')

describe('config.json', () => {
  it('what is left out takes the defaults of transformers', () => {
    expect(parse({})).toMatchObject({
      keyValueHeads: 8,
      headDim: 8,
      ropeTheta: 10_000,
      ropeScaling: null,
      tiedEmbeddings: false,
      slidingWindow: null,
      rmsNormEpsilon: 1e-6,
    })
  })

  it('the rotary settings are read in the old style and in that of transformers 5', () => {
    const expected = {
      ropeTheta: 500_000,
      ropeScaling: {
        type: 'llama3',
        factor: 8,
        lowFrequencyFactor: 1,
        highFrequencyFactor: 4,
        originalMaxPositions: 8192,
      },
    }
    expect(parse({ rope_theta: 500_000, rope_scaling: { rope_type: 'llama3', ...llama3 } })).toMatchObject(
      expected,
    )
    expect(parse({ rope_theta: 500_000, rope_scaling: { type: 'llama3', ...llama3 } })).toMatchObject(
      expected,
    )
    expect(parse({ rope_parameters: { rope_type: 'llama3', rope_theta: 500_000, ...llama3 } })).toMatchObject(
      expected,
    )
    expect(parse({ rope_parameters: { rope_type: 'default', rope_theta: 1e6 } })).toMatchObject({
      ropeTheta: 1e6,
      ropeScaling: null,
    })
  })

  it('what is written is read back as the same config, with old-style keys only', () => {
    const configs = [
      parse({ num_key_value_heads: 4, tie_word_embeddings: true, bos_token_id: 1, eos_token_id: [2, 5] }),
      parse({ rope_theta: 5e5, rope_scaling: { rope_type: 'llama3', ...llama3 }, eos_token_id: 2 }),
      parse({ model_type: 'mistral', sliding_window: 16 }),
      parse({
        model_type: 'qwen2',
        num_key_value_heads: 2,
        sliding_window: 16,
        use_sliding_window: true,
        max_window_layers: 3,
      }),
      parse({ model_type: 'qwen2', num_key_value_heads: 2, sliding_window: 16, use_sliding_window: false }),
    ]
    for (const config of configs) {
      const written = formatConfig(config, 'float32')
      expect(parseConfig(written, 'config.json')).toEqual(config)
      expect(Object.keys(written)).not.toContain('rope_parameters')
      expect(Object.keys(written)).not.toContain('dtype')
    }
  })

  it('the sliding window holds in all layers of Mistral, in the upper ones of Qwen2 when switched on', () => {
    expect(parse({ model_type: 'mistral', sliding_window: 16 })).toMatchObject({
      slidingWindow: 16,
      slidingLayers: [true, true, true, true, true],
    })
    const qwen = { model_type: 'qwen2', num_key_value_heads: 8, sliding_window: 16, max_window_layers: 3 }
    expect(parse({ ...qwen, use_sliding_window: true })).toMatchObject({
      slidingWindow: 16,
      slidingLayers: [false, false, false, true, true],
    })
    expect(parse({ ...qwen, use_sliding_window: false })).toMatchObject({
      slidingWindow: null,
      queryKeyValueBias: true,
      outputBias: false,
    })
    expect(parse({ sliding_window: 16 })).toMatchObject({ slidingWindow: null })
  })

  it.each([
    [{ model_type: 'gpt2' }, 'MODEL_UNSUPPORTED', /model_type "gpt2"/],
    [{ model_type: undefined }, 'MODEL_UNSUPPORTED', /not of the Llama family/],
    [{ rope_scaling: { type: 'llama3', factor: 2 } }, 'MODEL_BROKEN', /lacks low_freq_factor/],
    [{ hidden_act: 'gelu' }, 'MODEL_UNSUPPORTED', /hidden_act gelu/],
    [{ num_key_value_heads: 3 }, 'MODEL_BROKEN', /8 attention heads cannot share 3/],
    [{ hidden_size: 'big' }, 'MODEL_BROKEN', /hidden_size/],
    [{ num_attention_heads: 64 }, 'MODEL_BROKEN', /head size 1/],
  ])('%j is refused with a coded error that names the file', (changes, code, message) => {
    expect(() => parse(changes)).toThrow(message)
    expect(() => parse(changes)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining('config.json') }),
    )
  })
})

describe('rotary frequencies', () => {
  it('Llama 3.1 keeps 29, blends 6 and divides 29 of the 64 frequencies (METHODS 5.1)', () => {
    const rope = { headDim: 128, ropeTheta: 500_000 }
    const scaling = {
      type: 'llama3',
      factor: 8,
      lowFrequencyFactor: 1,
      highFrequencyFactor: 4,
      originalMaxPositions: 8192,
    } as const
    const scaled = ropeFrequencies({ ...rope, ropeScaling: scaling })
    const ratios = [...ropeFrequencies({ ...rope, ropeScaling: null })].map(
      (plain, j) => plain / (scaled[j] as number),
    )
    expect(ratios.filter((ratio) => ratio === 1)).toHaveLength(29)
    expect(ratios.filter((ratio) => Math.abs(ratio - 8) < 1e-9)).toHaveLength(29)
    for (const [j, value] of [
      [28, 3.21144599e-3],
      [30, 1.37189357e-3],
      [34, 1.78507813e-4],
      [63, 3.06892599e-7],
    ] as const)
      expect(scaled[j]! / value).toBeCloseTo(1, 7)
  })
})
