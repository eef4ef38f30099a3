/**
 * `config.json` of the Llama family: llama, mistral, qwen2 and qwen3.
 *
 * Both styles are read: the old one (`rope_theta`, `rope_scaling`, `torch_dtype`) and the one that transformers 5 writes
 * (`rope_parameters`, `dtype`). Only the old one is written. What is left out takes the default that transformers has
 * for the family; what we would compute wrongly is refused.
 */
import { parseOrThrow, RankscopeError } from '@rankscope/protocol'
import { z } from 'zod'
import { brokenConfig, checkKeys, type Family, families } from './config-keys.ts'
import { formatRope, parseRope, type Rope } from './rope-config.ts'
import { formatWindow, type SlidingWindow, slidingWindow } from './window-config.ts'

export interface LlamaConfig extends Rope, SlidingWindow {
  readonly modelType: Family
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
  readonly tiedEmbeddings: boolean
  /** Biases on q_proj, k_proj and v_proj. */
  readonly queryKeyValueBias: boolean
  /** A bias on o_proj. */
  readonly outputBias: boolean
  /** Biases on gate_proj, up_proj and down_proj. */
  readonly mlpBias: boolean
  /** Queries and keys are normalised head by head before they are rotated (Qwen3). */
  readonly queryKeyNorm: boolean
  readonly beginTokenId: number | null
  /** Tokens that end a text. */
  readonly endTokenIds: readonly number[]
}

/** Bounds keep a damaged file from being built; no model comes near them. */
const size = (largest: number) => z.int().min(1).max(largest)
const heads = size(4096)
const tokenId = z
  .int()
  .min(-1)
  .max(2 ** 31)
const fileSchema = z.object({
  model_type: z.enum(families),
  hidden_size: size(2 ** 18),
  intermediate_size: size(2 ** 21),
  num_hidden_layers: size(2000),
  num_attention_heads: heads,
  num_key_value_heads: heads.nullish(),
  head_dim: size(2 ** 14).nullish(),
  vocab_size: size(2 ** 24),
  max_position_embeddings: size(2 ** 31).optional(),
  rms_norm_eps: z.number().positive().max(1).default(1e-6),
  tie_word_embeddings: z.boolean().default(false),
  attention_bias: z.boolean().nullish(),
  mlp_bias: z.boolean().nullish(),
  sliding_window: size(2 ** 31).nullish(),
  use_sliding_window: z.boolean().nullish(),
  max_window_layers: z.int().min(0).nullish(),
  layer_types: z.array(z.string()).nullish(),
  hidden_act: z.string().default('silu'),
  bos_token_id: tokenId.nullish(),
  eos_token_id: z.union([tokenId, z.array(tokenId)]).nullish(),
})
type ConfigFile = z.output<typeof fileSchema>

/** What transformers takes where a key is absent; null for the number of query heads. */
const defaults: Record<
  Family,
  { keyValueHeads: number | null; headDim: number | null; maxPositions: number }
> = {
  llama: { keyValueHeads: null, headDim: null, maxPositions: 2048 },
  mistral: { keyValueHeads: 8, headDim: null, maxPositions: 131_072 },
  qwen2: { keyValueHeads: 32, headDim: null, maxPositions: 32_768 },
  qwen3: { keyValueHeads: 32, headDim: 128, maxPositions: 32_768 },
}

/** The parsed config. `file` names the source in errors; they are those of `readConfigFile`. */
export function parseConfig(raw: unknown, file: string): LlamaConfig {
  return readConfigFile(raw, file).config
}

/**
 * The parsed config, and sentences about what it says without effect. Throws MODEL_UNSUPPORTED for another family or a
 * variant that is not computed here, MODEL_BROKEN for values that are none or contradict one another.
 */
