/** From the `data` part of a RunConfig to what training and evaluation consume: one source, or a mix of several. */
import { type DataCounts, type DataSource, RankscopeError, type RunConfig } from '@rankscope/protocol'
import type { TokenExample } from '../data/examples.ts'
import { mixtureCounts, mixtureOrder } from '../data/mixture.ts'
import { packExamples } from '../data/packing.ts'
import { type EvaluationData, type LoadDataOptions, type LoadedSource, loadSource } from './load-source.ts'

export interface LoadedData {
  readonly train: readonly TokenExample[]
  /** For evaluation during training; null where the configuration names none. */
  readonly validation: EvaluationData | null
  /** For the final score; null where the configuration names none. */
  readonly test: EvaluationData | null
  /** What became of the records, source by source. */
  readonly counts: readonly DataCounts[]
  /** What was cut, skipped or left out, in sentences. */
  readonly notes: readonly string[]
}

/** `seed`: of the run; it draws a mix. Throws DATA_NOT_FOUND, DATA_BROKEN or DATA_EMPTY, naming file and line. */
export async function loadData(
  data: RunConfig['data'],
  seed: number,
  options: LoadDataOptions,
): Promise<LoadedData> {
  const { source } = data
  if (source.kind === 'none') throw noData()
  const loaded =
    source.kind === 'mix'
      ? await loadMix(source, data, seed, options)
      : whole(await loadSource({ ...data, source, name: null }, options))
  return data.packing ? packed(loaded, source, data.maxLength) : loaded
}

/** What only a job that trains nothing may have. */
export function noData(): RankscopeError {
  return new RankscopeError('DATA_EMPTY', 'data.source: none is named', {
    hint: 'name a task, a file or several',
  })
}

function whole({ train, validation, test, counts, notes }: LoadedSource): LoadedData {
  return { train, validation, test, counts, notes }
}

async function loadMix(
  mix: Extract<DataSource, { kind: 'mix' }>,
  data: RunConfig['data'],
  seed: number,
  options: LoadDataOptions,
): Promise<LoadedData> {
  const loaded: LoadedSource[] = []
  for (const { name, source, template, limit } of mix.sources)
    loaded.push(
      await loadSource(
        { ...data, name, source, template: template ?? data.template, limit: limit ?? data.limit },
        options,
      ),
    )
  const sizes = loaded.map(({ train }) => train.length)
  const counts = mixtureCounts(
    mix.sources.map(({ weight }, index) => ({ size: sizes[index]!, weight })),
    mix.examples,
  )
  const order = mixtureOrder(counts, sizes, seed)
  return {
    train: order.map(({ source, example }) => loaded[source]!.train[example]!),
    validation: joined(loaded.map(({ validation }) => validation)),
    test: joined(loaded.map(({ test }) => test)),
    counts: loaded.flatMap((one, index) =>
      one.counts.map((entry) => (entry.split === 'train' ? { ...entry, perEpoch: counts[index]! } : entry)),
    ),
    notes: loaded.flatMap((one, index) => [
      ...one.notes,
      ...mixtureNotes(one.name, sizes[index]!, counts[index]!),
    ]),
  }
}

/** A mix that leaves examples out, or shows them again, says so. */
function mixtureNotes(name: string, size: number, count: number): string[] {
  if (count < size)
    return [
      `${name}: ${size - count} of ${size} examples are not used: the mix takes ${count}, drawn by seed`,
    ]
  if (count > size)
    return [`${name}: ${count} examples in each epoch are drawn from ${size}: some come again`]
  return []
}

function joined(parts: readonly (EvaluationData | null)[]): EvaluationData | null {
  const present = parts.filter((part) => part !== null)
  if (present.length === 0) return null
  return {
    examples: present.flatMap(({ examples }) => examples),
    answers: present.flatMap(({ answers }) => answers),
  }
}

/** Rows of several examples; blocks of text are full rows already. */
function packed(loaded: LoadedData, source: DataSource, maxLength: number): LoadedData {
  if (source.kind === 'text') return loaded
  const train = packExamples(loaded.train, maxLength)
  const note = `${loaded.train.length} examples were packed into ${train.length} rows of at most ${maxLength} tokens`
  return { ...loaded, train, notes: [...loaded.notes, note] }
}
