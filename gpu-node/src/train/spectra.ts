/**
 * Spectra of ΔW while training goes on: a snapshot is taken between two steps, decomposed on another thread, and told
 * when it is ready, always with the step that it belongs to. Where decomposing is slower than training, snapshots that
 * still wait give way to newer ones, and are counted; training waits for none, unless `spectra.wait` says so.
 */
import { setMaxListeners } from 'node:events'
import {
  type AnalysisProfiles,
  type RankMeasures,
  RankscopeError,
  type RecordBodyOf,
  type RunConfig,
  rankMarks,
  type SpectrumPart,
  tailRatioPlaces,
  toFloat64Bytes,
} from '@rankscope/protocol'
import {
  type AgainstBase,
  type AnalysedSpectrum,
  LinearAlgebraPool,
  latestSpectrum,
  type Spectrum,
  type SpectrumSource,
  spectrum,
} from '../linalg/index.ts'
import { noiseFloor, tailRatio, tailRatios } from '../linalg/rank-measures.ts'
import type { Adaptation, TargetModule } from '../methods/method.ts'
import { AnalysisBudget } from './analysis-budget.ts'
import type { BaseWeights } from './base-weights.ts'
import type { SkippedSpectra, SkipReason } from './skipped-spectra.ts'

/** What of a run's configuration its measures depend on. */
export type MeasuredRun = Pick<RunConfig, 'method' | 'parallel'> & {
  readonly spectra: Pick<RunConfig['spectra'], 'analysesUpTo' | 'wait'>
}

export class SpectraRecorder {
  readonly #run: MeasuredRun
  readonly #adaptation: Adaptation
  readonly #base: BaseWeights
  readonly #tell: (record: RecordBodyOf<'spectrum'>) => void
  readonly #warn: (message: string) => void
  readonly #skipped: SkippedSpectra
  readonly #pending = new Set<Promise<void>>()
  readonly #abort = new AbortController()
  readonly #analyses = new AnalysisBudget(() => performance.now())
  /** Modules of which live analyses were taken. */
  readonly #watched = new Set<string>()

