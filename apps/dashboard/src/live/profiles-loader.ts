/** Fetch what the analyses of single spectra give per direction, band or earlier snapshot. */
import {
  type AnalysisProfiles,
  decodeColumn,
  type SpectraProfilesAnswer,
  spectraProfilesAnswer,
} from '@rankscope/protocol'
import { requestColumns } from '../api/client.ts'
import type { SpectrumEntry } from './spectra.ts'

export type ProfileName = keyof AnalysisProfiles
/** Those that the spectrum has. */
export type Profiles = { readonly [name in ProfileName]?: ArrayLike<number> }

/** null where there is no such spectrum. */
export async function fetchProfiles(
  runId: string,
  { module, part, step, final }: Pick<SpectrumEntry, 'module' | 'part' | 'step' | 'final'>,
  names: readonly ProfileName[],
  signal: AbortSignal,
): Promise<Profiles | null> {
  const answer: SpectraProfilesAnswer = await requestColumns(
    `/runs/${runId}/spectra/profiles`,
    { items: [{ module, part, step, final }], names: [...names] },
    spectraProfilesAnswer,
    { signal },
  )
  const found = answer.spectra[0]
  if (!found) return null
  return Object.fromEntries(
    Object.entries(found).map(([name, bytes]) => [name, decodeColumn(bytes!, 'float64')]),
  )
}
