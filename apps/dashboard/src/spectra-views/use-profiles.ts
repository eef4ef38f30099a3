/** Profiles of one spectrum per run, fetched when the spectrum changes and kept for the steps that were looked at. */
import { useEffect, useState } from 'react'
import { fetchProfiles, type ProfileName, type Profiles } from '../live/profiles-loader.ts'
import type { SpectrumEntry } from '../live/spectra.ts'

export type WantedProfiles = { runId: string; entry: SpectrumEntry | null }

/** Of more spectra the oldest are forgotten. */
const mostKept = 400

/** In the order of `wanted`: the profiles, null where there are none, undefined while they are on their way. */
export function useProfiles(
  wanted: readonly WantedProfiles[],
  names: readonly ProfileName[],
): { profiles: (Profiles | null | undefined)[]; error: string | null } {
  const [kept, setKept] = useState<ReadonlyMap<string, Profiles | null>>(new Map())
  const [error, setError] = useState<string | null>(null)
  const keys = wanted.map(({ runId, entry }) =>
    entry ? `${runId} ${entry.module} ${entry.part} ${entry.step} ${entry.final} ${names.join()}` : null,
  )
  const missing = keys.filter((key) => key !== null && !kept.has(key)).join('\n')
  // biome-ignore lint/correctness/useExhaustiveDependencies: the missing keys stand for what is wanted
  useEffect(() => {
    if (missing === '') return
    const control = new AbortController()
    const load = wanted.map(async ({ runId, entry }, index) => {
      const key = keys[index]
      if (!entry || !key || kept.has(key)) return
      const found = await fetchProfiles(runId, entry, names, control.signal)
      setKept((before) => new Map([...[...before].slice(-mostKept), [key, found]]))
      setError(null)
    })
    Promise.all(load).catch((reason: unknown) => {
      if (!control.signal.aborted) setError(reason instanceof Error ? reason.message : String(reason))
    })
    return () => control.abort()
  }, [missing])
  return { profiles: keys.map((key) => (key === null ? null : kept.get(key))), error }
}
