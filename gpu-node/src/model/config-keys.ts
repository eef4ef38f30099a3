/**
 * Which keys of a `config.json` are known, per family. A key that may change what the model computes and is not
 * understood here is refused: the weights would train as another model than they are, without a word.
 */
import { RankscopeError } from '@rankscope/protocol'

export const families = ['llama', 'mistral', 'qwen2', 'qwen3'] as const
export type Family = (typeof families)[number]

/** Read by config.ts for every family. */
const understood = [
  ...['model_type', 'hidden_size', 'intermediate_size', 'num_hidden_layers', 'num_attention_heads'],
  ...['num_key_value_heads', 'head_dim', 'vocab_size', 'max_position_embeddings', 'rms_norm_eps'],
  ...['rope_theta', 'rope_scaling', 'rope_parameters', 'original_max_position_embeddings'],
  ...['tie_word_embeddings', 'hidden_act', 'bos_token_id', 'eos_token_id', 'layer_types'],
]
const understoodBy: Record<Family, readonly string[]> = {
  llama: ['attention_bias', 'mlp_bias'],
  mistral: ['sliding_window'],
  qwen2: ['use_sliding_window', 'sliding_window', 'max_window_layers'],
  qwen3: ['attention_bias', 'use_sliding_window', 'sliding_window', 'max_window_layers'],
}

/** Names, bookkeeping of libraries, how text is generated, how weights are initialised: no forward pass reads them. */
const harmless = new Set([
  ...['architectures', 'dtype', 'torch_dtype', 'transformers_version', 'use_cache', 'initializer_range'],
  ...[
    'pad_token_id',
    'unk_token_id',
    'sep_token_id',
    'cls_token_id',
    'mask_token_id',
    'decoder_start_token_id',
  ],
  ...[
    'tokenizer_class',
    'model_max_length',
    'max_sequence_length',
    'name',
    'model_name',
    'license',
    'language',
  ],
  ...['id2label', 'label2id', 'num_labels', 'problem_type', 'finetuning_task', 'task_specific_params'],
  ...[
    'output_attentions',
    'output_hidden_states',
    'return_dict',
    'torchscript',
    'prefix',
    'keys_to_ignore_at_inference',
  ],
  ...[
    'max_length',
    'max_new_tokens',
    'min_length',
    'do_sample',
    'early_stopping',
    'num_beams',
    'num_beam_groups',
  ],
  ...[
    'temperature',
    'top_k',
    'top_p',
    'typical_p',
    'repetition_penalty',
    'length_penalty',
    'diversity_penalty',
  ],
  ...['no_repeat_ngram_size', 'num_return_sequences', 'forced_bos_token_id', 'forced_eos_token_id'],
  ...['bad_words_ids', 'suppress_tokens', 'begin_suppress_tokens', 'remove_invalid_values'],
  ...[
    'exponential_decay_length_penalty',
    'encoder_no_repeat_ngram_size',
    'output_scores',
    'return_dict_in_generate',
  ],
  ...['attn_implementation', 'use_flash_attn', 'use_flash_attention', 'gradient_checkpointing'],
  ...['unsloth_version', 'unsloth_fixed', 'unsloth_tokenizer_fixed', 'base_model', 'base_model_name_or_path'],
  // The slices of a product add up to the product.
  'pretraining_tp',
  // Chunks of the feed-forward layer are computed one after another.
  'chunk_size_feed_forward',
])

/** Keys whose given value is that of a plain model. Any other changes the computation. */
const neutral: Readonly<Record<string, readonly unknown[]>> = {
  attention_dropout: [0],
  attn_pdrop: [0],
  embd_pdrop: [0],
  resid_pdrop: [0],
  hidden_dropout: [0],
  residual_dropout: [0],
  embedding_dropout: [0],
  partial_rotary_factor: [1],
  rotary_pct: [1],
  logit_scale: [1],
  logits_scaling: [1],
  residual_multiplier: [1],
  embedding_multiplier: [1],
  scale_emb: [1],
  scale_depth: [1],
  num_experts: [0, 1],
  num_local_experts: [0, 1],
  is_causal: [true],
}

/** Queries would see what follows them: transformers reads the key in every family, for models that embed texts. */
const meaningWhenFalse = new Set(['is_causal'])

/** What one family reads and another does not: without effect there, and told. Biases that are stored all the same are refused. */
const readByOthers = new Set(Object.values(understoodBy).flat())

/**
 * Throws MODEL_UNSUPPORTED for a key that is not known for the family; gives back sentences about keys that have no
 * effect.
 */
export function checkKeys(raw: Readonly<Record<string, unknown>>, family: Family, file: string): string[] {
  const known = new Set([...understood, ...understoodBy[family]])
  const notes: string[] = []
  for (const [key, value] of Object.entries(raw)) {
    if (known.has(key) || harmless.has(key) || key.startsWith('_') || neutral[key]?.includes(value)) continue
    if (isEmpty(value) && !(value === false && meaningWhenFalse.has(key))) continue
    if (key === 'auto_map') {
      notes.push(`${file}: auto_map names code that comes with the model; it is not run`)
      continue
    }
    if (readByOthers.has(key)) {
      notes.push(`${file}: ${key} ${JSON.stringify(value)} has no effect in a ${family} model`)
      continue
    }
    throw unknownKey(key, value, family, file)
  }
  return notes
}

/** Null, false, and lists and maps of nothing ask for nothing. */
function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === false) return true
  return typeof value === 'object' && Object.keys(value).length === 0
}

function unknownKey(key: string, value: unknown, family: Family, file: string): RankscopeError {
  const shown = JSON.stringify(value)
  const what = `${file}: ${key} ${shown.length > 100 ? `${shown.slice(0, 100)}…` : shown}`
  if (key === 'quantization_config' || key === 'quantization' || key === 'compression_config')
    return new RankscopeError('MODEL_UNSUPPORTED', `${what}: the weights are quantised`, {
      hint: "Take the model as it was before, or write it out: python -c \"from transformers import AutoModelForCausalLM as M; M.from_pretrained('FOLDER').dequantize().save_pretrained('NEW')\"",
    })
  return new RankscopeError('MODEL_UNSUPPORTED', `${what} is not supported in a ${family} model`, {
    hint: 'If it does not change what the model computes, take the key out of config.json.',
  })
}

/** For values that are none or contradict one another. */
export function brokenConfig(file: string, what: string): RankscopeError {
  return new RankscopeError('MODEL_BROKEN', `${file}: ${what}`, {
    hint: 'Fetch config.json again, or take the numbers that the model was trained with.',
  })
}
