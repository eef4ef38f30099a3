/** Fetch a topic’s history of one run into its store. */
import {
  evaluationsAnswer,
  filesAnswer,
  fromJsonNumber,
  logsAnswer,
  samplesAnswer,
  spectraModulesAnswer,
} from '@rankscope/protocol'
import { request } from '../api/client.ts'
import type { LoadedTopic, RunStore } from './run-store.ts'

/** Lines of a log that are fetched at a time, newest first. */
const logPage = 2000

type Fetched = { cursor: number; load: () => void }

const fetchers: Record<LoadedTopic, (store: RunStore) => Promise<Fetched>> = {
  async spectra(store) {
    const answer = await request(`/runs/${store.runId}/spectra/modules`, spectraModulesAnswer)
    return { cursor: answer.cursor, load: () => store.spectra.load(answer) }
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
