/** Series of many runs in one request, as columns of bytes. */
import {
  decodeColumn,
  decodeCounts,
  decodeSteps,
  type Precision,
  type SeriesAnswer,
  type SeriesRequest,
  seriesAnswer,
} from '@rankscope/protocol'
import { requestColumns } from '../api/client.ts'
import type { SeriesPoints } from './series.ts'

export type SeriesQuery = SeriesRequest['queries'][number]

export type SeriesOfRun = { runId: string; cursor: number; series: ReadonlyMap<string, SeriesPoints> }

type Options = { times: boolean; precision: Precision; signal?: AbortSignal }

/** Queries of one request at most. */
const mostQueries = 256

/** Calls back with each run’s series as an answer brings them; runs that do not exist are passed over. */
export async function fetchSeries(
  queries: readonly SeriesQuery[],
  options: Options,
  take: (found: SeriesOfRun[]) => void,
): Promise<void> {
  let rest = queries
  while (rest.length > 0) {
    const asked = rest.slice(0, mostQueries)
    const { times, precision, signal } = options
    const body: SeriesRequest = { queries: asked, times, precision }
    const answer = await requestColumns('/series', body, seriesAnswer, signal ? { signal } : {})
    take(answer.runs.flatMap((run) => (run ? ofRun(run, precision) : [])))
    rest = rest.slice(answer.next ?? asked.length)
  }
}

function ofRun(run: NonNullable<SeriesAnswer['runs'][number]>, precision: Precision): SeriesOfRun {
  const series = new Map(run.series.map((one) => [one.name, pointsOf(one, precision)]))
  return { runId: run.runId, cursor: run.cursor, series }
}

type Columns = NonNullable<SeriesAnswer['runs'][number]>['series'][number]

function pointsOf(columns: Columns, precision: Precision): SeriesPoints {
  const { total, min, max, nanCounts, timesMs } = columns
  const steps = decodeSteps(columns.steps)
  const decode = (bytes: Uint8Array | null) => bytes && decodeColumn(bytes, precision)
  return {
    steps,
    timesMs: timesMs ? decodeColumn(timesMs, 'float64') : new Float64Array(steps.length).fill(Number.NaN),
    last: decodeColumn(columns.last, precision),
    low: decode(min),
    high: decode(max),
    nans: nanCounts && decodeCounts(nanCounts),
    total,
  }
}
