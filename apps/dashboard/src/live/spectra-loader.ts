/** Fetch measures and singular values of spectra into a run’s store, as columns of bytes. */
import {
  decodeColumn,
  decodeSteps,
  type SpectraMeasuresAnswer,
  type SpectraValuesRequest,
  type SpectrumPart,
  spectraMeasuresAnswer,
  spectraValuesAnswer,
} from '@rankscope/protocol'
import { requestColumns } from '../api/client.ts'
import type { RunStore } from './run-store.ts'
import type { SpectrumEntry } from './spectra.ts'

export type MeasuresWanted = {
  /** null: all that the run has. */
  modules: readonly string[] | null
  part: SpectrumPart
  measures: readonly string[]
}

type ValuesWanted = readonly Pick<SpectrumEntry, 'module' | 'part' | 'step' | 'final'>[]

/** Values last asked for, by store; never rejects. */
const valuesUnderWay = new WeakMap<RunStore, Promise<void>>()
/** The last request for measures of all modules, by store; never rejects. */
const overviewUnderWay = new WeakMap<RunStore, Promise<void>>()

/**
 * Measures over all steps, of live spectra and of final ones; what is here is not asked for again. Those of all modules
 * keep the server busy for longest, so they wait for the spectrum in sight, and for each other: two panels often want
 * the same.
 */
export async function fetchMeasures(store: RunStore, wanted: MeasuresWanted): Promise<void> {
  if (wanted.modules !== null) return requestMeasures(store, wanted)
  // Whatever is wanted by the panels mounted together has been asked for once they all have had their turn.
  await Promise.resolve()
  const before = Promise.all([valuesUnderWay.get(store), overviewUnderWay.get(store)])
  const answer = before.then(() => requestMeasures(store, wanted))
  overviewUnderWay.set(store, answer.catch(ignore))
  return answer
}

async function requestMeasures(store: RunStore, wanted: MeasuresWanted): Promise<void> {
  const { part } = wanted
  const modules = wanted.modules ?? store.spectra.modules()
  for (const final of [false, true]) {
    const measures = wanted.measures.filter((measure) =>
      modules.some((module) => !store.spectra.hasColumn(module, part, final, measure)),
    )
    if (measures.length === 0) continue
    let after: string | null = null
    do {
      const body = {
        part,
        final,
        measures,
        ...(wanted.modules === null ? {} : { modules: [...modules] }),
        ...(after === null ? {} : { after }),
      }
      const answer: SpectraMeasuresAnswer = await requestColumns(
        `/runs/${store.runId}/spectra/measures`,
        body,
        spectraMeasuresAnswer,
      )
      for (const { module, steps, values } of answer.modules) {
        const decoded = decodeSteps(steps)
        measures.forEach((measure, index) =>
          store.spectra.addColumn(module, part, final, measure, {
            steps: decoded,
            values: decodeColumn(values[index]!, 'float64'),
          }),
        )
      }
      after = answer.next
    } while (after !== null)
  }
  store.spectraChanged()
}

/** Singular values of single spectra, in the order given: the first ones are here first. */
export function fetchValues(store: RunStore, entries: ValuesWanted, signal?: AbortSignal): Promise<void> {
  const answer = requestValues(store, entries, signal)
  valuesUnderWay.set(store, answer.catch(ignore))
  return answer
}

async function requestValues(store: RunStore, entries: ValuesWanted, signal?: AbortSignal): Promise<void> {
  let rest = entries
  while (rest.length > 0) {
    const asked = rest.slice(0, valuesAtATime)
    const items: SpectraValuesRequest['items'] = asked.map(({ module, part, step, final }) => ({
      module,
      part,
      step,
      final,
    }))
    const answer = await requestColumns(
      `/runs/${store.runId}/spectra/values`,
      { items },
      spectraValuesAnswer,
      signal ? { signal } : {},
    )
    answer.spectra.forEach((bytes, index) => {
      const { module, part, step, final } = asked[index]!
      if (bytes) store.spectra.addValues(module, part, step, final, decodeColumn(bytes, 'float64'))
    })
    store.spectraChanged()
    rest = rest.slice(answer.next ?? asked.length)
  }
}

const valuesAtATime = 128

/** Whoever asked tells of the failure; whoever waits only wants it over. */
function ignore(): void {}
