/** What passes between the pool and its worker threads. Both sides are ours and of one version. */
import type { ErrorPayload } from '@rankscope/protocol'
import type { CacheLocation } from '../disk-cache.ts'
import type { Analysis, AnalysisSettings } from './against-base/analysis.ts'
import type { FloatArray } from './linear-algebra.ts'
import type { Spectrum, SpectrumSource } from './spectrum.ts'
import type { TopSvd, TopSvdOptions } from './top-svd.ts'

export interface TopSvdJob {
  readonly kind: 'top-svd'
  readonly w: Float32Array
  readonly rows: number
  readonly columns: number
  readonly rank: number
  readonly options: TopSvdOptions
  readonly cache: CacheLocation | null
}

export interface SpectrumJob {
  readonly kind: 'spectrum'
  readonly source: SpectrumSource
  readonly against: AgainstBase | null
}

/** The update is to be analysed against the weight that it changes. */
export interface AgainstBase {
  /** Decompositions of a weight that is looked at often are kept under its module's name; null: it comes once. */
  readonly keptAs: string | null
  /** W0 [rows, columns]. */
  readonly w: FloatArray
  readonly step: number
  readonly settings: AnalysisSettings
}

export interface AnalysedSpectrum extends Spectrum {
  /** null where none was asked for. */
  readonly analysis: (Pick<Analysis, 'measures' | 'profiles'> & { readonly elapsedMs: number }) | null
}

export type Job = TopSvdJob | SpectrumJob

export interface TopSvdOutcome extends TopSvd {
  readonly fromCache: boolean
  /** Why the result could not be kept on disk, or null. */
  readonly cacheProblem: string | null
}

export type OutcomeOf<J extends Job> = J extends TopSvdJob ? TopSvdOutcome : AnalysedSpectrum

export interface Request {
  readonly job: Job
  /** One shared int32; nonzero asks the worker to give up at the next opportunity. */
  readonly cancelled: Int32Array
}

export type Reply =
  | { readonly status: 'done'; readonly outcome: TopSvdOutcome | AnalysedSpectrum }
  | { readonly status: 'failed'; readonly error: ErrorPayload }
  | { readonly status: 'cancelled' }

/** `workerData` of a worker thread. */
export interface WorkerSettings {
  readonly entry: string
  /** BLAS threads; they are counted per calling thread, so that training keeps its own. */
  readonly threads: number
  /** Yield the processor to training. */
  readonly lowPriority: boolean
}
