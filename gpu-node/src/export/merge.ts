/** The merged model of a run as a Hugging Face folder: what every method can export, and vLLM serves. */
import type { Model } from '../model/model.ts'
import { type SaveOptions, saveModel } from '../model/save.ts'

/** Gives the merged weight [m, n] of a module, e.g. W + s A B. */
export type MergedWeight = (module: string) => Promise<Float32Array>

/** Writes the model with the merged weights of `modules` in place of its own; the tokenizer's files go along. */
export async function exportMergedModel(
  folder: string,
  model: Model,
  modules: readonly string[],
  merged: MergedWeight,
  options: Omit<SaveOptions, 'replaced'> = {},
): Promise<void> {
  const replaced = new Map(modules.map((module) => [`${module}.weight`, () => merged(module)]))
  await saveModel(folder, model, { ...options, replaced })
}

/** W + scale A B in float64, rounded once: w [m, n], a [m, r], b [r, n]. */
export function mergePair(
  w: Float32Array,
  pair: { rows: number; columns: number; a: Float32Array; b: Float32Array },
  scale: number,
): Float32Array {
  const { rows, columns, a, b } = pair
  const rank = a.length / rows
  const merged = new Float32Array(w.length)
  const row = new Float64Array(columns)
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) row[j] = w[i * columns + j] as number
    for (let k = 0; k < rank; k++) {
      const factor = scale * (a[i * rank + k] as number)
      for (let j = 0; j < columns; j++) row[j] = (row[j] as number) + factor * (b[k * columns + j] as number)
    }
    merged.set(row, i * columns)
  }
  return merged
}
