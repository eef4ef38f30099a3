/**
 * What a backend is: something that runs TensorFlow.js kernels, our fused ones (../ops/kernels.ts) included.
 *
 * Siblings of this file implement it, one each; `select.ts` chooses; `contract.test.ts` holds all of them to the
 * same results.
 *
 * What is asynchronous, and in which order things happen:
 *
 * - Kernels and updates return tensors at once, while a GPU may still be at work. Work is done in the order in which it
 *   was asked for, so a kernel sees all that earlier calls wrote, updates in place included.
 * - Arrays of JavaScript given to a call (values, token ids, rows) may change as soon as it returned.
 * - `tensor.data()` and `sumOfSquares` give values as they are at the call, after all work asked for before; JavaScript
 *   goes on meanwhile. `dataSync()` waits: for tests, starts and kernels that have no version of their own.
 * - A tensor may be disposed of while work on it is under way: whoever gets its memory next comes later in the order.
 * - Errors that the arguments already show (an id outside the vocabulary, no memory) are thrown by the call. What a
 *   device finds out later is thrown by the first call that waits for it.
 */
import type { BackendName as RequestedBackend } from '@rankscope/protocol'
import { RankscopeError } from '@rankscope/protocol'

export type BackendName = Exclude<RequestedBackend, 'auto'>

export interface BackendOptions {
  /** CPU threads to use; a backend that cannot obey says in `threads` what it uses. */
  threads: number
  /** Throw rather than start something that no GPU would run. */
  onlyWithGpu?: boolean
}

export interface StartedBackend {
  threads: number
  /** Whether a GPU does the work (a software renderer is none). */
  gpu: boolean
  /** What is behind it, in a few words, e.g. `OpenBLAS 0.3.29, SkylakeX kernels`. */
  description: string
  /** Of a GPU with memory of its own: what was free when the backend was started. */
  freeMemoryBytes?: number
  /** For the run's record: settings from outside that were not heeded, for example. */
  notes?: readonly string[]
}

export interface Backend {
  readonly name: BackendName
  /**
   * Loads what it needs, registers its kernels with TensorFlow.js and makes itself the active backend. To be called
   * before the first tensor is made, and once: a second call in a process returns the same and activates it again.
   * Throws BACKEND_UNAVAILABLE with the reason where it cannot run on this machine.
   */
  start(options: BackendOptions): Promise<StartedBackend>
}

export function unavailable(
  name: BackendName,
  reason: string,
  options: { hint?: string; cause?: unknown } = {},
): RankscopeError {
  return new RankscopeError('BACKEND_UNAVAILABLE', `${name}: ${reason}`, options)
}
