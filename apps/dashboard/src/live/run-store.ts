/**
 * Everything the browser knows about one run’s records, outside React. History comes from REST per topic, of scalars
 * per series, each answer complete up to its cursor; what comes after arrives over the socket. A record counts exactly
 * once: it is dropped when the history already covers its cursor, or when it was applied before.
 */
import type { RecordBodyOf, RecordKind, StoredRecord } from '@rankscope/protocol'
import { Batcher } from './batcher.ts'
import type { SeriesPoints } from './series.ts'
import { SeriesShelf } from './series-shelf.ts'
import { entryFromRecord, SpectrumIndex } from './spectra.ts'

export const topics = ['scalars', 'spectra', 'evaluations', 'logs', 'samples', 'files'] as const
export type Topic = (typeof topics)[number]
/** What is fetched as a whole; scalars come series by series. */
export type LoadedTopic = Exclude<Topic, 'scalars'>

export type LogLine = {
  cursor: number
  attempt: number
  timeMs: number
  level: RecordBodyOf<'log'>['level']
  message: string
}
export type Sample = Omit<RecordBodyOf<'sample'>, 'kind'>
export type Evaluation = Omit<RecordBodyOf<'evaluation'>, 'kind' | 'elapsedMs'>
export type RunFile = {
  kind: 'checkpoint' | RecordBodyOf<'artifact'>['artifact']
  attempt: number
  /** null for what is written after the last step. */
  step: number | null
  path: string
  bytes: number
  timeMs: number
}

/** A live record that has reached the browser, for the latency figures. */
export type Arrival = { step: number; emittedMs: number; receivedMs: number }

type TopicState =
  | { state: 'absent' }
  /** Records that arrive while the history is under way wait here. */
  | { state: 'loading'; waiting: StoredRecord[] }
  | { state: 'ready'; complete: number }

const topicOfKind: Partial<Record<RecordKind, Topic>> = {
  spectrum: 'spectra',
  evaluation: 'evaluations',
  log: 'logs',
  sample: 'samples',
  checkpoint: 'files',
  artifact: 'files',
}
/** Oldest log lines go when there are more: 20,000 lines scroll well and are about 4 MB. */
const maximumLogLines = 20_000

export class RunStore {
  readonly runId: string
  readonly #shelf = new SeriesShelf()
  readonly spectra = new SpectrumIndex()
  evaluations: Evaluation[] = []
  logs: LogLine[] = []
  /** The run has lines before those that are here. */
  hasOlderLogs = false
  samples: Sample[] = []
  files: RunFile[] = []
  /** Live scalar records since the chart last asked; see `takeArrivals`. */
  #arrivals: Arrival[] = []
  #cursor = 0
  #attempt = 0
  readonly #topics = new Map<Topic, TopicState>(topics.map((topic) => [topic, { state: 'absent' }]))
  readonly #versions = new Map<Topic, number>(topics.map((topic) => [topic, 0]))
  readonly #listeners = new Set<() => void>()
  readonly #notify = () => {
    for (const listener of this.#listeners) listener()
  }
  readonly #notices: Batcher

  /**
   * Listeners hear of all that a packet brought at once, in the same turn of the event loop: they keep to frames
   * themselves, and waiting for one here would cost live points a second frame.
   */
  constructor(runId: string, notices = new Batcher((callback) => queueMicrotask(callback))) {
    this.runId = runId
    this.#notices = notices
  }

  /** Cursor after which the socket has to go on: the newest applied record, or the least complete history. */
  get cursor(): number {
    return this.#cursor
  }

  /** The series that are here, by name. */
  get series(): SeriesShelf['series'] {
    return this.#shelf.series
  }

