/**
 * When charts are drawn. Live data asks far more often than a screen can show, and the browser may share its
 * processor with training: each chart waits a multiple of what its last drawing cost, a frame draws for a few
 * milliseconds only, and the chart that waited longest goes first.
 */
export type Drawable = {
  draw: () => void
  /** False while scrolled out of sight: drawn when it comes back. */
  isVisible: () => boolean
  /** Primary charts (the loss) are drawn soonest. */
  primary: boolean
}

type Entry = { lastDrawnMs: number; costMs: number; requested: boolean; urgent: boolean }

const frameBudgetMs = 12

export class DrawScheduler {
  readonly #entries = new Map<Drawable, Entry>()
  readonly #schedule: (callback: () => void) => void
  readonly #now: () => number
  #scheduled = false

  constructor(
    schedule: (callback: () => void) => void = (callback) => requestAnimationFrame(callback),
    now: () => number = () => performance.now(),
  ) {
    this.#schedule = schedule
    this.#now = now
  }

  /** Draw soon; `urgent` (a click, a hover) does not wait for the chart’s interval. */
  request(drawable: Drawable, urgent = false): void {
    const entry = this.#entries.get(drawable) ?? {
      lastDrawnMs: Number.NEGATIVE_INFINITY,
      costMs: 0,
      requested: false,
      urgent: false,
    }
    entry.requested = true
    entry.urgent ||= urgent
    this.#entries.set(drawable, entry)
    this.#next()
  }

  forget(drawable: Drawable): void {
    this.#entries.delete(drawable)
  }

  #next(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#schedule(() => {
      this.#scheduled = false
      this.#frame()
    })
  }

  #frame(): void {
    const startMs = this.#now()
    const due = [...this.#entries]
      .filter(
        ([drawable, entry]) =>
          entry.requested &&
          drawable.isVisible() &&
          (entry.urgent || startMs - entry.lastDrawnMs >= intervalMs(drawable, entry)),
      )
      .sort(
        ([a, entryA], [b, entryB]) =>
          Number(b.primary) - Number(a.primary) || entryA.lastDrawnMs - entryB.lastDrawnMs,
      )
    for (const [drawable, entry] of due) {
      const beforeMs = this.#now()
      if (beforeMs - startMs > frameBudgetMs) break
      entry.requested = false
      entry.urgent = false
      drawable.draw()
      entry.lastDrawnMs = this.#now()
      entry.costMs = entry.lastDrawnMs - beforeMs
    }
    const waiting = [...this.#entries].some(([drawable, entry]) => entry.requested && drawable.isVisible())
    if (waiting) this.#next()
  }
}

function intervalMs(drawable: Drawable, entry: Entry): number {
  return drawable.primary ? Math.max(70, 3 * entry.costMs) : Math.max(250, 10 * entry.costMs)
}

export const drawScheduler = new DrawScheduler()
