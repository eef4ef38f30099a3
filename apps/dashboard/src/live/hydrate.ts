/** Fetch a topic’s history of one run into its store. */
import {
  evaluationsAnswer,
  filesAnswer,
  fromJsonNumber,
  logsAnswer,
  type SpectraIndexAnswer,
  samplesAnswer,
  spectraAnswer,
  spectraIndexAnswer,
} from '@rankscope/protocol'
import { request } from '../api/client.ts'
import type { LoadedTopic, RunStore } from './run-store.ts'
import { entryFromJson } from './spectra.ts'

/** Lines of a log that are fetched at a time, newest first. */
const logPage = 2000

type Fetched = { cursor: number; load: () => void }

const fetchers: Record<LoadedTopic, (store: RunStore) => Promise<Fetched>> = {
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
          ...(evaluation.split && { split: evaluation.split }),
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
export async function hydrate(store: RunStore, topic: LoadedTopic): Promise<void> {
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
