/**
 * A PEFT adapter folder as changes of its base model's weights: LoRA with its variants (rsLoRA, DoRA, PiSSA converted to LoRA),
 * and HiRA. PEFT keeps `lora_A` [r, in] and `lora_B` [out, r]; here A [m, r], B [r, n] are their transposes.
 *
 *   LoRA  ΔW = s A B,  s = α / r, α / √r with rsLoRA       exact from the factors, no base needed
 *   DoRA  ΔW = V diag(μ / ‖V_:j‖) − W0,  V = W0 + s A B
 *   HiRA  ΔW = W0 ⊙ (A B)
 */
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { RankscopeError } from '@rankscope/protocol'
import { z } from 'zod'
import type { SpectrumSource } from '../linalg/index.ts'
import type { ModelFolder } from '../model/folder.ts'
import { readJsonFile } from '../model/json-file.ts'
import { transpose } from '../model/parameters.ts'
import { openSafetensors, readFloat32, type TensorInfo } from '../model/safetensors.ts'
import type { Changes, ModuleChange } from './changes.ts'

const pattern = z.record(z.string(), z.number().positive()).nullable().default({})
const configSchema = z.object({
  peft_type: z.enum(['LORA', 'HIRA']),
  r: z.int().min(1),
  lora_alpha: z.number().default(8),
  use_rslora: z.boolean().default(false),
  use_dora: z.boolean().default(false),
  fan_in_fan_out: z.boolean().default(false),
  init_lora_weights: z.union([z.boolean(), z.string()]).default(true),
  rank_pattern: pattern,
  alpha_pattern: pattern,
  base_model_name_or_path: z.string().nullable().default(null),
})
type AdapterConfig = z.output<typeof configSchema>

type Tensors = { a?: TensorInfo; b?: TensorInfo; magnitude?: TensorInfo }

export function isAdapterFolder(folder: string): boolean {
  return existsSync(join(folder, 'adapter_config.json'))
}

/** Throws CONFIG_INVALID, MODEL_NOT_FOUND, MODEL_UNSUPPORTED or MODEL_BROKEN, naming the file and the tensor. */
export function openAdapter(folder: string, base: ModelFolder | null): Changes {
  const config = readAdapterConfig(folder)
  const weights = join(folder, 'adapter_model.safetensors')
  if (!statSync(weights, { throwIfNoEntry: false }))
    throw new RankscopeError('MODEL_NOT_FOUND', `${folder} has no adapter_model.safetensors`, {
      hint: 'Adapters as .bin files are not read: load the adapter with PEFT and save it with safe_serialization=True.',
    })
  const stored = openSafetensors(weights).tensors
  const isHira = config.peft_type === 'HIRA'
  if ((isHira || config.use_dora) && base === null)
    throw new RankscopeError(
      'CONFIG_INVALID',
      `${folder}: ΔW of ${isHira ? 'HiRA' : 'DoRA'} needs the base model`,
      {
        hint: `Name it with --base${config.base_model_name_or_path === null ? '' : `; the adapter says ${config.base_model_name_or_path}`}.`,
      },
    )
  const modules = [...byModule(stored.values(), weights)].map(([name, tensors]) =>
    moduleChange(name, tensors, config, base, weights),
  )
  if (modules.length === 0)
    throw new RankscopeError('MODEL_BROKEN', `${weights} holds no adapter of a linear layer`, {
      hint: 'It needs tensors named like base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight.',
    })
  return { title: titleOf(config), modules, notes: notesOf(config) }
}

function readAdapterConfig(folder: string): AdapterConfig {
  const file = join(folder, 'adapter_config.json')
  const parsed = configSchema.safeParse(readJsonFile(file, 'MODEL_BROKEN'))
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw new RankscopeError(
      'MODEL_UNSUPPORTED',
      `${file}: ${issue!.path.join('.') || 'it'} is not understood (${issue!.message})`,
      { hint: 'LoRA with rsLoRA and DoRA, PiSSA converted to LoRA, and HiRA are read.' },
    )
  }
  const config = parsed.data
  const { init_lora_weights: start, fan_in_fan_out: swapped } = config
  if (swapped) throw new RankscopeError('MODEL_UNSUPPORTED', `${file}: fan_in_fan_out weights are not read`)
  if (typeof start === 'string' && /^(pissa|olora|corda|lora_ga)/.test(start))
    throw new RankscopeError(
      'MODEL_UNSUPPORTED',
      `${file}: init_lora_weights is ${start}, so that the adapter belongs to a residual model, not to its base`,
      {
        hint: 'Convert it to a plain LoRA on the base when saving: model.save_pretrained(…, path_initial_model_for_weight_conversion=…).',
      },
    )
  return config
}

