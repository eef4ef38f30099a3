/** Finer points for a zoomed scalar chart, fetched per run where the history of the whole run joined them. */
import { notifications } from '@mantine/notifications'
import { useEffect, useState } from 'react'
import { fetchSeries } from '../live/fetch-series.ts'
import { Series } from '../live/series.ts'
import type { XAxis } from './scalar-figure.ts'
import type { RunCurve } from './use-curves.ts'
import { xValues } from './x-axis.ts'
import { type Detail, stepsToFetch, type View } from './zoom.ts'

export type Details = ReadonlyMap<string, Detail>

const none: Details = new Map()

/** Of a zoomed stretch, per run: a few per pixel of a wide chart. */
const mostPoints = 2000

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
    const rewinds = new Map<string, number>()
    const queries = curves.flatMap(({ runId, series: all, originMs }) => {
      const series = all.get(name)
      const range = series && stepsToFetch(series, xValues(all, series, xAxis, originMs), view)
      if (!series || !range) return []
      rewinds.set(runId, series.rewinds)
      return { runId, names: [name], points: mostPoints, ...range }
    })
    const found = new Map<string, Detail>()
    const options = { times: xAxis === 'time', precision: 'float64', signal: leaving.signal } as const
    fetchSeries(queries, options, (runs) => {
      for (const { runId, series } of runs) {
        const loaded = series.get(name)
        if (!loaded) continue
        const points = new Series()
        points.load(loaded)
        found.set(runId, { points, rewinds: rewinds.get(runId)! })
      }
    }).then(
      () => !leaving.signal.aborted && setDetails(found),
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
