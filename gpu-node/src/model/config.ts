/**
 * `config.json` of the Llama family: llama, mistral and qwen2.
 *
 * Both styles are read: the old one (`rope_theta`, `rope_scaling`, `torch_dtype`) and the one that
 * transformers 5 writes (`rope_parameters`, `dtype`). Only the old one is written, because old readers silently
 * take theta = 10,000 when they find the new key alone. A variant that we would compute wrongly is refused.
 */
import { parseOrThrow, RankscopeError } from '@rankscope/protocol'
import { z } from 'zod'

/** Llama 3.1's stretching of the slow rotary frequencies. */
export interface RopeScaling {
  readonly factor: number
  readonly lowFrequencyFactor: number
  readonly highFrequencyFactor: number
  readonly originalMaxPositions: number
}

export interface LlamaConfig {
  readonly modelType: 'llama' | 'mistral' | 'qwen2'
  readonly hiddenSize: number
  readonly intermediateSize: number
  readonly layers: number
  readonly heads: number
  readonly keyValueHeads: number
  readonly headDim: number
  readonly vocabularySize: number
  /** Longest sequence the model was made for, in tokens. */
  readonly maxPositions: number
  readonly rmsNormEpsilon: number
  readonly ropeTheta: number
  readonly ropeScaling: RopeScaling | null
  readonly tiedEmbeddings: boolean
  /** Biases on q_proj, k_proj and v_proj (Qwen2). */
  readonly attentionBias: boolean
  /** Number of keys that a query sees, itself included, or null for all. */
  readonly slidingWindow: number | null
  /** Layers below this index ignore the sliding window. */
  readonly fullAttentionLayers: number
  readonly beginTokenId: number | null
  /** Tokens that end a text; the first is the one that is appended to training examples. */
  readonly endTokenIds: readonly number[]
}

const size = z.int().min(1)
const tokenIds = z.union([z.int(), z.array(z.int())]).nullish()
const ropeSchema = z
  .object({
    rope_type: z.string().optional(),
    type: z.string().optional(),
    rope_theta: z.number().positive().optional(),
    factor: z.number().positive().optional(),
    low_freq_factor: z.number().positive().optional(),
    high_freq_factor: z.number().positive().optional(),
    original_max_position_embeddings: size.optional(),
  })
  .nullish()

const fileSchema = z.object({
  model_type: z.enum(['llama', 'mistral', 'qwen2']),
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  num_key_value_heads: size.nullish(),
  head_dim: size.nullish(),
  vocab_size: size,
  max_position_embeddings: size.default(2048),
  rms_norm_eps: z.number().positive().default(1e-6),
  rope_theta: z.number().positive().optional(),
  rope_scaling: ropeSchema,
  rope_parameters: ropeSchema,
  tie_word_embeddings: z.boolean().default(false),
  attention_bias: z.boolean().nullish(),
  mlp_bias: z.boolean().nullish(),
  sliding_window: size.nullish(),
  use_sliding_window: z.boolean().nullish(),
  max_window_layers: z.int().min(0).nullish(),
  hidden_act: z.string().default('silu'),
  bos_token_id: z.int().nullish(),
  eos_token_id: tokenIds,
})
type ConfigFile = z.output<typeof fileSchema>

/**
 * The parsed config. `file` names the source in errors. Throws MODEL_UNSUPPORTED for another family or variant,
 * MODEL_BROKEN for values that contradict one another.
 */
export function parseConfig(raw: unknown, file: string): LlamaConfig {
  const modelType = (raw as { model_type?: unknown } | null)?.model_type
  if (!(fileSchema.shape.model_type.options as readonly unknown[]).includes(modelType))
    throw unsupported(file, `model_type ${JSON.stringify(modelType)} is not of the Llama family`)
  const fields = parseOrThrow(fileSchema, raw, 'MODEL_BROKEN', file)
  refuseVariants(fields, file)
  const heads = fields.num_attention_heads
  const keyValueHeads = fields.num_key_value_heads ?? heads
  if (heads % keyValueHeads !== 0)
    throw new RankscopeError(
      'MODEL_BROKEN',
      `${file}: ${heads} attention heads cannot share ${keyValueHeads} key-value heads`,
    )
  const headDim = fields.head_dim ?? fields.hidden_size / heads
  if (!Number.isInteger(headDim) || headDim % 2 !== 0)
    throw new RankscopeError('MODEL_BROKEN', `${file}: head size ${headDim} is not an even whole number`)
  const rope = fields.rope_parameters ?? fields.rope_scaling
  return {
    modelType: fields.model_type,
    hiddenSize: fields.hidden_size,
    intermediateSize: fields.intermediate_size,
    layers: fields.num_hidden_layers,
    heads,
    keyValueHeads,
    headDim,
    vocabularySize: fields.vocab_size,
    maxPositions: fields.max_position_embeddings,
    rmsNormEpsilon: fields.rms_norm_eps,
    ropeTheta: fields.rope_parameters?.rope_theta ?? fields.rope_theta ?? 10_000,
    ropeScaling: parseRopeScaling(rope, file),
    tiedEmbeddings: fields.tie_word_embeddings,
    attentionBias: fields.model_type === 'qwen2',
    ...slidingWindow(fields),
    beginTokenId: fields.bos_token_id ?? null,
    endTokenIds: [fields.eos_token_id ?? []].flat(),
  }
}

