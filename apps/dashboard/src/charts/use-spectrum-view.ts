/** Which spectrum is looked at: module, part and step, shared by the spectrum and the rank charts through the address. */
import { type SpectrumPart, spectrumParts } from '@rankscope/protocol'
import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { useViewChoice, useViewFlag, useViewText } from '../common/view-state.ts'
import { fetchSpectra } from '../live/hydrate.ts'
import { useTopicVersion } from '../live/live-context.tsx'
import type { RunStore } from '../live/run-store.ts'
import { compareModules } from '../live/spectra.ts'

/** Fetch all steps of a module at once up to this many singular values, else each step when it is shown. */
const wholeModuleValues = 200_000

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
    const all = stores.flatMap((store) => store.spectra.list(module, part).map((entry) => entry.step))
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

/** Fetch the singular values that the view needs and that did not come live. */
function useMissingValues(
  stores: readonly RunStore[],
  version: number,
  module: string | null,
  parts: readonly SpectrumPart[],
  step: number | null,
): Error | null {
  const asked = useRef(new Set<string>())
  const [error, setError] = useState<Error | null>(null)
  // biome-ignore lint/correctness/useExhaustiveDependencies: `version` stands for the stores’ contents
  useEffect(() => {
    if (module === null) return
    for (const [store, part] of stores.flatMap((each) => parts.map((part) => [each, part] as const))) {
      const entry = step === null ? store.spectra.latest(module, part) : store.spectra.at(module, part, step)
      if (!entry || entry.singularValues) continue
      const values = store.spectra.list(module, part).length * Math.min(entry.rows, entry.columns)
      const wanted = values <= wholeModuleValues ? null : entry.step
      const key = `${store.runId} ${module} ${part} ${wanted}`
      if (asked.current.has(key)) continue
      asked.current.add(key)
      fetchSpectra(store, { module, part, step: wanted }).then(
        () => setError(null),
        (reason: unknown) => {
          asked.current.delete(key)
          setError(reason instanceof Error ? reason : new Error(String(reason)))
        },
      )
    }
  }, [stores, version, module, parts, step])
  return error
}
