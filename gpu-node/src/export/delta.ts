/** ΔW of every target module as one safetensors file, for analysis elsewhere: float32 [out, in], named as the weights. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { transpose } from '../model/parameters.ts'
import { writeSafetensors } from '../model/safetensors.ts'
import { requireStorable } from '../model/storable.ts'

export interface ModuleDelta {
  /** E.g. `model.layers.0.self_attn.q_proj`. */
  readonly module: string
  readonly rows: number
  readonly columns: number
  /** ΔW [m, n], asked for when it is written. */
  delta(): Promise<Float64Array>
}

/** Rounding to float32 here is relative to ΔW, not to W: small changes keep their digits. */
export async function writeDelta(folder: string, deltas: readonly ModuleDelta[]): Promise<void> {
  mkdirSync(folder, { recursive: true })
  const tensors = deltas.map(({ module, rows, columns, delta }) => ({
    name: `${module}.weight`,
    dtype: 'F32' as const,
    shape: [columns, rows],
    values: async () =>
      transpose(Float32Array.from(requireStorable(module, await delta(), 'F32')), rows, columns),
  }))
  await writeSafetensors(join(folder, 'delta.safetensors'), tensors)
}
