/**
 * What a comparison shows first, its losses, asked for as soon as the page’s script runs: by the time that the list of
 * runs and the page’s own code are here, most of the waiting is over.
 */
import { scalarNames } from '@rankscope/protocol'
import { basePath } from '../api/base-path.ts'
import type { LiveConnection } from '../live/connection.ts'
import { pointsPerRun } from '../live/points-per-run.ts'

let release: (() => void) | null = null

/** Of the runs that the address names, where it is the address of a comparison; what fails here the page tells. */
export function prefetchComparison(live: LiveConnection, { pathname, search }: Location): void {
  if (pathname !== `${basePath}compare`) return
  const parameters = new URLSearchParams(search)
  const listOf = (key: string) => (parameters.get(key) ?? '').split(',').filter((item) => item !== '')
  const hidden = new Set(listOf('hidden'))
  const runIds = [...new Set(listOf('runs'))].filter((runId) => !hidden.has(runId))
  if (runIds.length === 0) return
  const stores = runIds.map((runId) => live.acquire(runId))
  release = () => {
    for (const runId of runIds) live.release(runId)
  }
  const times = parameters.get('x') === 'time'
  live
    .loadSeries(stores, [scalarNames.trainLoss], { points: pointsPerRun(stores.length), times })
    .catch(() => undefined)
}

/** The page holds the runs itself now, or is left. */
export function releasePrefetched(): void {
  release?.()
  release = null
}
