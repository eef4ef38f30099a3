/** Spectra and analyses of what an adapter or another model changes, module by module, on the thread for spectra. */
import { type RecordBodyOf, toFloat64Bytes } from '@rankscope/protocol'
import { spectrum } from '../linalg/index.ts'
import type { Changes } from './changes.ts'

/**
 * One final spectrum record per module, in order, at step 0: nothing was trained here. `analysesUpTo`: shorter side of the largest
 * weight that is analysed against its base, where there is one. Errors: NUMERIC, those of reading weights.
 */
export async function* inspectChanges(
  { modules }: Changes,
  { analysesUpTo, signal }: { analysesUpTo: number; signal?: AbortSignal },
): AsyncGenerator<RecordBodyOf<'spectrum'>> {
  for (const module of modules) {
    const { name, rows, columns, rank } = module
    const base = module.base()
    const source = module.delta(base)
    const isAnalysed = base !== null && Math.min(rows, columns) <= analysesUpTo
    const against = isAnalysed
      ? { keptAs: null, w: base, step: 0, settings: { rank, devices: 1, slices: false, vectors: true } }
      : null
    const found = await spectrum(source, { transfer: true, ...(signal && { signal }) }, against)
    const { analysis, singularValues, frobenius, measures, elapsedMs } = found
    const profiles = Object.entries(analysis?.profiles ?? {})
    yield {
      kind: 'spectrum',
      step: 0,
      module: name,
      part: 'total',
      rows,
      columns,
      singularValues: toFloat64Bytes(singularValues),
      frobenius,
      measures: { ...measures, ...analysis?.measures },
      ...(profiles.length > 0 && {
        profiles: Object.fromEntries(profiles.map(([each, values]) => [each, toFloat64Bytes(values)])),
      }),
      elapsedMs,
      final: true,
    }
  }
}