function* byModule(tensors: Iterable<TensorInfo>, file: string): Iterable<[string, Tensors]> {
  const found = new Map<string, Tensors>()
  for (const tensor of tensors) {
    const match =
      /^(?:base_model\.model\.)?(.+)\.(?:lora_(A|B)(?:\.\w+)?\.weight|hira_(A|B)(?:\.\w+)?|lora_(magnitude_vector)(?:\.\w+)?(?:\.weight)?)$/.exec(
        tensor.name,
      )
    if (!match)
      throw new RankscopeError(
        'MODEL_UNSUPPORTED',
        `${file}: tensor ${tensor.name} has no place in a linear adapter`,
        {
          hint: 'Adapters of embeddings, of whole modules (modules_to_save) and of biases are not read.',
        },
      )
    const name = match[1]!
    const of = found.get(name) ?? {}
    found.set(name, of)
    const role = match[2] ?? match[3]
    if (role === 'A') of.a = tensor
    else if (role === 'B') of.b = tensor
    else of.magnitude = tensor
  }
  yield* found
}

function moduleChange(
  name: string,
  { a, b, magnitude }: Tensors,
  config: AdapterConfig,
  base: ModelFolder | null,
  file: string,
): ModuleChange {
  const broken = (what: string) =>
    new RankscopeError('MODEL_BROKEN', `${file}: ${name}: ${what}`, {
      hint: 'adapter_config.json and adapter_model.safetensors do not belong together, or the file is incomplete.',
    })
  if (!a || !b) throw broken(`lora_${a ? 'B' : 'A'} is missing`)
  const rank = patterned(config.rank_pattern, name) ?? config.r
  const [rows, columns] = [a.shape[1] ?? 0, b.shape[0] ?? 0]
  if (a.shape.join() !== `${rank},${rows}` || b.shape.join() !== `${columns},${rank}`)
    throw broken(`shapes [${a.shape}] and [${b.shape}] are not those of rank ${rank}`)
  const spec = base?.specs.find((one) => one.name === `${name}.weight`)
  if (base && (!spec || spec.shape.join() !== `${rows},${columns}`))
    throw broken(
      spec
        ? `the base has [${[...spec.shape].reverse()}], the adapter is for [${columns},${rows}]`
        : 'the base has no such weight',
    )
  const alpha = patterned(config.alpha_pattern, name) ?? config.lora_alpha
  const scale = alpha / (config.use_rslora ? Math.sqrt(rank) : rank)
  if (config.use_dora && magnitude?.shape.join() !== `${columns}`)
    throw broken('use_dora is true, and lora_magnitude_vector is missing or of another length')
  const factors = (factor: number): SpectrumSource & { kind: 'factored' } => ({
    kind: 'factored',
    rows,
    columns,
    terms: [
      {
        left: transpose(readFloat32(a), rank, rows),
        right: transpose(readFloat32(b), columns, rank),
        inner: rank,
        factor,
      },
    ],
  })
  return {
    name,
    rows,
    columns,
    rank,
    base: () => (base && spec ? base.read(spec) : null),
    delta(before) {
      if (config.peft_type === 'HIRA') return hiraDelta(factors(1), before!)
      if (config.use_dora) return doraDelta(factors(scale), before!, readFloat32(magnitude!))
      return factors(scale)
    },
  }
}

type Factored = SpectrumSource & { kind: 'factored' }

/** factor A B [m, n] in float64. */
function product({ rows, columns, terms }: Factored): Float64Array {
  const sum = new Float64Array(rows * columns)
  for (const { left, right, inner, factor } of terms)
    for (let i = 0; i < rows; i++)
      for (let k = 0; k < inner; k++) {
        const value = factor * left[i * inner + k]!
        for (let j = 0; j < columns; j++) sum[i * columns + j]! += value * right[k * columns + j]!
      }
  return sum
}

function hiraDelta(factors: Factored, base: Float32Array): SpectrumSource {
  const { rows, columns } = factors
  const after = product(factors).map((value, i) => value * base[i]!)
  return { kind: 'dense', rows, columns, after, before: null }
}

function doraDelta(factors: Factored, base: Float32Array, magnitude: Float32Array): SpectrumSource {
  const { rows, columns } = factors
  const direction = product(factors).map((value, i) => value + base[i]!)
  const squares = new Float64Array(columns)
  for (let i = 0; i < direction.length; i++) squares[i % columns]! += direction[i]! ** 2
  const after = direction.map((value, i) => {
    const j = i % columns
    return squares[j] === 0 ? -base[i]! : (value * magnitude[j]!) / Math.sqrt(squares[j]!) - base[i]!
  })
  return { kind: 'dense', rows, columns, after, before: null }
}

/** PEFT's patterns are regular expressions for the end of a module's name; the first that fits counts. */
function patterned(patterns: Record<string, number> | null, name: string): number | null {
  for (const [key, value] of Object.entries(patterns ?? {}))
    if (new RegExp(`^(.*\\.)?(${key})$`).test(name)) return value
  return null
}

function titleOf({ peft_type: type, r, lora_alpha: alpha, use_rslora, use_dora }: AdapterConfig): string {
  if (type === 'HIRA') return `HiRA, r = ${r}`
  return `${use_dora ? 'DoRA' : use_rslora ? 'rsLoRA' : 'LoRA'}, r = ${r}, α = ${alpha}`
}

function notesOf({ base_model_name_or_path: base, rank_pattern, alpha_pattern }: AdapterConfig): string[] {
  const isVaried = Object.keys({ ...rank_pattern, ...alpha_pattern }).length > 0
  return [
    ...(base === null ? [] : [`the adapter names ${base} as its base`]),
    ...(isVaried ? ['rank or α differ between modules'] : []),
  ]
}
