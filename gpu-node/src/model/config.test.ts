import { describe, expect, it } from 'vitest'
import { formatConfig, parseConfig, readConfigFile } from './config.ts'
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

  it('what is left out takes the default of its family, and null is not left out', () => {
    const bare = { num_attention_heads: 32, hidden_size: 128 }
    expect(parse({ model_type: 'mistral', ...bare })).toMatchObject({
      keyValueHeads: 8,
      slidingWindow: 4096,
      maxPositions: 131_072,
    })
    expect(parse({ model_type: 'mistral', ...bare, sliding_window: null })).toMatchObject({
      slidingWindow: null,
    })
    expect(parse({ model_type: 'qwen2', ...bare })).toMatchObject({ keyValueHeads: 32, maxPositions: 32_768 })
    expect(
      parse({ model_type: 'qwen2', ...bare, use_sliding_window: true, max_window_layers: 4 }),
    ).toMatchObject({ slidingWindow: 4096, slidingLayers: [false, false, false, false, true] })
    expect(parse({ model_type: 'qwen2', ...bare, use_sliding_window: true })).toMatchObject({
      slidingWindow: null,
    })
    expect(
      parse({
        model_type: 'qwen2',
        ...bare,
        use_sliding_window: true,
        sliding_window: null,
        max_window_layers: 0,
      }),
    ).toMatchObject({ slidingWindow: null })
    expect(parse({ model_type: 'qwen3', ...bare })).toMatchObject({ headDim: 128, queryKeyNorm: true })
    expect(parse({ num_key_value_heads: null })).toMatchObject({ keyValueHeads: 8 })
  })

  it('layer_types decides layer by layer, before max_window_layers', () => {
    const types = ['sliding', 'full', 'full', 'sliding', 'full'].map((kind) => `${kind}_attention`)
    const qwen = { num_key_value_heads: 8, use_sliding_window: true, sliding_window: 16, layer_types: types }
    for (const model_type of ['qwen2', 'qwen3']) {
      const config = parse({ model_type, ...qwen, max_window_layers: 2 })
      expect(config.slidingLayers).toEqual([true, false, false, true, false])
      expect(parseConfig(formatConfig(config, 'float32'), 'config.json')).toEqual(config)
    }
    expect(parse({ layer_types: types.map(() => 'full_attention') })).toMatchObject({ slidingWindow: null })
  })

  it('biases are where the family has them', () => {
    const all = { queryKeyValueBias: true, outputBias: true, mlpBias: true }
    expect(parse({ attention_bias: true, mlp_bias: true })).toMatchObject(all)
    expect(parse({ model_type: 'qwen3', num_key_value_heads: 8, attention_bias: true })).toMatchObject({
      ...all,
      mlpBias: false,
    })
    const none = { outputBias: false, mlpBias: false }
    const asked = { num_key_value_heads: 8, attention_bias: true, mlp_bias: true }
    for (const [model_type, queryKeyValueBias] of [
      ['qwen2', true],
      ['mistral', false],
    ] as const) {
      const { config, notes } = readConfigFile({ ...base, model_type, ...asked }, 'config.json')
      expect(config).toMatchObject({ queryKeyValueBias, ...none })
      expect(notes).toEqual([
        `config.json: attention_bias true has no effect in a ${model_type} model`,
        `config.json: mlp_bias true has no effect in a ${model_type} model`,
      ])
    }
  })

  it('old and new rotary keys may both stand where they agree, and theta in either place', () => {
    const scaling = { rope_type: 'llama3', ...llama3 }
    const expected = parse({ rope_theta: 5e5, rope_scaling: scaling })
    expect(
      parse({ rope_theta: 5e5, rope_scaling: scaling, rope_parameters: { ...scaling, rope_theta: 5e5 } }),
    ).toEqual(expected)
    expect(parse({ rope_theta: 5e5, rope_parameters: scaling })).toEqual(expected)
    const inside = readConfigFile({ ...base, rope_scaling: { ...scaling, rope_theta: 5e5 } }, 'config.json')
    expect(inside.config).toEqual(expected)
    expect(inside.notes).toEqual([expect.stringContaining('theta 500000 stands in rope_scaling')])
  })

  it('what has no effect is told, what is bookkeeping or nothing is passed over', () => {
    const notes = (changes: object) => readConfigFile({ ...base, ...changes }, 'config.json').notes
    expect(
      notes({
        ...{
          architectures: ['LlamaForCausalLM'],
          torch_dtype: 'bfloat16',
          _name_or_path: 'x',
          use_cache: true,
        },
        ...{
          attention_dropout: 0,
          pretraining_tp: 2,
          pad_token_id: -1,
          eos_token_id: -1,
          unsloth_version: '1',
        },
        ...{
          clip_qkv: null,
          use_qk_norm: false,
          quantization_config: {},
          logits_scaling: 1,
          hidden_act: 'silu',
        },
      }),
    ).toEqual([])
    expect(notes({ sliding_window: 16 })).toEqual([expect.stringMatching(/sliding_window 16 has no effect/)])
    expect(notes({ eos_token_id: [2, 600] })).toEqual([
      expect.stringMatching(/600 is outside the vocabulary/),
    ])
    expect(parse({ eos_token_id: [2, 600, -1] }).endTokenIds).toEqual([2])
    expect(notes({ rope_scaling: { rope_type: 'default', factor: 8 } })).toEqual([
      expect.stringMatching(/rope_scaling.factor 8 has no effect/),
    ])
    expect(notes({ auto_map: { AutoModel: 'x.Y' } })).toEqual([expect.stringMatching(/it is not run/)])
  })

  it.each([
    [{ model_type: 'gpt2' }, 'MODEL_UNSUPPORTED', /model_type "gpt2"/],
    [{ model_type: undefined }, 'MODEL_UNSUPPORTED', /not of the Llama family/],
    [{ rope_scaling: { type: 'llama3', factor: 2 } }, 'MODEL_BROKEN', /lacks low_freq_factor/],
    [{ hidden_act: 'gelu' }, 'MODEL_UNSUPPORTED', /hidden_act gelu/],
    [{ num_key_value_heads: 3 }, 'MODEL_BROKEN', /8 attention heads cannot share 3/],
    [{ hidden_size: 'big' }, 'MODEL_BROKEN', /hidden_size/],
    [{ num_attention_heads: 64 }, 'MODEL_BROKEN', /head size 1/],
    [{ num_hidden_layers: 1e9 }, 'MODEL_BROKEN', /num_hidden_layers/],
    [{ num_hidden_layers: 2.5 }, 'MODEL_BROKEN', /num_hidden_layers/],
    [{ num_hidden_layers: '5' }, 'MODEL_BROKEN', /num_hidden_layers/],
    [{ vocab_size: 1e12 }, 'MODEL_BROKEN', /vocab_size/],
    [{ hidden_size: Number.NaN }, 'MODEL_BROKEN', /hidden_size/],
    [{ hidden_size: -64 }, 'MODEL_BROKEN', /hidden_size/],
    [{ rms_norm_eps: 0 }, 'MODEL_BROKEN', /rms_norm_eps/],
    [{ rms_norm_eps: Number.POSITIVE_INFINITY }, 'MODEL_BROKEN', /rms_norm_eps/],
    [{ tie_word_embeddings: 'yes' }, 'MODEL_BROKEN', /tie_word_embeddings/],
    [{ rope_theta: 'big' }, 'MODEL_BROKEN', /rope_theta/],
    [{ rope_theta: 0 }, 'MODEL_BROKEN', /rope_theta/],
    [{ eos_token_id: -7 }, 'MODEL_BROKEN', /eos_token_id/],
    [{ final_logit_softcapping: 30 }, 'MODEL_UNSUPPORTED', /final_logit_softcapping 30/],
    [{ is_causal: false }, 'MODEL_UNSUPPORTED', /is_causal false is not supported/],
    [{ logits_scaling: 8 }, 'MODEL_UNSUPPORTED', /logits_scaling 8/],
    [{ embedding_multiplier: 12 }, 'MODEL_UNSUPPORTED', /embedding_multiplier 12/],
    [{ attention_dropout: 0.1 }, 'MODEL_UNSUPPORTED', /attention_dropout 0.1/],
    [{ partial_rotary_factor: 0.5 }, 'MODEL_UNSUPPORTED', /partial_rotary_factor 0.5/],
    [{ quantization_config: { bits: 4 } }, 'MODEL_UNSUPPORTED', /the weights are quantised/],
    [{ num_local_experts: 8 }, 'MODEL_UNSUPPORTED', /num_local_experts 8/],
    [{ something_new: 'x' }, 'MODEL_UNSUPPORTED', /something_new "x" is not supported in a llama model/],
    [
      { rope_theta: 5e5, rope_parameters: { rope_theta: 1e4 } },
      'MODEL_BROKEN',
      /rope_theta 500000 and .* contradict/,
    ],
    [
      { rope_scaling: { type: 'linear', factor: 2 }, rope_parameters: { rope_type: 'default' } },
      'MODEL_BROKEN',
      /contradict/,
    ],
    [{ rope_scaling: { type: 'linear', rope_type: 'yarn', factor: 2 } }, 'MODEL_BROKEN', /contradict/],
    [{ rope_scaling: { type: 'linear' } }, 'MODEL_BROKEN', /of type linear lacks factor/],
    [{ rope_scaling: { type: 'dynamic' } }, 'MODEL_BROKEN', /of type dynamic lacks factor/],
    [
      { head_dim: 2, rope_scaling: { type: 'dynamic', factor: 2 } },
      'MODEL_BROKEN',
      /has no meaning with head size 2/,
    ],
    [
      { rope_theta: 1, rope_scaling: { type: 'yarn', factor: 2 } },
      'MODEL_BROKEN',
      /has no meaning .* theta 1/,
    ],
    [{ rope_scaling: { rope_type: 'llama3', ...llama3, low_freq_factor: 4 } }, 'MODEL_BROKEN', /contradict/],
    [
      { rope_scaling: { rope_type: 'longrope', factor: 2 } },
      'MODEL_UNSUPPORTED',
      /rope scaling of type longrope/,
    ],
    [{ rope_scaling: { rope_type: 'default', mrope_section: [1] } }, 'MODEL_UNSUPPORTED', /mrope_section/],
    [
      { rope_scaling: { rope_type: 'default', partial_rotary_factor: 0.5 } },
      'MODEL_UNSUPPORTED',
      /partial_rotary/,
    ],
    [
      { rope_parameters: { full_attention: { rope_theta: 1e6 } } },
      'MODEL_UNSUPPORTED',
      /rope_parameters.full_attention/,
    ],
    [
      { layer_types: ['full_attention'] },
      'MODEL_BROKEN',
      /layer_types names 1 layers, num_hidden_layers is 5/,
    ],
    [
      { layer_types: Array(5).fill('linear_attention') },
      'MODEL_UNSUPPORTED',
      /layer_types holds "linear_attention"/,
    ],
    [{ layer_types: Array(5).fill('sliding_attention') }, 'MODEL_UNSUPPORTED', /one kind of attention/],
    [
      { model_type: 'qwen2', num_key_value_heads: 8, layer_types: Array(5).fill('sliding_attention') },
      'MODEL_BROKEN',
      /layer_types has sliding_attention, use_sliding_window is false/,
    ],
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
