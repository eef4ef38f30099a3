/** Runs as charts see them: colour, dash and the series of their store. */
import { useComputedColorScheme } from '@mantine/core'
import type { RunView } from '@rankscope/protocol'
import { useMemo } from 'react'
import type { RunStore } from '../live/run-store.ts'
import { useColourAssignment } from '../runs/colour-context.tsx'
import { colourOf, dashesOf } from '../runs/run-colours.ts'
import type { Curve } from './scalar-figure.ts'

export type RunCurve = Curve & { run: RunView; store: RunStore }

/** `groupKey` joins runs into a mean with a band; null keeps them apart. */
export function useCurves(
  runs: readonly RunView[],
  stores: readonly RunStore[],
  groupKey: ((run: RunView) => string) | null,
): RunCurve[] {
  const scheme = useComputedColorScheme('light')
  const assignment = useColourAssignment()
  // Views change with every step; charts only care for what is drawn of them.
  const key = runs
    .map((run) => `${run.runId} ${run.name} ${run.state} ${run.startedMs} ${run.start !== null}`)
    .join('|')
  // biome-ignore lint/correctness/useExhaustiveDependencies: `key` stands for the runs
  return useMemo(() => {
    const dashes = dashesOf(runs.map((run) => assignment[run.runId]))
    return runs.flatMap((run, index) => {
      const store = stores.find((candidate) => candidate.runId === run.runId)
      if (!store) return []
      return {
        run,
        store,
        runId: run.runId,
        label: run.name,
        colour: colourOf(assignment[run.runId], scheme),
        dash: dashes[index]!,
        group: groupKey ? groupKey(run) : null,
        series: store.series,
        originMs: run.startedMs ?? run.createdMs,
      }
    })
  }, [key, stores, assignment, scheme, groupKey])
}
