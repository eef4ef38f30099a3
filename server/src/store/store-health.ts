/**
 * Whether the store can take anything. A full disk is no reason to end: nothing is kept and nothing acknowledged until
 * there is room, which is looked for by a small write; reading goes on. What was acknowledged before is on disk.
 */
import { type Health, RankscopeError } from '@rankscope/protocol'
import type { Store } from './store.ts'

/** How often a full disk is tried again. */
const probeEveryMs = 1000

export class StoreHealth {
  readonly #store: Store
  readonly #report: (error: unknown) => void
  #full: RankscopeError | null = null
  #timer: NodeJS.Timeout | null = null
  #isClosed = false
  /** Called when the disk has become full, and when there is room again. */
  onChange: () => void = () => undefined

  constructor(store: Store, report: (error: unknown) => void) {
    this.#store = store
    this.#report = report
  }

  current(): Health {
    if (!this.#full) return { status: 'ok', message: null }
    const { message, hint } = this.#full
    return { status: 'store-full', message: `${message}; ${hint}` }
  }

  /** The store, watched: records are refused at once while it is full. */
  watched(): Store {
    const { append, createRuns, updateRun, saveNode, createSweep, extendSweep, setSweepState, saveNodeMode } =
      this.#store
    return {
      ...this.#store,
      append: (...args) => (this.#full ? Promise.reject(this.#full) : this.#note(append(...args))),
      createRuns: (...args) => this.#note(createRuns(...args)),
      updateRun: (...args) => this.#note(updateRun(...args)),
      saveNode: (...args) => this.#note(saveNode(...args)),
      createSweep: (...args) => this.#note(createSweep(...args)),
      extendSweep: (...args) => this.#note(extendSweep(...args)),
      saveNodeMode: (...args) => this.#note(saveNodeMode(...args)),
      setSweepState: (...args) => this.#note(setSweepState(...args)),
    }
  }

  close(): void {
    this.#isClosed = true
    if (this.#timer) clearTimeout(this.#timer)
  }

  async #note<T>(work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (error) {
      if (isFull(error) && !this.#full && !this.#isClosed) {
        this.#full = error
        this.#report(error)
        this.onChange()
        this.#probeLater()
      }
      throw error
    }
  }

  #probeLater(): void {
    this.#timer = setTimeout(() => void this.#probe(), probeEveryMs)
    this.#timer.unref()
  }

  async #probe(): Promise<void> {
    try {
      await this.#store.probe()
      this.#full = null
      this.onChange()
    } catch {
      // Still full, or worse: whoever writes next will say so.
      if (!this.#isClosed) this.#probeLater()
    }
  }
}

export function isFull(error: unknown): error is RankscopeError {
  return error instanceof RankscopeError && error.code === 'STORE_FULL'
}
