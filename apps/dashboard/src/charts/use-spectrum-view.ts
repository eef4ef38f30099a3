/** Which spectrum is looked at: module, part and step, shared by the spectrum and the rank charts through the address. */
import { type SpectrumPart, spectrumParts } from '@rankscope/protocol'
import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { useViewChoice, useViewFlag, useViewText } from '../common/view-state.ts'
import { useTopicVersion } from '../live/live-context.tsx'
import type { RunStore } from '../live/run-store.ts'
import { compareModules, type SpectrumEntry } from '../live/spectra.ts'
import { fetchMeasures, fetchValues } from '../live/spectra-loader.ts'
import { partMeasures } from './parts.ts'

export type SpectrumView = {
  modules: string[]
  /** Modules watched during training; the others have a spectrum at the end only. */
  liveModules: ReadonlySet<string>
  module: string | null
  setModule: (module: string) => void
  parts: SpectrumPart[]
  part: SpectrumPart
  setPart: (part: SpectrumPart) => void
  /** The spectrum chart overlays all parts; measures are those of `part`. */
  allParts: boolean
  setAllParts: (all: boolean) => void
  /** Steps of this module and part over all runs, ascending. */
  steps: number[]
  /** The chosen step; null follows the newest. */
  step: number | null
  setStep: (step: number | null) => void
  error: Error | null
}

export function useSpectrumView(stores: readonly RunStore[]): SpectrumView {
  const version = useTopicVersion(stores, 'spectra')
  const [moduleText, setModule] = useViewText('module', '')
  const [partChoice, setPart] = useViewChoice('part', spectrumParts, 'total')
  const [allPartsWanted, setAllParts] = useViewFlag('allparts')
  const [stepText, setStepText] = useViewText('step', '')

  // biome-ignore lint/correctness/useExhaustiveDependencies: `version` stands for the stores’ contents
  const known = useMemo(() => {
    const modules = [...new Set(stores.flatMap((store) => store.spectra.modules()))].sort(compareModules)
    const liveModules = new Set(stores.flatMap((store) => store.spectra.liveModules()))
    const present = new Set(stores.flatMap((store) => store.spectra.parts()))
    return { modules, liveModules, parts: spectrumParts.filter((part) => present.has(part)) }
  }, [stores, version])
  const module = known.modules.includes(moduleText)
    ? moduleText
    : ([...known.liveModules].sort(compareModules)[0] ?? known.modules[0] ?? null)
  const part = known.parts.includes(partChoice) ? partChoice : 'total'

  // biome-ignore lint/correctness/useExhaustiveDependencies: `version` stands for the stores’ contents
  const steps = useMemo(() => {
    if (module === null) return []
    const all = stores.flatMap((store) => store.spectra.steps(module, part))
    return [...new Set(all)].sort((a, b) => a - b)
  }, [stores, version, module, part])
  const step = stepText === '' || !Number.isFinite(Number(stepText)) ? null : Number(stepText)
  const allParts = allPartsWanted && known.parts.length > 1
  const wantedParts = useMemo(() => (allParts ? known.parts : [part]), [allParts, known, part])
  const error = useMissingValues(stores, version, module, wantedParts, step)

  const setStep = useCallback(
    (next: number | null) => setStepText(next === null ? '' : String(next)),
    [setStepText],
  )
  return useMemo(
    () => ({
      ...known,
      module,
      setModule,
      part,
      setPart,
      allParts,
      setAllParts,
      steps,
      step,
      setStep,
      error,
    }),
    [known, module, setModule, part, setPart, allParts, setAllParts, steps, step, setStep, error],
  )
}

/** Steps before and after the shown one whose values are fetched too, so that scrubbing finds them here. */
const windowSteps = 48

/** Fetch the singular values that the view needs and that did not come live, then those around, and measures for the axes. */
function useMissingValues(
  stores: readonly RunStore[],
  version: number,
  module: string | null,
  parts: readonly SpectrumPart[],
  step: number | null,
): Error | null {
  const underWay = useRef(new Set<string>())
  const [error, setError] = useState<Error | null>(null)
  const failed = useCallback(
    (reason: unknown) => setError(reason instanceof Error ? reason : new Error(String(reason))),
    [],
  )
  // biome-ignore lint/correctness/useExhaustiveDependencies: `version` stands for the stores’ contents
  useEffect(() => {
    if (module === null) return
    for (const store of stores) {
      for (const part of parts) {
        const { spectra } = store
        const entry = step === null ? spectra.latest(module, part) : spectra.at(module, part, step)
        if (!entry) continue
        const list = spectra.list(module, part)
        const at = list.indexOf(entry)
        const around = list.slice(Math.max(0, at - windowSteps), at + windowSteps + 1)
        const isAbsent = (one: typeof entry) =>
          one.singularValues === null && !underWay.current.has(nameOf(store, one))
        // Not before the window is half used up, so that a scrub asks for many at a time.
        const isNear = (one: typeof entry) => Math.abs(list.indexOf(one) - at) <= windowSteps / 2
        const missing = around.filter(isAbsent)
        if (!missing.some((one) => one === entry || isNear(one))) continue
        for (const one of missing) underWay.current.add(nameOf(store, one))
        const ordered = [entry, ...missing.filter((one) => one !== entry)].filter((one) =>
          missing.includes(one),
        )
        const [first, ...rest] = ordered
        const load = async () => {
          if (first === entry) await fetchValues(store, [entry])
          await fetchValues(store, first === entry ? rest : ordered)
        }
        load()
          .then(() => setError(null), failed)
          .finally(() => {
            for (const one of missing) underWay.current.delete(nameOf(store, one))
          })
      }
    }
  }, [stores, version, module, parts, step, failed])
  useMeasures(stores, version, { modules: module, parts, measures: axisMeasures }, failed)
  return error
}

/** What the axes of a spectrum and the table of parts need of its module. */
const axisMeasures = partMeasures

/** Fetch measures of one module (null: of all) once there is something to measure. `measures` must be a constant. */
export function useMeasures(
  stores: readonly RunStore[],
  version: number,
  wanted: { modules: string | null; parts: readonly SpectrumPart[]; measures: readonly string[] },
  failed: (reason: unknown) => void,
): void {
  const { modules, parts, measures } = wanted
  const asked = useRef(new Set<string>())
  // biome-ignore lint/correctness/useExhaustiveDependencies: `version` stands for the stores’ contents
  useEffect(() => {
    for (const store of stores) {
      if (!store.isReady('spectra') || store.spectra.modules().length === 0) continue
      for (const part of parts) {
        const name = `${store.runId} ${modules} ${part} ${measures.join()}`
        if (asked.current.has(name)) continue
        asked.current.add(name)
        fetchMeasures(store, { modules: modules === null ? null : [modules], part, measures }).catch(
          (reason) => {
            asked.current.delete(name)
            failed(reason)
          },
        )
      }
    }
  }, [stores, version, modules, parts, measures, failed])
}

function nameOf(store: RunStore, { module, part, step, final }: SpectrumEntry): string {
  return `${store.runId} ${module} ${part} ${step} ${final}`
}
