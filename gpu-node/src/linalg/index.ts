/**
 * Linear algebra for the rest of the node, asynchronous: nothing here blocks the calling thread for more
 * than some ten milliseconds.
 *
 * `topSvd` and `topSvdAll` serve the start of a run, on all processors, with a cache on disk. `spectrum` and
 * `latestSpectrum` serve a run in progress, on one thread of low priority. Matrices are row-major.
 */
import { availableParallelism } from 'node:os'
import { RankscopeError } from '@rankscope/protocol'
import type { AgainstBase, AnalysedSpectrum, TopSvdJob, TopSvdOutcome } from './messages.ts'
import { LinearAlgebraPool, type RequestOptions } from './pool.ts'
import { selectLinearAlgebra } from './select.ts'
import type { SpectrumSource } from './spectrum.ts'
import { cacheEntry } from './svd-cache.ts'
import { refuseRank, type TopSvd, type TopSvdOptions } from './top-svd.ts'

export type { AgainstBase, AnalysedSpectrum, TopSvdOutcome } from './messages.ts'
export { LinearAlgebraPool } from './pool.ts'
export type { DenseSource, FactoredSource, LowRankTerm, Spectrum, SpectrumSource } from './spectrum.ts'
export type { TopSvd, TopSvdOptions } from './top-svd.ts'

export interface StartOptions extends TopSvdOptions {
  /** Folder of the cache; without it nothing is kept. */
  readonly cacheFolder?: string
  /** Size at which the cache forgets what was used longest ago; default 8 GiB. */
  readonly cacheLimitBytes?: number
  /** Processors to use; default all. */
  readonly threads?: number
  readonly signal?: AbortSignal
}

export interface TopSvdEntry {
  /** For messages and as the key of the result: the module's name. */
  readonly name: string
  readonly rows: number
  readonly columns: number
  readonly rank: number
  /** w [rows, columns]; a function is called when its turn comes, so that not all copies exist at once. */
  readonly w: Float32Array | (() => Float32Array)
}

export interface TopSvdProgress {
  readonly done: number
  readonly total: number
  /** The module that was just finished. */
  readonly name: string
  readonly fromCache: boolean
  readonly cacheProblem: string | null
}

const defaultCacheLimitBytes = 8 * 2 ** 30
/** A matrix up to this size is hashed and read in ten milliseconds or so. */
const smallBytes = 2 ** 24

/**
 * The leading `rank` triplets of w [rows, columns]: u [rows, rank], s [rank], v [columns, rank], float64, the largest
 * entry of each u_j positive. Errors: RANK_TOO_LARGE, NUMERIC.
 */
export async function topSvd(
  w: Float32Array,
  rows: number,
  columns: number,
  rank: number,
  options: StartOptions,
): Promise<TopSvdOutcome> {
  const results = await topSvdAll([{ name: 'matrix', rows, columns, rank, w }], options)
  return results.get('matrix')!
}

/**
 * Full SVDs one after the other, on one thread that stays: starting one for each matrix takes longer than a small matrix.
 * `work` is given the means, which end with it.
 */
export async function withFullSvd<T>(
  threads: number,
  work: (
    topOf: (w: Float32Array, rows: number, columns: number, rank: number) => Promise<TopSvd>,
  ) => Promise<T>,
): Promise<T> {
  const pool = new LinearAlgebraPool({ workers: 1, threadsPerWorker: threads, lowPriority: false })
  try {
    return await work((w, rows, columns, rank) =>
      pool.topSvd({ kind: 'top-svd', w, rows, columns, rank, options: { kind: 'full' }, cache: null }),
    )
  } finally {
    await pool.close()
  }
}

