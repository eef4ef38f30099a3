/** What the fields of the form share. */
import { createContext } from 'react'
import type { Finding } from './draft.ts'

export type FormState = {
  /** The configuration whose settings are shown, perhaps invalid. */
  values: unknown
  change: (path: string, value: unknown) => void
  isChanged: (path: string) => boolean
  /** Findings that concern the shown settings. */
  findings: readonly Finding[]
  /** Show advanced settings too. */
  all: boolean
  /** Whether the setting has its place here, or elsewhere on the page. */
  shows: (path: string) => boolean
  /** What the nodes offer for a path, e.g. models. */
  offers: Readonly<Record<string, string[]>>
}

export const FormContext = createContext<FormState>({
  values: {},
  change: () => {},
  isChanged: () => false,
  findings: [],
  all: false,
  shows: () => true,
  offers: {},
})
