/** Colours of all runs, assigned once per browser and kept. */
import { useComputedColorScheme } from '@mantine/core'
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from 'react'
import { useRuns } from '../api/queries.ts'
import { assignColours, type ColourAssignment, colourOf } from './run-colours.ts'

const storageKey = 'rankscope.colours'

const ColourContext = createContext<ColourAssignment>({})

export function ColourProvider({ children }: { children: ReactNode }) {
  const { data: runs } = useRuns()
  const [stored, setStored] = useState(readStored)
  const assignment = useMemo(() => (runs ? assignColours(stored, runs) : stored), [stored, runs])
  useEffect(() => {
    if (assignment === stored) return
    setStored(assignment)
    localStorage.setItem(storageKey, JSON.stringify(assignment))
  }, [assignment, stored])
  return <ColourContext value={assignment}>{children}</ColourContext>
}

export function useColourAssignment(): ColourAssignment {
  return useContext(ColourContext)
}

/** The run’s colour in the current colour scheme. */
export function useRunColour(runId: string): string {
  return colourOf(useContext(ColourContext)[runId], useComputedColorScheme('light'))
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
