/** Fetch a topic’s history of one run into its store. */
import {
  evaluationsAnswer,
  filesAnswer,
  fromJsonNumber,
  logsAnswer,
  type ScalarsAnswer,
  type SpectraIndexAnswer,
  samplesAnswer,
  scalarsAnswer,
  spectraAnswer,
  spectraIndexAnswer,
} from '@rankscope/protocol'
import { request } from '../api/client.ts'
import type { RunStore, Topic } from './run-store.ts'
import { Series, type SeriesPoints } from './series.ts'
import { entryFromJson } from './spectra.ts'

/** Points asked for per series: a few per pixel of a wide chart. */
const mostPoints = 2000

/** Lines of a log that are fetched at a time, newest first. */
const logPage = 2000

/** Points of the whole run asked for per series; `?points=N` in the page's address asks for fewer. */
function historyPoints(): number {
  const wanted = Number(new URLSearchParams(location.search).get('points'))
  return Number.isInteger(wanted) && wanted >= 1 && wanted < mostPoints ? wanted : mostPoints
}

type Fetched = { cursor: number; load: () => void }

const fetchers: Record<Topic, (store: RunStore) => Promise<Fetched>> = {
  async scalars(store) {
    const series: ScalarsAnswer['series'] = []
    const cursor = await pages(
      (after) => {
        const query = new URLSearchParams({ points: String(historyPoints()), ...after })
        return request(`/runs/${store.runId}/scalars?${query}`, scalarsAnswer)
      },
      (answer) => series.push(...answer.series),
    )
    return {
      cursor,
      load: () => {
        for (const one of series) store.loadSeries(one.name, pointsFromJson(one))
      },
    }
  },
  async spectra(store) {
    const entries: SpectraIndexAnswer['entries'] = []
    const cursor = await pages(
      (after) =>
        request(`/runs/${store.runId}/spectra/index?${new URLSearchParams(after)}`, spectraIndexAnswer),
      (answer) => entries.push(...answer.entries),
    )
    return {
      cursor,
      load: () => {
        for (const entry of entries) store.spectra.add(entryFromJson(entry))
      },
    }
  },
  async evaluations(store) {
    const answer = await request(`/runs/${store.runId}/evaluations`, evaluationsAnswer)
    return {
      cursor: answer.cursor,
      load: () => {
        store.evaluations = answer.evaluations.map((evaluation) => ({
          step: evaluation.step,
          examples: evaluation.examples,
          loss: evaluation.loss === null ? null : fromJsonNumber(evaluation.loss),
          accuracy: evaluation.accuracy === null ? null : fromJsonNumber(evaluation.accuracy),
          byType: Object.fromEntries(
            Object.entries(evaluation.byType).map(([name, type]) => [
              name,
              { examples: type.examples, accuracy: fromJsonNumber(type.accuracy) },
            ]),
          ),
        }))
      },
    }
  },
  async logs(store) {
    const answer = await request(`/runs/${store.runId}/logs?limit=${logPage}`, logsAnswer)
    return {
      cursor: answer.cursor,
      load: () => {
        store.logs = [...answer.logs]
        store.hasOlderLogs = answer.logs.length === logPage
      },
    }
  },
  async files(store) {
    const answer = await request(`/runs/${store.runId}/files`, filesAnswer)
    return {
      cursor: answer.cursor,
      load: () => {
        store.files = [...answer.files]
      },
    }
  },
  async samples(store) {
    const answer = await request(`/runs/${store.runId}/samples`, samplesAnswer)
    return {
      cursor: answer.cursor,
      load: () => {
        store.samples = [...answer.samples]
      },
    }
  },
}

/** Load a topic unless it is there; throws the request’s error and leaves the topic as it was. */
export async function hydrate(store: RunStore, topic: Topic): Promise<void> {
  if (store.isReady(topic)) return
  store.beginLoading(topic)
  try {
    const fetched = await fetchers[topic](store)
    store.finishLoading(topic, fetched.cursor, fetched.load)
  } catch (error) {
    store.abandonLoading(topic)
    throw error
  }
}

/** The page of log lines before those that are here. */
export async function fetchOlderLogs(store: RunStore): Promise<void> {
  const before = store.logs[0]?.cursor
  if (before === undefined) return
  const { logs } = await request(
    `/runs/${store.runId}/logs?limit=${logPage}&beforeCursor=${before}`,
    logsAnswer,
  )
  store.addOlderLogs(logs, logs.length === logPage)
}

/** The points of one scalar over a range of steps, both included: singly where there are not too many. */
export async function fetchSeries(
  runId: string,
  name: string,
  range: { fromStep: number; toStep: number },
  signal: AbortSignal,
): Promise<Series> {
  const query = new URLSearchParams({
    names: name,
    points: String(mostPoints),
    fromStep: String(range.fromStep),
    toStep: String(range.toStep),
  })
  const answer = await request(`/runs/${runId}/scalars?${query}`, scalarsAnswer, { signal })
  const series = new Series()
  const [found] = answer.series
  if (found) series.load(pointsFromJson(found))
  return series
}

function pointsFromJson(series: ScalarsAnswer['series'][number]): SeriesPoints {
  return {
    steps: series.steps,
    timesMs: series.timesMs,
    last: series.last.map(fromJsonNumber),
    low: series.min?.map(fromJsonNumber) ?? null,
    high: series.max?.map(fromJsonNumber) ?? null,
    nans: series.nanCounts,
    total: series.total,
  }
}

/** Singular values for a module and part: of one step, or of all steps when `step` is null. */
export async function fetchSpectra(
  store: RunStore,
  selection: { module: string; part: string; step: number | null },
  signal?: AbortSignal,
): Promise<void> {
  const query = new URLSearchParams({ module: selection.module, part: selection.part })
  if (selection.step !== null) query.set('step', String(selection.step))
  await pages(
    (after) =>
      request(
        `/runs/${store.runId}/spectra?${new URLSearchParams({ ...Object.fromEntries(query), ...after })}`,
        spectraAnswer,
        signal ? { signal } : {},
      ),
    (answer) => store.addSpectra(answer.spectra.map(entryFromJson)),
  )
}

/** All pages of an answer. The first one’s cursor: what came meanwhile comes again live, which changes nothing. */
async function pages<T extends { next: string | null; cursor: number }>(
  ask: (after: Record<string, string>) => Promise<T>,
  take: (answer: T) => void,
): Promise<number> {
  let answer = await ask({})
  const { cursor } = answer
  take(answer)
  while (answer.next !== null) {
    answer = await ask({ after: answer.next })
    take(answer)
  }
  return cursor
}
