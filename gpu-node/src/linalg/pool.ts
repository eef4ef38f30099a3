/**
 * Linear algebra off the calling thread: a queue in front of a few worker threads.
 *
 * Workers start with the first request and let the process end while they are idle. Arrays given to a request are
 * snapshots: they are copied on the call (or handed over, with `transfer`), so that the caller may go on changing its
 * weights. Arrays over SharedArrayBuffer are neither copied nor moved: share what never changes.
 */

import { Worker } from 'node:worker_threads'
import { launcher } from '@rankscope/launch'
import { RankscopeError } from '@rankscope/protocol'
import type { FloatArray } from './linear-algebra.ts'
import type {
  AgainstBase,
  AnalysedSpectrum,
  Job,
  OutcomeOf,
  Reply,
  Request,
  SpectrumJob,
  TopSvdJob,
  TopSvdOutcome,
  WorkerSettings,
} from './messages.ts'
import type { LowRankTerm, SpectrumSource } from './spectrum.ts'

export interface PoolSettings {
  /** Worker threads, each with one request at a time. */
  readonly workers: number
  /** BLAS threads of each worker (an OpenMP build counts them per worker; see lapack-library.ts). */
  readonly threadsPerWorker: number
  /** Let training go first where threads compete for processors. */
  readonly lowPriority: boolean
}

export interface RequestOptions {
  /** Aborting rejects the promise with the signal's reason at once; the worker stops at its next opportunity. */
  readonly signal?: AbortSignal
  /**
   * Hand the arrays' buffers over instead of copying them: they are empty for the caller as soon as the call returns, so
   * no other request may use them. Arrays over SharedArrayBuffer stay.
   */
  readonly transfer?: boolean
}

interface Waiting {
  readonly job: Job
  readonly buffers: ArrayBuffer[]
  readonly cancelled: Int32Array
  /** Requests of one key supersede each other while they wait. */
  readonly key: string | null
  readonly settle: (reply: Reply | Error) => void
  readonly supersede: () => void
}

interface Slot {
  readonly worker: Worker
  current: Waiting | null
}

export class LinearAlgebraPool {
  readonly #settings: PoolSettings
  readonly #queue: Waiting[] = []
  readonly #slots: Slot[] = []

  constructor(settings: PoolSettings) {
    this.#settings = settings
  }

  /** Requests that wait or are being computed. */
  get pending(): number {
    return this.#queue.length + this.#slots.filter((slot) => slot.current).length
  }

  topSvd(job: TopSvdJob, options: RequestOptions = {}): Promise<TopSvdOutcome> {
    return this.#submit(job, options)
  }

  spectrum(
    source: SpectrumSource,
    options: RequestOptions = {},
    against: AgainstBase | null = null,
  ): Promise<AnalysedSpectrum> {
    return this.#submit<SpectrumJob>({ kind: 'spectrum', source, against }, options)
  }

