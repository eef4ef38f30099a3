/** What a golden case stores: expected results, and the final ΔW of the float64 truth and of the float32 reference. */
import { readFileSync } from 'node:fs'
import { openModelFolder } from '../../gpu-node/src/model/folder.ts'
import { openSafetensors, readFloat32, readFloat64 } from '../../gpu-node/src/model/safetensors.ts'
import { sharedPath } from '../../gpu-node/src/testing/shared-material.ts'
import { type GoldenConfig, readGoldenConfig } from '../../gpu-node/src/testing/training/golden-case.ts'

/** The largest distances of a run from another one. */
export interface Distances {
  readonly loss_max_relative: number
  readonly delta_w_frobenius_max_relative: number
  readonly delta_w_final_relative_frobenius_error_max: number
  readonly delta_w_final_relative_frobenius_error_median: number
  readonly singular_values_max_abs_over_s1: number
  /** NaN where the case stores no gradient norms. */
  readonly gradient_norm_max_relative: number
}
export type Metric = keyof Distances

/** Results as stored; ‖ΔW‖_F only of the modules that the case follows. */
export interface Results {
  readonly loss_per_step: readonly number[]
  readonly delta_w_frobenius_per_step: Readonly<Record<string, readonly number[]>>
  readonly singular_values_of_delta_w_final: Readonly<Record<string, readonly number[]>>
  readonly gradient_norm_before_clipping_per_step?: readonly number[]
}

export interface Material {
  readonly golden: GoldenConfig & CaseNotes
  readonly truth: Results
  /** The reference implementation in float32: the official code, or PEFT and torch; null where there is none. */
  readonly reference: Results | null
  readonly tolerance: Distances
  /** Final ΔW of a followed module by the float64 truth, [out, in]. */
  truthDelta(module: string): Float64Array
  /** Final ΔW of a module by the float32 reference in float64, [out, in]; null where it is not stored. */
  referenceDelta(module: string): Float64Array | null
}

interface CaseNotes {
  readonly reference: string
  readonly based_on_case?: string | null
  readonly adapter_scale?: number
}

interface Expected {
  readonly float64_truth: Results
  readonly official_float32?: Results
  readonly reference_float32?: Results
  readonly tolerance: Distances | string
}

export function readMaterial(name: string): Material {
  const golden = readGoldenConfig(name) as Material['golden']
  const expected = readExpected(name)
  const { tensors } = openSafetensors(sharedPath('golden/cases', name, 'tensors.safetensors'))
  const float32 = (key: string) => {
    const info = tensors.get(key)
    return info ? readFloat32(info) : null
  }
  const base = baseWeights(golden.model)
  return {
    golden,
    truth: expected.float64_truth,
    reference: expected.official_float32 ?? expected.reference_float32 ?? null,
    tolerance: toleranceOf(name, golden.based_on_case ?? null),
    truthDelta: (module) => readFloat64(tensors.get(`float64_final_delta_w.${module}`)!),
    referenceDelta: (module) => referenceDelta(golden, module, float32, base),
  }
}

function readExpected(name: string): Expected {
  return JSON.parse(readFileSync(sharedPath('golden/cases', name, 'expected.json'), 'utf8')) as Expected
}

/** A case that exists in float64 only takes the tolerance of the one that it is based on. */
function toleranceOf(name: string, basedOn: string | null): Distances {
  const { tolerance } = readExpected(name)
  return typeof tolerance === 'string' ? toleranceOf(basedOn!, null) : tolerance
}

/** W_0 of a module as the file has it, [out, in], by module. */
function baseWeights(model: string): (module: string) => { rows: number; columns: number; w: Float64Array } {
  const folder = openModelFolder(sharedPath('data/models', model))
  const specs = new Map(folder.specs.map((spec) => [spec.name, spec]))
  return (module) => {
    const spec = specs.get(`${module}.weight`)!
    const [inputs, outputs] = spec.shape as [number, number]
    const values = folder.read(spec)
    const w = new Float64Array(values.length)
    for (let i = 0; i < inputs; i++)
      for (let j = 0; j < outputs; j++) w[j * inputs + i] = values[i * outputs + j]!
    return { rows: outputs, columns: inputs, w }
  }
}

/** ΔW from what the reference stored, by the definition that its config names (`delta_w_definition`). */
function referenceDelta(
  { method = '', adapter_scale: scale = 1 }: Material['golden'],
  module: string,
  stored: (key: string) => Float32Array | null,
  base: ReturnType<typeof baseWeights>,
): Float64Array | null {
  const { rows, columns, w } = base(module)
  const whole =
    stored(`official_float32_final.${module}.weight`) ?? stored(`reference_float32_final.${module}.weight`)
  if (whole) return w.map((value, i) => whole[i]! - value)
  const pair = (prefix: string) => {
    const [a, b] = [stored(`${prefix}.${module}.lora_A`), stored(`${prefix}.${module}.lora_B`)]
    return a && b && product(b, a, rows, columns)
  }
  const trained = pair('reference_float32_final')
  if (!trained) return null
  if (method.startsWith('HiRA')) return trained.map((value, i) => value * w[i]!)
  if (method.startsWith('DoRA')) {
    const magnitude = stored(`reference_float32_final.${module}.magnitude`)!
    return doraDelta(w, trained, scale, magnitude, columns)
  }
  const start = method.startsWith('PiSSA') ? pair('init') : null
  return trained.map((value, i) => scale * (value - (start ? start[i]! : 0)))
}

/** diag(magnitude / rownorm(V)) V − W_0, V = W_0 + scale B A; rows are outputs. */
function doraDelta(
  w: Float64Array,
  product: Float64Array,
  scale: number,
  magnitude: Float32Array,
  columns: number,
): Float64Array {
  const v = w.map((value, i) => value + scale * product[i]!)
  const norms = Array.from(magnitude, (_, row) =>
    Math.hypot(...v.subarray(row * columns, (row + 1) * columns)),
  )
  return v.map((value, i) => {
    const row = Math.floor(i / columns)
    return (value * magnitude[row]!) / norms[row]! - w[i]!
  })
}

/** left [rows, r] right [r, columns] in float64. */
function product(left: Float32Array, right: Float32Array, rows: number, columns: number): Float64Array {
  const inner = left.length / rows
  const sum = new Float64Array(rows * columns)
  for (let i = 0; i < rows; i++)
    for (let k = 0; k < inner; k++) {
      const weight = left[i * inner + k]!
      for (let j = 0; j < columns; j++) sum[i * columns + j]! += weight * right[k * columns + j]!
    }
  return sum
}
