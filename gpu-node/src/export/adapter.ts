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
  /** μ [n], with DoRA alone. */
  readonly magnitude?: Float32Array
}

export interface LoraAdapter {
  /** lora: ΔW = s A B. dora: W' = V diag(μ / ‖V_:j‖), V = W + s A B. hira: ΔW = W ⊙ (A B), without a scale. */
  readonly form?: 'lora' | 'dora' | 'hira'
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
  // PEFT keeps HiRA's factors as parameters, LoRA's as linear layers, and DoRA's magnitude without a suffix.
  const [nameA, nameB] = adapter.form === 'hira' ? ['hira_A', 'hira_B'] : ['lora_A.weight', 'lora_B.weight']
  const tensors = adapter.pairs.flatMap(({ module, rows, columns, a, b, magnitude }): TensorToWrite[] => {
    const place = `base_model.model.${module}`
    const stored = (name: string, values: Float32Array, height: number, width: number): TensorToWrite => ({
      name: `${place}.${name}`,
      dtype: 'F32',
      shape: [width, height],
      values: () => transpose(values, height, width),
    })
    const factors = [stored(nameA, a, rows, adapter.rank), stored(nameB, b, adapter.rank, columns)]
    if (!magnitude) return factors
    const name = `${place}.lora_magnitude_vector`
    return [...factors, { name, dtype: 'F32', shape: [columns], values: magnitude }]
  })
  await writeSafetensors(join(folder, 'adapter_model.safetensors'), tensors)
  writeJsonFile(join(folder, 'adapter_config.json'), adapterConfig(adapter, baseModel))
}

/**
 * `init_lora_weights` is true whatever the method was: with "pissa" PEFT would decompose the base anew on loading and
 * subtract its principal part. Unknown keys fail in older PEFT versions, so there are none.
 */
function adapterConfig(adapter: LoraAdapter, baseModel: string): object {
  const common = {
    base_model_name_or_path: baseModel,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    layers_pattern: null,
    layers_to_transform: null,
    modules_to_save: null,
    r: adapter.rank,
    rank_pattern: {},
    revision: null,
    target_modules: [
      ...new Set(adapter.pairs.map(({ module }) => module.split('.').at(-1) as string)),
    ].sort(),
    task_type: 'CAUSAL_LM',
  }
  if (adapter.form === 'hira')
    return { ...common, hira_dropout: adapter.dropout, init_weights: true, peft_type: 'HIRA' }
  return {
    ...common,
    alpha_pattern: {},
    init_lora_weights: true,
    lora_alpha: adapter.alpha,
    lora_dropout: adapter.dropout,
    peft_type: 'LORA',
    use_dora: adapter.form === 'dora',
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

/** The K devices of one module: A [K, m, r], B [K, r, n] and the sums c Σ_t dA, c Σ_t dB of their changes. */
export interface FirstOrderSums {
  readonly module: string
  readonly rows: number
  readonly columns: number
  readonly a: Float32Array
  readonly b: Float32Array
  readonly sumA: Float32Array
  readonly sumB: Float32Array
}

/**
 * HD-PiSSA's first-order part as a LoRA adapter of rank 2Kr (METHODS 2.4): with A and B fixed,
 * Σ_k (S_A,k B_k + A_k S_B,k) = [S_A,1 … S_A,K, A_1 … A_K] [B_1; …; B_K; S_B,1; …; S_B,K]. α = 2Kr, so that PEFT's scale is 1.
 */
export function firstOrderAsLora(
  rank: number,
  devices: number,
  modules: readonly FirstOrderSums[],
): LoraAdapter {
  const whole = 2 * devices * rank
  const pairs = modules.map(({ module, rows, columns, a, b, sumA, sumB }) => {
    const left = new Float32Array(rows * whole)
    for (const [place, values] of [sumA, a].entries())
      for (let k = 0; k < devices; k++)
        for (let i = 0; i < rows; i++)
          left.set(
            values.subarray((k * rows + i) * rank, (k * rows + i + 1) * rank),
            i * whole + (place * devices + k) * rank,
          )
    // Devices lie one after the other already: [K, r, n] is [Kr, n].
    const right = new Float32Array(whole * columns)
    right.set(b)
    right.set(sumB, b.length)
    return { module, rows, columns, a: left, b: right }
  })
  return { rank: whole, alpha: whole, rankStabilized: false, dropout: 0, pairs }
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
