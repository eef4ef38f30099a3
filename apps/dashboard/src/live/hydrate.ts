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

/** All items, oldest first; what came since the newest page was made follows live from its cursor. */
async function allPages<T>(
  fetchPage: (query: string) => Promise<{ items: readonly T[]; next: number | null; cursor: number }>,
): Promise<{ items: T[]; cursor: number }> {
  const newest = await fetchPage('')
  const pages = [newest.items]
  for (let { next } = newest; next !== null; ) {
    const page = await fetchPage(`?beforeCursor=${next}`)
    pages.push(page.items)
    next = page.next
  }
  return { items: pages.reverse().flat(), cursor: newest.cursor }
}

const fetchers: Record<LoadedTopic, (store: RunStore) => Promise<Fetched>> = {
  async spectra(store) {
    const answer = await request(`/runs/${store.runId}/spectra/modules`, spectraModulesAnswer)
    return { cursor: answer.cursor, load: () => store.spectra.load(answer) }
  },
  async evaluations(store) {
    const { items, cursor } = await allPages(async (page) => {
      const answer = await request(`/runs/${store.runId}/evaluations${page}`, evaluationsAnswer)
      return { ...answer, items: answer.evaluations }
    })
    return {
      cursor,
      load: () => {
        store.evaluations = items.map((evaluation) => ({
          step: evaluation.step,
          examples: evaluation.examples,
          loss: evaluation.loss === null ? null : fromJsonNumber(evaluation.loss),
          accuracy: evaluation.accuracy === null ? null : fromJsonNumber(evaluation.accuracy),
          ...(evaluation.meanAccuracy !== undefined && {
            meanAccuracy: fromJsonNumber(evaluation.meanAccuracy),
          }),
          ...(evaluation.protocols && { protocols: evaluation.protocols }),
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
        store.hasOlderLogs = answer.next !== null
      },
    }
  },
  async files(store) {
    const { items, cursor } = await allPages(async (page) => {
      const answer = await request(`/runs/${store.runId}/files${page}`, filesAnswer)
      return { ...answer, items: answer.files }
    })
    return {
      cursor,
      load: () => {
        store.files = items
      },
    }
  },
  async samples(store) {
    const { items, cursor } = await allPages(async (page) => {
      const answer = await request(`/runs/${store.runId}/samples${page}`, samplesAnswer)
      return { ...answer, items: answer.samples }
    })
    return {
      cursor,
      load: () => {
        store.samples = items
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
  const { logs, next } = await request(
    `/runs/${store.runId}/logs?limit=${logPage}&beforeCursor=${before}`,
    logsAnswer,
  )
  store.addOlderLogs(logs, next !== null)
}
