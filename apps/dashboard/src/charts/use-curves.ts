/** Runs as charts see them: colour, dash, emphasis and the series of their store. */
import { useComputedColorScheme } from '@mantine/core'
import type { RunView } from '@rankscope/protocol'
import { useMemo } from 'react'
import type { RunStore } from '../live/run-store.ts'
import { useColourAssignment } from '../runs/colour-context.tsx'
import { colourOf, dashesOf } from '../runs/run-colours.ts'
import { useHighlightedRun } from './highlight.ts'
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
  const highlighted = useHighlightedRun()
  // Views change with every step; charts only care for what is drawn of them.
  const key = runs
    .map((run) => `${run.runId} ${run.name} ${run.state} ${run.startedMs} ${run.start !== null}`)
    .join('|')
  // biome-ignore lint/correctness/useExhaustiveDependencies: `key` stands for the runs
  return useMemo(() => {
    const dashes = dashesOf(runs.map((run) => assignment[run.runId]))
    const marked = runs.length > 1 && runs.some((run) => run.runId === highlighted)
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
        emphasis: !marked ? 'normal' : run.runId === highlighted ? 'strong' : 'faint',
        group: groupKey ? groupKey(run) : null,
        series: store.series,
        originMs: run.startedMs ?? run.createdMs,
      }
    })
  }, [key, stores, assignment, scheme, highlighted, groupKey])
}
