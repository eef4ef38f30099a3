/** What some weights became, without training: each linear module with its W0 and ΔW, asked for when its turn comes. */
import type { SpectrumSource } from '../linalg/index.ts'

export interface ModuleChange {
  /** E.g. `model.layers.0.self_attn.q_proj`. */
  readonly name: string
  /** m, n of the papers: inputs, outputs. */
  readonly rows: number
  readonly columns: number
  /** The adapter's r; null where whole weights are compared. */
  readonly rank: number | null
  /** W0 [m, n]; null where there is no base. */
  base(): Float32Array | null
  delta(base: Float32Array | null): SpectrumSource
}

export interface Changes {
  /** What it is, e.g. `LoRA, r = 8, α = 16`. */
  readonly title: string
  readonly modules: readonly ModuleChange[]
  readonly notes: readonly string[]
}
