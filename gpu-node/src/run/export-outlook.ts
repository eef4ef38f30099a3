/** What exports would lose of ΔW, found before one is written: by rounding to a narrower type, and by truncating the rank. */
import type { ExportOutlook } from '@rankscope/protocol'
import { float32BitsToBfloat16, float32BitsToFloat16 } from '../half-floats.ts'
import { spectrum } from '../linalg/index.ts'
import { type Trained, updateOf } from './trained.ts'

const energies = [0.5, 0.9, 0.95, 0.99, 0.999, 0.9999] as const

export interface ModuleValues {
  readonly module: string
  /** Descending. */
  readonly singularValues: Float64Array
}

export async function exportOutlook(
  trained: Trained,
  progress: (share: number | null, detail: string | null) => void,
): Promise<ExportOutlook> {
  const { targets, adaptation, base } = trained
  const counts = { changed: 0, bfloat16: 0, float16: 0 }
  const values = await singularValuesOf(trained, (done, module) =>
    progress((0.8 * done) / targets.length, module),
  )
  for (const [index, target] of targets.entries()) {
    progress(0.8 + (0.2 * index) / targets.length, target.name)
    countSurvivors(base.read(target), await adaptation.merged(target), counts)
  }
  const { changed, bfloat16, float16 } = counts
  const longest = Math.max(...values.map(({ singularValues }) => singularValues.length))
  const all = values.map(({ singularValues }) => singularValues)
  return {
    modules: targets.length,
    frobenius: Math.sqrt(all.reduce((sum, s) => sum + energyFrom(s, 0), 0)),
    survives: changed === 0 ? null : { bfloat16: bfloat16 / changed, float16: float16 / changed },
    byRank: shownRanks(longest).map((rank) => ({ rank, ...truncationError(values, rank) })),
    byEnergy: energies.map((energy) => ({ energy, rank: smallestRank(all, energy) })),
  }
}

/** Singular values of ΔW of every target module. */
export async function singularValuesOf(
  trained: Trained,
  progress: (done: number, module: string) => void,
): Promise<ModuleValues[]> {
  const found: ModuleValues[] = []
  for (const target of trained.targets) {
    progress(found.length, target.name)
    const { singularValues } = (await spectrum(await updateOf(trained, target), {}))!
    found.push({ module: target.name, singularValues })
  }
  return found
}

/** Least R with Σ_{i ≤ R} s_i² ≥ energy Σ s_i² for each matrix; 1 at least. */
export function smallestRank(matrices: readonly Float64Array[], energy: number): number {
  return matrices.reduce((most, s) => {
    const allowed = (1 - energy) * energyFrom(s, 0)
    let rank = s.length
    // Summed from the small end, where nothing is lost by it.
    for (let tail = 0; rank > 0; rank--) {
      tail += s[rank - 1]! ** 2
      if (tail > allowed) break
    }
    return Math.max(most, rank)
  }, 1)
}

/** ‖ΔW − ΔW_R‖_F / ‖ΔW‖_F over all modules, and of the worst. */
function truncationError(
  values: readonly ModuleValues[],
  rank: number,
): { error: number; worst: number; module: string } {
  let [left, whole] = [0, 0]
  let worst = { share: -1, module: '' }
  for (const { module, singularValues } of values) {
    const [tail, all] = [energyFrom(singularValues, rank), energyFrom(singularValues, 0)]
    left += tail
    whole += all
    const share = all === 0 ? 0 : tail / all
    if (share > worst.share) worst = { share, module }
  }
  return {
    error: whole === 0 ? 0 : Math.sqrt(left / whole),
    worst: Math.sqrt(worst.share),
    module: worst.module,
  }
}

function energyFrom(s: Float64Array, from: number): number {
  let sum = 0
  for (let i = s.length - 1; i >= from; i--) sum += s[i]! ** 2
  return sum
}

function shownRanks(longest: number): number[] {
  const ranks: number[] = []
  for (let rank = 1; rank < longest; rank *= 2) ranks.push(rank)
  return [...ranks, longest]
}

/** Of the entries that differ in float32, those that differ as they would be stored. */
function countSurvivors(
  before: Float32Array,
  after: Float32Array,
  counts: { changed: number; bfloat16: number; float16: number },
): void {
  const bits = (values: Float32Array) => new Uint32Array(values.buffer, values.byteOffset, values.length)
  const [old, now] = [bits(before), bits(after)]
  const differ = (one: number, other: number) => one !== other && ((one | other) & 0x7fff) !== 0
  for (let i = 0; i < before.length; i++) {
    if (before[i] === after[i]) continue
    counts.changed++
    if (differ(float32BitsToBfloat16(old[i]!), float32BitsToBfloat16(now[i]!))) counts.bfloat16++
    if (differ(float32BitsToFloat16(old[i]!), float32BitsToFloat16(now[i]!))) counts.float16++
  }
}