  constructor(
    run: MeasuredRun,
    adaptation: Adaptation,
    base: BaseWeights,
    tell: (record: RecordBodyOf<'spectrum'>) => void,
    warn: (message: string) => void,
    skipped: SkippedSpectra,
  ) {
    this.#run = run
    this.#adaptation = adaptation
    this.#base = base
    this.#tell = tell
    this.#warn = warn
    this.#skipped = skipped
    setMaxListeners(0, this.#abort.signal) // every request under way listens
  }

  /** Takes the snapshots of `step`; the decompositions go on in the background, unless they are to be waited for. */
  async record(step: number, targets: readonly TargetModule[]): Promise<void> {
    const { analysesUpTo, wait } = this.#run.spectra
    const wanted = targets.filter((target) => shorterSide(target) <= analysesUpTo)
    const due = wait ? new Set(wanted.map(({ name }) => name)) : this.#analyses.next(wanted)
    for (const { name } of wanted) if (!due.has(name)) this.#skipped.count('putOff', name)
    for (const target of targets) {
      const outcomes: Promise<Spectrum | SkipReason>[] = []
      const parts = await this.#adaptation.delta(target, async () => this.#base.shared(target))
      for (const { part, source } of parts) {
        // Parts of one update share arrays, which only one request could take over.
        const options = { transfer: parts.length === 1, signal: this.#abort.signal }
        const against =
          part === 'total' && due.has(target.name) ? this.#against(step, target, source, false) : null
        const result = latestSpectrum(`${target.name}/${part}`, source, options, against)
        if (against) this.#account(target.name, result)
        outcomes.push(this.#tellWhenDone(result, { step, target, part, final: false }))
      }
      this.#follow(this.#countSkipped(target, outcomes))
      if (wait) await this.settle()
    }
  }

  /** A snapshot of which a part is missing counts once. */
  async #countSkipped(target: TargetModule, outcomes: readonly Promise<Spectrum | SkipReason>[]) {
    const reason = (await Promise.all(outcomes)).find((outcome) => typeof outcome === 'string')
    if (reason !== undefined) this.#skipped.count(reason, target.name)
  }

  /**
   * The spectra of all targets after the last step, in their order. Training is over: modules are taken side by side, one
   * on each of `threads` processors as far as memory goes. `onProgress` hears the share of the work that is done.
   */
  async recordFinal(
    step: number,
    targets: readonly TargetModule[],
    threads: number,
    onProgress: (done: number) => void,
  ): Promise<{ target: TargetModule; result: Spectrum }[]> {
    const workers = sideBySide(threads, targets)
    const pool = new LinearAlgebraPool({ workers, threadsPerWorker: 1, lowPriority: false })
    const totals: ({ target: TargetModule; result: Spectrum } | null)[] = targets.map(() => null)
    const whole = targets.reduce((sum, target) => sum + effort(target), 0)
    let done = 0
    const one = async (index: number, target: TargetModule) => {
      const parts = await this.#adaptation.delta(target, async () => this.#base.read(target))
      const outcomes: Promise<Spectrum | SkipReason>[] = []
      for (const { part, source } of parts) {
        const options = { transfer: parts.length === 1, signal: this.#abort.signal }
        const against = part === 'total' ? this.#against(step, target, source, true) : null
        // What was kept of a module that was watched lies with the thread that watched it.
        const result = against?.keptAs
          ? spectrum(source, options, against)
          : pool.spectrum(source, options, against)
        const telling = this.#tellWhenDone(result, { step, target, part, final: true })
        outcomes.push(telling)
        const found = await telling
        if (typeof found !== 'string' && part === 'total') totals[index] = { target, result: found }
      }
      await this.#countSkipped(target, outcomes)
      done += effort(target)
      onProgress(done / whole)
    }
    const remaining = targets.entries()
    const takeTurns = async () => {
      for (const [index, target] of remaining) await one(index, target)
    }
    onProgress(0)
    try {
      await Promise.all(Array.from({ length: workers }, takeTurns))
    } finally {
      await pool.close()
    }
    return totals.filter((total) => total !== null)
  }

  /** Waits for everything that was taken. */
  async settle(): Promise<void> {
    await Promise.all(this.#pending)
  }

  /** Gives up what is still under way. */
  async abandon(): Promise<void> {
    this.#abort.abort(new Error('the run ends'))
    await this.settle()
  }

  /** What the thread needs to analyse ΔW against W_0; null where the weight is larger than is wanted. */
  #against(step: number, target: TargetModule, source: SpectrumSource, final: boolean): AgainstBase | null {
    const { method, parallel, spectra } = this.#run
    const { name } = target
    if (shorterSide(target) > spectra.analysesUpTo) return null
    // A method that rounded W_0 first measures from there.
    const before = source.kind === 'dense' ? source.before : null
    const isWatched = this.#watched.has(name)
    if (!final) this.#watched.add(name)
    return {
      keptAs: !final || isWatched ? name : null,
      w: before ?? (isWatched || !final ? this.#base.shared(target) : this.#base.read(target)),
      step,
      settings: {
        rank: 'rank' in method ? method.rank : null,
        devices: parallel.devices,
        slices: method.name === 'hd-pissa',
        vectors: final,
      },
    }
  }

  /** What the analysis took, once it is known. */
  #account(name: string, result: Promise<AnalysedSpectrum | null>): void {
    result.then(
      (found) => this.#analyses.ended(name, found?.analysis?.elapsedMs ?? null),
      () => this.#analyses.ended(name, null),
    )
  }

  #follow(work: Promise<unknown>): void {
    const followed: Promise<void> = work.then(() => {
      this.#pending.delete(followed)
    })
    this.#pending.add(followed)
  }

  async #tellWhenDone(
    result: Promise<AnalysedSpectrum | null>,
    about: { step: number; target: TargetModule; part: SpectrumPart; final: boolean },
  ): Promise<Spectrum | SkipReason> {
    const { step, target, part, final } = about
    try {
      const found = await result
      if (!found) return 'overtaken'
      const { singularValues, frobenius, elapsedMs } = found
      const measures = { ...recordedMeasures(found, step, target, this.#run), ...found.analysis?.measures }
      const profiles = found.analysis && profileBytes(found.analysis.profiles)
      const { name: module, rows, columns } = target
      const bytes = toFloat64Bytes(singularValues)
      const what = { kind: 'spectrum', step, module, part, rows, columns, final } as const
      this.#tell({
        ...what,
        singularValues: bytes,
        frobenius,
        measures,
        ...(profiles && { profiles }),
        elapsedMs,
      })
      return found
    } catch (error) {
      if (this.#abort.signal.aborted) return 'unfinished'
      if (!(error instanceof RankscopeError)) throw error
      this.#warn(`no spectrum of ${target.name} at step ${step}: ${error.message}`)
      return 'failed'
    }
  }
}

/**
 * The mean tail ratio of total spectra at the outermost mark of the method, over the modules where it is defined: the mark
 * lies inside and the value there is not zero. Null where there is no such module.
 */
export function meanTailRatio(
  { method, parallel }: MeasuredRun,
  totals: readonly { readonly result: Spectrum }[],
): number | null {
  const outermost = rankMarks(method, parallel.devices, Number.POSITIVE_INFINITY).at(-1)
  if (!outermost) return null
  const ratios = totals
    .filter(({ result }) => outermost.rank < result.singularValues.length)
    .map(({ result }) => tailRatio(result.singularValues, outermost.rank))
    .filter(Number.isFinite)
  return ratios.length === 0 ? null : ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length
}

/** Bytes that modules may take together while they are decomposed: training has left more than that free. */
const sideBySideBytes = 2 * 2 ** 30
/** Of an entry: both weights in float32, their difference and what LAPACK works on in float64, with room for analyses. */
const bytesPerEntry = 40

/** How many modules are decomposed at a time. */
function sideBySide(threads: number, targets: readonly TargetModule[]): number {
  const largest = targets.reduce((most, { rows, columns }) => Math.max(most, rows * columns), 1)
  const fitting = Math.floor(sideBySideBytes / (bytesPerEntry * largest))
  return Math.max(1, Math.min(threads, targets.length, fitting))
}

/** What a decomposition takes, up to a factor. */
function effort({ rows, columns }: TargetModule): number {
  return rows * columns * Math.min(rows, columns)
}

function shorterSide({ rows, columns }: TargetModule): number {
  return Math.min(rows, columns)
}

function profileBytes(
  profiles: { readonly [name in keyof AnalysisProfiles]: Float64Array },
): AnalysisProfiles {
  return Object.fromEntries(Object.entries(profiles).map(([name, values]) => [name, toFloat64Bytes(values)]))
}

/**
 * The measures of a spectrum with those that depend on the method: tail ratios at its marks, as far as they are defined,
 * and its noise floor.
 */
function recordedMeasures(
  { singularValues, measures, beyondFirstOrder, roundingDeviation }: Spectrum,
  step: number,
  { rows, columns }: TargetModule,
  { method, parallel }: MeasuredRun,
): RankMeasures {
  const places = tailRatioPlaces(method, parallel.devices, Math.min(rows, columns))
  // With Kahan's compensation the weights are never further off than by one rounding.
  const roundings = 'compensated' in method && method.compensated === 'kahan' ? Math.min(1, step) : step
  // bfloat16 has 16 bits less than float32.
  const coarser = 'weightStorage' in method && method.weightStorage === 'bfloat16' ? 2 ** 16 : 1
  return {
    ...measures,
    ...Object.fromEntries(
      Object.entries(tailRatios(singularValues, places)).filter(([, ratio]) => Number.isFinite(ratio)),
    ),
    ...(beyondFirstOrder !== null && { beyondFirstOrder }),
    ...(roundingDeviation !== null && {
      noiseFloor: noiseFloor(coarser * roundingDeviation, { rows, columns }, roundings),
    }),
  }
}