export function readConfigFile(
  raw: unknown,
  file: string,
): { config: LlamaConfig; notes: readonly string[] } {
  const modelType = (raw as { model_type?: unknown } | null)?.model_type
  if (!(families as readonly unknown[]).includes(modelType))
    throw new RankscopeError(
      'MODEL_UNSUPPORTED',
      `${file}: model_type ${JSON.stringify(modelType)} is not of the Llama family`,
      {
        hint: 'Supported are Llama 2 and 3, Mistral, Qwen2 and Qwen3 folders with dense layers.',
      },
    )
  const family = modelType as Family
  const notes = checkKeys(raw as Record<string, unknown>, family, file)
  const fields = parseOrThrow(fileSchema, raw, 'MODEL_BROKEN', file)
  if (fields.hidden_act !== 'silu' && fields.hidden_act !== 'swish')
    throw new RankscopeError(
      'MODEL_UNSUPPORTED',
      `${file}: hidden_act ${fields.hidden_act} is not supported`,
      {
        hint: 'Only silu is.',
      },
    )
  const maxPositions = fields.max_position_embeddings ?? defaults[family].maxPositions
  const { rope, notes: ropeNotes } = parseRope(raw, maxPositions, file)
  const shape = headShape(fields, file)
  const { type: scaling } = rope.ropeScaling ?? {}
  if ((scaling === 'dynamic' && shape.headDim < 4) || (scaling === 'yarn' && rope.ropeTheta <= 1))
    throw brokenConfig(
      file,
      `rope scaling of type ${scaling} has no meaning with head size ${shape.headDim} and theta ${rope.ropeTheta}`,
    )
  const named = [fields.eos_token_id ?? []].flat()
  const endTokenIds = named.filter((id) => id >= 0 && id < fields.vocab_size)
  for (const id of named.filter((one) => one >= fields.vocab_size))
    notes.push(
      `${file}: eos_token_id ${id} is outside the vocabulary of ${fields.vocab_size}; no text ends with it`,
    )
  const config: LlamaConfig = {
    modelType: family,
    hiddenSize: fields.hidden_size,
    intermediateSize: fields.intermediate_size,
    layers: fields.num_hidden_layers,
    ...shape,
    vocabularySize: fields.vocab_size,
    maxPositions,
    rmsNormEpsilon: fields.rms_norm_eps,
    ...rope,
    tiedEmbeddings: fields.tie_word_embeddings,
    ...biases(fields),
    queryKeyNorm: family === 'qwen3',
    ...slidingWindow(fields, file),
    beginTokenId: fields.bos_token_id === -1 ? null : (fields.bos_token_id ?? null),
    endTokenIds,
  }
  return { config, notes: [...notes, ...ropeNotes] }
}

/** The config as the JSON that transformers, PEFT and vLLM read. `dtype` is that of the stored weights. */
export function formatConfig(config: LlamaConfig, dtype: 'float32' | 'float16' | 'bfloat16'): object {
  const { endTokenIds, modelType } = config
  return {
    architectures: [
      {
        llama: 'LlamaForCausalLM',
        mistral: 'MistralForCausalLM',
        qwen2: 'Qwen2ForCausalLM',
        qwen3: 'Qwen3ForCausalLM',
      }[modelType],
    ],
    ...(modelType === 'llama' || modelType === 'qwen3' ? { attention_bias: config.queryKeyValueBias } : {}),
    ...(modelType === 'llama' ? { mlp_bias: config.mlpBias } : {}),
    attention_dropout: 0,
    bos_token_id: config.beginTokenId,
    eos_token_id: endTokenIds.length > 1 ? endTokenIds : (endTokenIds[0] ?? null),
    head_dim: config.headDim,
    hidden_act: 'silu',
    hidden_size: config.hiddenSize,
    initializer_range: 0.02,
    intermediate_size: config.intermediateSize,
    max_position_embeddings: config.maxPositions,
    model_type: modelType,
    num_attention_heads: config.heads,
    num_hidden_layers: config.layers,
    num_key_value_heads: config.keyValueHeads,
    rms_norm_eps: config.rmsNormEpsilon,
    ...formatRope(config),
    ...formatWindow(config),
    tie_word_embeddings: config.tiedEmbeddings,
    torch_dtype: dtype,
    use_cache: true,
    vocab_size: config.vocabularySize,
  }
}

/** Of keys that a family does not read `checkKeys` tells. */
function biases({
  model_type: family,
  attention_bias: attention,
  mlp_bias: mlp,
}: ConfigFile): Pick<LlamaConfig, 'queryKeyValueBias' | 'outputBias' | 'mlpBias'> {
  const everywhere = (family === 'llama' || family === 'qwen3') && attention === true
  return {
    queryKeyValueBias: family === 'qwen2' || everywhere,
    outputBias: everywhere,
    mlpBias: family === 'llama' && mlp === true,
  }
}

function headShape(
  fields: ConfigFile,
  file: string,
): Pick<LlamaConfig, 'heads' | 'keyValueHeads' | 'headDim'> {
  const { keyValueHeads: shared, headDim: width } = defaults[fields.model_type]
  const heads = fields.num_attention_heads
  const keyValueHeads =
    fields.num_key_value_heads === undefined ? (shared ?? heads) : (fields.num_key_value_heads ?? heads)
  const headDim = fields.head_dim ?? width ?? fields.hidden_size / heads
  if (heads % keyValueHeads !== 0)
    throw brokenConfig(file, `${heads} attention heads cannot share ${keyValueHeads} key-value heads`)
  if (!Number.isInteger(headDim) || headDim % 2 !== 0)
    throw brokenConfig(file, `head size ${headDim} is not an even whole number`)
  return { heads, keyValueHeads, headDim }
}
