/**
 * Which live spectra are analysed against W_0: an analysis takes several times as long as the spectrum, and a processor that
 * works on it is missing to training. All of them together get a fiftieth of the time; who waited longest comes first.
 */
import type { TargetModule } from '../methods/method.ts'

/** Of the time since training began. */
const share = 0.02

export class AnalysisBudget {
  readonly #now: () => number
  readonly #startMs: number
  #spentMs = 0
  /** Expected of those under way, by module. */
  readonly #pendingMs = new Map<string, number>()
  /** Of the last one of a module. */
  readonly #costMs = new Map<string, number>()
  readonly #turns = new Map<string, number>()
  #turn = 0

  constructor(now: () => number) {
    this.#now = now
    this.#startMs = now()
  }

  /** Names of the modules whose spectra of this step are analysed: who waited longest, as long as there is room. */
  next(targets: readonly Pick<TargetModule, 'name'>[]): ReadonlySet<string> {
    const pending = [...this.#pendingMs.values()].reduce((sum, cost) => sum + cost, 0)
    let room = share * (this.#now() - this.#startMs) - this.#spentMs - pending
    const turnOf = ({ name }: { name: string }) => this.#turns.get(name) ?? 0
    const chosen = new Set<string>()
    for (const { name } of [...targets].sort((a, b) => turnOf(a) - turnOf(b))) {
      if (room < 0) break
      if (this.#pendingMs.has(name)) continue
      // What a module of this run costs is learnt from the first one, alone.
      const cost = this.#costMs.get(name) ?? Math.max(0, ...this.#costMs.values())
      if (cost === 0 && (chosen.size > 0 || this.#pendingMs.size > 0)) break
      chosen.add(name)
      this.#pendingMs.set(name, cost)
      this.#turns.set(name, ++this.#turn)
      room -= cost
    }
    return chosen
  }

  /** An analysis has ended; null where it was not carried out. */
  ended(name: string, elapsedMs: number | null): void {
    this.#pendingMs.delete(name)
    if (elapsedMs === null) return
    this.#costMs.set(name, elapsedMs)
    this.#spentMs += elapsedMs
  }
}
