/** Finer points for a zoomed scalar chart, fetched per run where the history of the whole run joined them. */
import { notifications } from '@mantine/notifications'
import { useEffect, useState } from 'react'
import { fetchSeries } from '../live/hydrate.ts'
import type { XAxis } from './scalar-figure.ts'
import type { RunCurve } from './use-curves.ts'
import { xValues } from './x-axis.ts'
import { type Detail, stepsToFetch, type View } from './zoom.ts'

export type Details = ReadonlyMap<string, Detail>

const none: Details = new Map()

/** By run; none while the whole is shown. Those of the zoom before serve until new ones are there. */
export function useDetail(
  curves: readonly RunCurve[],
  name: string,
  xAxis: XAxis,
  view: View | null,
): Details {
  const [details, setDetails] = useState(none)
  // Highlighting makes new curves of the same runs: what was fetched for them stays.
  const runs = curves.map((curve) => curve.runId).join(',')
  // biome-ignore lint/correctness/useExhaustiveDependencies: `runs` stands for the curves
  useEffect(() => {
    if (view === null) return
    const leaving = new AbortController()
    const wanted = curves.flatMap(({ store, series: all, originMs }) => {
      const series = all.get(name)
      const range = series && stepsToFetch(series, xValues(all, series, xAxis, originMs), view)
      return series && range ? [{ store, series, range }] : []
    })
    Promise.all(
      wanted.map(async ({ store, series, range }): Promise<[string, Detail]> => {
        const { rewinds } = series
        const points = await fetchSeries(store.runId, name, range, leaving.signal)
        return [store.runId, { points, rewinds }]
      }),
    ).then(
      (found) => !leaving.signal.aborted && setDetails(new Map(found)),
      (error: unknown) => {
        if (leaving.signal.aborted) return
        const message = error instanceof Error ? error.message : String(error)
        notifications.show({ color: 'red', title: 'The finer points could not be fetched', message })
      },
    )
    return () => leaving.abort()
  }, [runs, name, xAxis, view])
  return view === null ? none : details
}