  /**
   * As `spectrum`, but a request that still waits when a newer one of the same `key` (a module's name) arrives gives
   * way to it and resolves to null: where training outruns the decompositions, the newest snapshot counts.
   */
  latestSpectrum(
    key: string,
    source: SpectrumSource,
    options: RequestOptions = {},
    against: AgainstBase | null = null,
  ): Promise<AnalysedSpectrum | null> {
    return new Promise((resolve, reject) => {
      this.#submit<SpectrumJob>({ kind: 'spectrum', source, against }, options, {
        key,
        supersede: () => resolve(null),
      }).then(resolve, reject)
    })
  }

  /** Ends the workers; what waits or runs is rejected. */
  async close(): Promise<void> {
    const closed = new RankscopeError('INTERNAL', 'The linear algebra pool was closed.')
    for (const waiting of this.#queue.splice(0)) waiting.settle(closed)
    const slots = this.#slots.splice(0)
    for (const slot of slots) slot.current?.settle(closed)
    await Promise.all(slots.map((slot) => slot.worker.terminate()))
  }

  #submit<J extends Job>(
    job: J,
    { signal, transfer = false }: RequestOptions,
    coalesce: { key: string; supersede: () => void } | null = null,
  ): Promise<OutcomeOf<J>> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const snapshot = takeSnapshot(job, transfer)
      const waiting: Waiting = {
        ...snapshot,
        cancelled: new Int32Array(new SharedArrayBuffer(4)),
        key: coalesce?.key ?? null,
        supersede: () => {
          signal?.removeEventListener('abort', abort)
          coalesce?.supersede()
        },
        settle: (reply) => {
          signal?.removeEventListener('abort', abort)
          if (reply instanceof Error) reject(reply)
          else if (reply.status === 'done') resolve(reply.outcome as OutcomeOf<J>)
          else if (reply.status === 'failed') reject(RankscopeError.fromPayload(reply.error))
          else reject(signal?.reason)
        },
      }
      const abort = () => {
        Atomics.store(waiting.cancelled, 0, 1)
        const place = this.#queue.indexOf(waiting)
        if (place >= 0) this.#queue.splice(place, 1)
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', abort, { once: true })
      this.#enqueue(waiting)
    })
  }

  #enqueue(waiting: Waiting): void {
    const older = waiting.key === null ? -1 : this.#queue.findIndex((other) => other.key === waiting.key)
    // The newer snapshot takes the older one's place, so that a module asked for often still gets its turn.
    const superseded = older >= 0 ? this.#queue.splice(older, 1, waiting)[0] : undefined
    if (superseded) superseded.supersede()
    else this.#queue.push(waiting)
    this.#dispatch()
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      const slot = this.#slots.find((candidate) => !candidate.current) ?? this.#openSlot()
      if (!slot) return
      const waiting = this.#queue.shift()!
      slot.current = waiting
      slot.worker.ref()
      const request: Request = { job: waiting.job, cancelled: waiting.cancelled }
      slot.worker.postMessage(request, waiting.buffers)
    }
  }

  #openSlot(): Slot | null {
    if (this.#slots.length >= this.#settings.workers) return null
    const workerData: WorkerSettings = {
      entry: new URL('./worker.ts', import.meta.url).href,
      threads: this.#settings.threadsPerWorker,
      lowPriority: this.#settings.lowPriority,
    }
    const slot: Slot = {
      worker: new Worker(launcher, { workerData }),
      current: null,
    }
    slot.worker.on('message', (reply: Reply) => this.#finish(slot, reply))
    slot.worker.on('error', (cause) => this.#lose(slot, cause))
    slot.worker.on('exit', () => this.#lose(slot, null))
    this.#slots.push(slot)
    return slot
  }

  #finish(slot: Slot, reply: Reply): void {
    const finished = slot.current
    slot.current = null
    slot.worker.unref()
    finished?.settle(reply)
    this.#dispatch()
  }

  /** A worker that died takes its request with it; the next request starts another. */
  #lose(slot: Slot, cause: unknown): void {
    const place = this.#slots.indexOf(slot)
    if (place < 0) return
    this.#slots.splice(place, 1)
    const detail = cause instanceof Error ? `: ${cause.message}` : ''
    slot.current?.settle(
      new RankscopeError('INTERNAL', `The linear algebra thread ended unexpectedly${detail}.`, { cause }),
    )
    this.#dispatch()
  }
}

/** The job with arrays of its own from now on, even while it waits, and the buffers to hand over with it. */
function takeSnapshot(job: Job, transfer: boolean): { job: Job; buffers: ArrayBuffer[] } {
  const taken = new Map<FloatArray, FloatArray>()
  const own = <A extends FloatArray>(array: A): A => {
    if (array.buffer instanceof SharedArrayBuffer) return array
    const known = taken.get(array)
    if (known) return known as A
    if (array.length === 0) {
      throw new RankscopeError('INTERNAL', 'An array is empty: an earlier request took its buffer over.')
    }
    // A view of part of a buffer would take the whole buffer along.
    const movable = transfer && array.byteLength === array.buffer.byteLength
    const mine = movable ? structuredClone(array, { transfer: [array.buffer] }) : (array.slice() as A)
    taken.set(array, mine)
    return mine
  }
  const ownTerms = (terms: readonly LowRankTerm[]) =>
    terms.map((term) => ({ ...term, left: own(term.left), right: own(term.right) }))
  const ownSource = (source: SpectrumSource): SpectrumSource => {
    if (source.kind === 'factored') return { ...source, terms: ownTerms(source.terms) }
    const { subtract, firstOrder } = source
    return {
      ...source,
      after: own(source.after),
      before: source.before && own(source.before),
      ...(firstOrder && { firstOrder: ownTerms(firstOrder) }),
      ...(subtract && {
        subtract: {
          ...(subtract.terms && { terms: ownTerms(subtract.terms) }),
          ...(subtract.dense && { dense: own(subtract.dense) }),
        },
      }),
    }
  }
  const owned: Job =
    job.kind === 'top-svd'
      ? { ...job, w: own(job.w) }
      : {
          ...job,
          source: ownSource(job.source),
          against: job.against && { ...job.against, w: own(job.against.w) },
        }
  return { job: owned, buffers: [...taken.values()].map((array) => array.buffer as ArrayBuffer) }
}