  /** Of these series, the ones to be fetched so that each has about so many points, and times if they are wanted. */
  missingSeries(names: readonly string[], wanted: { points: number; times: boolean }): string[] {
    return names.filter((name) => !this.#shelf.has(name, wanted))
  }

  isSeriesReady(name: string): boolean {
    return this.#shelf.isReady(name)
  }

  /** Announce that these series are being fetched; live points of them wait. */
  beginSeries(names: readonly string[]): void {
    for (const name of names) this.#shelf.begin(name)
  }

  abandonSeries(names: readonly string[]): void {
    for (const name of names) this.#shelf.abandon(name)
  }

  /** Take the history of series, complete up to `cursor`; null for one that the run does not have yet. */
  finishSeries(
    cursor: number,
    loaded: ReadonlyMap<string, SeriesPoints | null>,
    wanted: { points: number; times: boolean },
  ): void {
    for (const [name, points] of loaded) this.#shelf.finish(name, cursor, points, wanted)
    this.#changed('scalars')
  }

  /** Grows whenever the topic changes: the snapshot for useSyncExternalStore. */
  version(topic: Topic): number {
    return this.#versions.get(topic)!
  }

  isReady(topic: Topic): boolean {
    return this.#topics.get(topic)!.state === 'ready'
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Announce that a topic’s history is being fetched; live records wait for it. */
  beginLoading(topic: Topic): void {
    if (!this.isReady(topic)) this.#topics.set(topic, { state: 'loading', waiting: [] })
  }

  /** Fetching failed: a later attempt begins anew. */
  abandonLoading(topic: Topic): void {
    if (!this.isReady(topic)) this.#topics.set(topic, { state: 'absent' })
  }

  /** Take a topic’s history, complete up to `cursor`, then what waited for it. */
  finishLoading(topic: Topic, cursor: number, load: () => void): void {
    const before = this.#topics.get(topic)!
    this.#topics.set(topic, { state: 'ready', complete: cursor })
    load()
    if (before.state === 'loading') for (const record of before.waiting) this.#applyToTopic(topic, record)
    this.#changed(topic)
  }

  /** Where to subscribe first: after the least complete of the loaded histories. */
  startFrom(): number {
    const complete = [...this.#topics.values()].flatMap((state) =>
      state.state === 'ready' ? [state.complete] : [],
    )
    complete.push(...this.#shelf.complete())
    this.#cursor = Math.max(this.#cursor, complete.length === 0 ? 0 : Math.min(...complete))
    return this.#cursor
  }

  /** Measures or singular values were fetched into the index. */
  spectraChanged(): void {
    this.#changed('spectra')
  }

  /** Log lines before those that are here, oldest first. */
  addOlderLogs(lines: readonly LogLine[], hasOlder: boolean): void {
    this.logs = [...lines, ...this.logs]
    this.hasOlderLogs = hasOlder
    this.#changed('logs')
  }

  /** Records from the socket, ascending by cursor; those seen before are ignored. */
  apply(records: readonly StoredRecord[], receivedMs: number): void {
    for (const record of records) {
      if (record.cursor <= this.#cursor) continue
      this.#cursor = record.cursor
      if (record.body.kind === 'start') this.#restart(record.attempt, record.body.startStep)
      if (record.body.kind === 'scalars') {
        if (!this.#shelf.apply(record, record.body)) continue
        this.#changed('scalars')
        this.#arrivals.push({ step: record.body.step, emittedMs: record.timeMs, receivedMs })
        continue
      }
      const topic = topicOfKind[record.body.kind]
      if (topic === undefined) continue
      const state = this.#topics.get(topic)!
      if (state.state === 'loading') state.waiting.push(record)
      else if (state.state === 'ready') {
        this.#applyToTopic(topic, record)
        this.#changed(topic)
      }
    }
    if (this.#arrivals.length > 5000) this.#arrivals.splice(0, this.#arrivals.length - 5000)
  }

  /** Live points that arrived since the last call; the caller is about to draw them. */
  takeArrivals(): Arrival[] {
    const taken = this.#arrivals
    this.#arrivals = []
    return taken
  }

  #applyToTopic(topic: Topic, record: StoredRecord): void {
    const state = this.#topics.get(topic)!
    if (state.state === 'ready' && record.cursor <= state.complete) return
    const body = record.body
    switch (body.kind) {
      case 'spectrum':
        this.spectra.add(entryFromRecord(body))
        break
      case 'evaluation':
        this.evaluations = [
          ...this.evaluations.filter(({ step, split }) => step !== body.step || split !== body.split),
          body,
        ]
        break
      case 'log':
        this.logs.push({
          cursor: record.cursor,
          attempt: record.attempt,
          timeMs: record.timeMs,
          level: body.level,
          message: body.message,
        })
        if (this.logs.length > maximumLogLines) {
          this.logs.splice(0, this.logs.length - maximumLogLines)
          this.hasOlderLogs = true
        }
        break
      case 'sample':
        this.samples = [
          ...this.samples.filter((other) => other.step !== body.step || other.index !== body.index),
          body,
        ]
        break
      case 'checkpoint':
        this.files = [...this.files, fileOf(record, 'checkpoint', body.step, body)]
        break
      case 'artifact':
        this.files = [...this.files, fileOf(record, body.artifact, null, body)]
        break
      default:
    }
  }

  /** A new attempt begins at a checkpoint’s step, or at 0: later steps of the old one are void. */
  #restart(attempt: number, startStep: number): void {
    if (attempt <= this.#attempt) return
    const first = this.#attempt === 0
    this.#attempt = attempt
    if (first && attempt === 1) return
    this.spectra.truncateAfter(startStep)
    this.evaluations = this.evaluations.filter((evaluation) => evaluation.step <= startStep)
    this.samples = this.samples.filter((sample) => sample.step <= startStep)
    this.files = this.files.filter((file) => file.step === null || file.step <= startStep)
    for (const topic of ['spectra', 'evaluations', 'samples', 'files'] as const) this.#changed(topic)
  }

  #changed(topic: Topic): void {
    this.#versions.set(topic, this.#versions.get(topic)! + 1)
    this.#notices.request(this.#notify)
  }
}

function fileOf(
  { attempt, timeMs }: StoredRecord,
  kind: RunFile['kind'],
  step: number | null,
  { path, bytes }: { path: string; bytes: number },
): RunFile {
  return { kind, attempt, step, path, bytes, timeMs }
}
