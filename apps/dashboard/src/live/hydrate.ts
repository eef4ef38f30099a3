/** Fetch a topic’s history of one run into its store. */
import {
  evaluationsAnswer,
  fromJsonNumber,
  logsAnswer,
  samplesAnswer,
  scalarsAnswer,
  spectraAnswer,
  spectraIndexAnswer,
} from '@rankscope/protocol'
import { request } from '../api/client.ts'
import type { RunStore, Topic } from './run-store.ts'
import { entryFromJson } from './spectra.ts'

/** Points asked for per series: a few per pixel of a wide chart. */
export const historyPoints = 2000

type Fetched = { cursor: number; load: () => void }

const fetchers: Record<Exclude<Topic, 'files'>, (store: RunStore) => Promise<Fetched>> = {
  async scalars(store) {
    const answer = await request(`/runs/${store.runId}/scalars?points=${historyPoints}`, scalarsAnswer)
    return {
      cursor: answer.cursor,
      load: () => {
        for (const series of answer.series) {
          store.loadSeries(series.name, {
            steps: series.steps,
            timesMs: series.timesMs,
            last: series.last.map(fromJsonNumber),
            low: series.min?.map(fromJsonNumber) ?? null,
            high: series.max?.map(fromJsonNumber) ?? null,
            total: series.total,
          })
        }
      },
    }
  },
  async spectra(store) {
    const answer = await request(`/runs/${store.runId}/spectra/index`, spectraIndexAnswer)
    return {
      cursor: answer.cursor,
      load: () => {
        for (const entry of answer.entries) store.spectra.add(entryFromJson(entry))
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
    const answer = await request(`/runs/${store.runId}/logs`, logsAnswer)
    return {
      cursor: answer.cursor,
      load: () => {
        store.logs = [...answer.logs]
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
export async function hydrate(store: RunStore, topic: Exclude<Topic, 'files'>): Promise<void> {
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

/** Singular values for a module and part: of one step, or of all steps when `step` is null. */
export async function fetchSpectra(
  store: RunStore,
  selection: { module: string; part: string; step: number | null },
  signal?: AbortSignal,
): Promise<void> {
  const query = new URLSearchParams({ module: selection.module, part: selection.part })
  if (selection.step !== null) query.set('step', String(selection.step))
  const answer = await request(
    `/runs/${store.runId}/spectra?${query}`,
    spectraAnswer,
    signal ? { signal } : {},
  )
  store.addSpectra(answer.spectra.map(entryFromJson))
}