/** The config as the JSON that transformers, PEFT and vLLM read. `dtype` is that of the stored weights. */
export function formatConfig(config: LlamaConfig, dtype: 'float32' | 'float16' | 'bfloat16'): object {
  const { ropeScaling, endTokenIds } = config
  return {
    architectures: [
      { llama: 'LlamaForCausalLM', mistral: 'MistralForCausalLM', qwen2: 'Qwen2ForCausalLM' }[
        config.modelType
      ],
    ],
    ...(config.modelType === 'llama' ? { attention_bias: false, mlp_bias: false } : {}),
    attention_dropout: 0,
    bos_token_id: config.beginTokenId,
    eos_token_id: endTokenIds.length > 1 ? endTokenIds : (endTokenIds[0] ?? null),
    head_dim: config.headDim,
    hidden_act: 'silu',
    hidden_size: config.hiddenSize,
    initializer_range: 0.02,
    intermediate_size: config.intermediateSize,
    max_position_embeddings: config.maxPositions,
    model_type: config.modelType,
    num_attention_heads: config.heads,
    num_hidden_layers: config.layers,
    num_key_value_heads: config.keyValueHeads,
    rms_norm_eps: config.rmsNormEpsilon,
    rope_scaling: ropeScaling && {
      rope_type: 'llama3',
      factor: ropeScaling.factor,
      low_freq_factor: ropeScaling.lowFrequencyFactor,
      high_freq_factor: ropeScaling.highFrequencyFactor,
      original_max_position_embeddings: ropeScaling.originalMaxPositions,
    },
    rope_theta: config.ropeTheta,
    ...(config.modelType === 'llama' ? {} : { sliding_window: config.slidingWindow }),
    ...(config.modelType === 'qwen2'
      ? { use_sliding_window: config.slidingWindow !== null, max_window_layers: config.fullAttentionLayers }
      : {}),
    tie_word_embeddings: config.tiedEmbeddings,
    torch_dtype: dtype,
    use_cache: true,
    vocab_size: config.vocabularySize,
  }
}

/** Mistral's window holds in every layer; Qwen2's only when switched on, from `max_window_layers` upward. */
function slidingWindow(fields: ConfigFile): Pick<LlamaConfig, 'slidingWindow' | 'fullAttentionLayers'> {
  const window = fields.sliding_window ?? null
  if (fields.model_type === 'mistral') return { slidingWindow: window, fullAttentionLayers: 0 }
  if (fields.model_type === 'qwen2' && fields.use_sliding_window)
    return { slidingWindow: window, fullAttentionLayers: fields.max_window_layers ?? 28 }
  return { slidingWindow: null, fullAttentionLayers: fields.num_hidden_layers }
}

function parseRopeScaling(rope: z.output<typeof ropeSchema>, file: string): RopeScaling | null {
  const type = rope?.rope_type ?? rope?.type ?? 'default'
  if (!rope || type === 'default') return null
  if (type !== 'llama3') throw unsupported(file, `rope scaling of type ${type}`)
  const {
    factor,
    low_freq_factor: low,
    high_freq_factor: high,
    original_max_position_embeddings: original,
  } = rope
  if (factor === undefined || low === undefined || high === undefined || original === undefined)
    throw new RankscopeError('MODEL_BROKEN', `${file}: rope scaling llama3 lacks one of its four numbers`)
  return { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions: original }
}

function refuseVariants(fields: ConfigFile, file: string): void {
  if (fields.hidden_act !== 'silu') throw unsupported(file, `hidden_act ${fields.hidden_act} (only silu)`)
  if (fields.mlp_bias) throw unsupported(file, 'mlp_bias')
  if (fields.attention_bias && fields.model_type !== 'qwen2') throw unsupported(file, 'attention_bias')
}

function unsupported(file: string, what: string): RankscopeError {
  return new RankscopeError('MODEL_UNSUPPORTED', `${file}: ${what}`, {
    hint: 'Supported are Llama 2 and 3, Mistral and Qwen2 folders with dense layers.',
  })
}