/** `topSvd` of every entry, matrices side by side. The first error, with the module's name, stops the others. */
export async function topSvdAll(
  entries: readonly TopSvdEntry[],
  options: StartOptions & { readonly onProgress?: (progress: TopSvdProgress) => void },
): Promise<Map<string, TopSvdOutcome>> {
  for (const { name, rows, columns, rank } of entries) naming(name, () => refuseRank(rows, columns, rank))
  const threads = options.threads ?? availableParallelism()
  const workers = Math.max(1, Math.min(threads, entries.length))
  const threadsPerWorker = Math.max(1, Math.floor(threads / workers))
  const pool = new LinearAlgebraPool({ workers, threadsPerWorker, lowPriority: false })
  const results = new Map<string, TopSvdOutcome>()
  const remaining = entries.values()
  const takeTurns = async () => {
    for (const entry of remaining) {
      const outcome = await decompose(pool, entry, options)
      results.set(entry.name, outcome)
      const { fromCache, cacheProblem } = outcome
      options.onProgress?.({
        done: results.size,
        total: entries.length,
        name: entry.name,
        fromCache,
        cacheProblem,
      })
    }
  }
  try {
    await Promise.all(Array.from({ length: workers }, takeTurns))
    return results
  } finally {
    await pool.close()
  }
}

async function decompose(pool: LinearAlgebraPool, entry: TopSvdEntry, options: StartOptions) {
  const { name, rows, columns, rank } = entry
  const { kind, iterations, oversample, seed, cacheFolder, cacheLimitBytes, signal } = options
  const job: TopSvdJob = {
    kind: 'top-svd',
    w: typeof entry.w === 'function' ? entry.w() : entry.w,
    rows,
    columns,
    rank,
    options: {
      kind,
      ...(iterations !== undefined && { iterations }),
      ...(oversample !== undefined && { oversample }),
      ...(seed !== undefined && { seed }),
    },
    cache:
      cacheFolder === undefined
        ? null
        : { folder: cacheFolder, limitBytes: cacheLimitBytes ?? defaultCacheLimitBytes },
  }
  try {
    const known = await readSmall(job)
    signal?.throwIfAborted()
    return known ?? (await pool.topSvd(job, signal ? { signal } : {}))
  } catch (error) {
    throw named(name, error)
  }
}

/**
 * What the cache has of a small matrix: sooner read than a thread is started for it. While the file of one is on its way,
 * the next matrix is hashed.
 */
async function readSmall(job: TopSvdJob): Promise<TopSvdOutcome | null> {
  if (job.cache === null || job.w.byteLength > smallBytes) return null
  const cached = await cacheEntry(job.cache, {
    ...job,
    algebra: selectLinearAlgebra().algebra.name,
  }).readAside()
  return cached && { ...cached, fromCache: true, cacheProblem: null }
}

function naming(name: string, check: () => void): void {
  try {
    check()
  } catch (error) {
    throw named(name, error)
  }
}

function named(name: string, error: unknown): unknown {
  if (!(error instanceof RankscopeError)) return error
  return new RankscopeError(error.code, `${name}: ${error.message}`, {
    cause: error,
    ...(error.hint !== null && { hint: error.hint }),
  })
}

let spectra: LinearAlgebraPool | undefined

/** One thread for all spectra of the process, created with the first. */
function spectraPool(): LinearAlgebraPool {
  spectra ??= new LinearAlgebraPool({ workers: 1, threadsPerWorker: 1, lowPriority: true })
  return spectra
}

/** The spectrum of an update, and its analysis if one is asked for. Arrays are copied on the call. Errors: NUMERIC. */
export function spectrum(
  source: SpectrumSource,
  options: RequestOptions = {},
  against: AgainstBase | null = null,
): Promise<AnalysedSpectrum> {
  return spectraPool().spectrum(source, options, against)
}

/** As `spectrum`; resolves to null when a newer request of the same key overtook it while it waited. */
export function latestSpectrum(
  key: string,
  source: SpectrumSource,
  options: RequestOptions = {},
  against: AgainstBase | null = null,
): Promise<AnalysedSpectrum | null> {
  return spectraPool().latestSpectrum(key, source, options, against)
}

/** Ends the thread for spectra, if there is one; the next request starts another. */
export async function closeSpectra(): Promise<void> {
  const closing = spectra
  spectra = undefined
  await closing?.close()
}
