/** Colours of all runs, assigned once per browser and kept. */
import { useComputedColorScheme } from '@mantine/core'
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from 'react'
import { useRuns } from '../api/queries.ts'
import { assignColours, type ColourAssignment, colourOf } from './run-colours.ts'

const storageKey = 'rankscope.colours'

/** With the colour scheme: asking the browser for it in every swatch takes longer than drawing one. */
const ColourContext = createContext<{ assignment: ColourAssignment; scheme: 'light' | 'dark' }>({
  assignment: {},
  scheme: 'light',
})

export function ColourProvider({ children }: { children: ReactNode }) {
  const { data: runs } = useRuns()
  const [stored, setStored] = useState(readStored)
  const assignment = useMemo(() => (runs ? assignColours(stored, runs) : stored), [stored, runs])
  useEffect(() => {
    if (assignment === stored) return
    setStored(assignment)
    localStorage.setItem(storageKey, JSON.stringify(assignment))
  }, [assignment, stored])
  const scheme = useComputedColorScheme('light')
  const value = useMemo(() => ({ assignment, scheme }), [assignment, scheme])
  return <ColourContext value={value}>{children}</ColourContext>
}

export function useColourAssignment(): ColourAssignment {
  return useContext(ColourContext).assignment
}

/** The run’s colour in the current colour scheme. */
export function useRunColour(runId: string): string {
  const { assignment, scheme } = useContext(ColourContext)
  return colourOf(assignment[runId], scheme)
}

function readStored(): ColourAssignment {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(storageKey) ?? '{}')
    return value !== null && typeof value === 'object' && Object.values(value).every(Number.isInteger)
      ? (value as ColourAssignment)
      : {}
  } catch {
    return {}
  }
}
