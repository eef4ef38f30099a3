/**
 * Low-rank adapters as PEFT stores them, from plain arrays in the papers' orientation (METHODS 5.6).
 *
 * Here a pair is A [m, r] and B [r, n] with ΔW = scale A B [m, n]. PEFT keeps the transposes: `lora_A.weight` = Aᵀ
 * [r, in], `lora_B.weight` = Bᵀ [out, r].
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { transpose } from '../model/parameters.ts'
import { type TensorToWrite, writeSafetensors } from '../model/safetensors.ts'
import { writeJsonFile } from '../model/save.ts'

/** The adapter of one module: a [m, r], b [r, n], row-major. */
export interface AdapterPair {
  /** E.g. `model.layers.0.self_attn.q_proj`. */
  readonly module: string
  readonly rows: number
  readonly columns: number
  readonly a: Float32Array
  readonly b: Float32Array
}

export interface LoraAdapter {
  /** r, the same in every module. */
  readonly rank: number
  readonly alpha: number
  /** Scale α/√r in place of α/r. */
  readonly rankStabilized: boolean
  readonly dropout: number
  readonly pairs: readonly AdapterPair[]
}

/** Writes `adapter_config.json` and `adapter_model.safetensors`, for the base model named by `baseModel`. */
export async function writeLoraAdapter(
  folder: string,
  adapter: LoraAdapter,
  baseModel: string,
): Promise<void> {
  mkdirSync(folder, { recursive: true })
  const tensors = adapter.pairs.flatMap(({ module, rows, columns, a, b }): TensorToWrite[] => {
    const stored = (name: string, values: Float32Array, height: number, width: number): TensorToWrite => ({
      name: `base_model.model.${module}.${name}.weight`,
      dtype: 'F32',
      shape: [width, height],
      values: () => transpose(values, height, width),
    })
    return [stored('lora_A', a, rows, adapter.rank), stored('lora_B', b, adapter.rank, columns)]
  })
  await writeSafetensors(join(folder, 'adapter_model.safetensors'), tensors)
  writeJsonFile(join(folder, 'adapter_config.json'), adapterConfig(adapter, baseModel))
}

/**
 * `init_lora_weights` is true whatever the method was: with "pissa" PEFT would decompose the base anew on loading and
 * subtract its principal part. Unknown keys fail in older PEFT versions, so there are none.
 */
function adapterConfig(adapter: LoraAdapter, baseModel: string): object {
  return {
    alpha_pattern: {},
    base_model_name_or_path: baseModel,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    layers_pattern: null,
    layers_to_transform: null,
    lora_alpha: adapter.alpha,
    lora_dropout: adapter.dropout,
    modules_to_save: null,
    peft_type: 'LORA',
    r: adapter.rank,
    rank_pattern: {},
    revision: null,
    target_modules: [
      ...new Set(adapter.pairs.map(({ module }) => module.split('.').at(-1) as string)),
    ].sort(),
    task_type: 'CAUSAL_LM',
    use_dora: false,
    use_rslora: adapter.rankStabilized,
  }
}

/** A pair after training and as it was at the start. */
export interface PissaPair extends AdapterPair {
  readonly initialA: Float32Array
  readonly initialB: Float32Array
}

/**
 * PiSSA as a LoRA adapter of rank 2r on the original base (METHODS 2.3):
 * ΔW = s (A B − A0 B0) = s [A, A0] [B; −B0]. α doubles with r, so that s = α/r stays.
 */
export function pissaAsLora(rank: number, alpha: number, pairs: readonly PissaPair[]): LoraAdapter {
  return {
    rank: 2 * rank,
    alpha: 2 * alpha,
    rankStabilized: false,
    dropout: 0,
    pairs: pairs.map(({ module, rows, columns, a, b, initialA, initialB }) => ({
      module,
      rows,
      columns,
      a: joinColumns(a, initialA, rows, rank),
      b: Float32Array.from([...b, ...initialB.map((value) => -value)]),
    })),
  }
}

/** [left, right] of two row-major [rows, width] matrices. */
function joinColumns(left: Float32Array, right: Float32Array, rows: number, width: number): Float32Array {
  const joined = new Float32Array(2 * rows * width)
  for (let row = 0; row < rows; row++) {
    joined.set(left.subarray(row * width, (row + 1) * width), 2 * row * width)
    joined.set(right.subarray(row * width, (row + 1) * width), (2 * row + 1) * width)
  }
  return joined
}
