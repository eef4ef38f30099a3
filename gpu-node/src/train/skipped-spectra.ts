/** Spectra and analyses that were due and were not taken, counted by reason and module: nothing is left out in silence. */
import { scalarNames } from '@rankscope/protocol'

/** Why: each has a scalar, with the module behind it. */
const reasons = {
  /** A newer snapshot of the module came while it waited: decomposing takes longer than training. */
  overtaken: { scalar: scalarNames.spectraOvertaken, text: 'overtaken by a newer snapshot' },
  /** It could not be decomposed; a warning says what was wrong. */
  failed: { scalar: scalarNames.spectraFailed, text: 'not decomposed' },
  /** The run ended first. */
  unfinished: { scalar: scalarNames.spectraUnfinished, text: 'not ready when the run ended' },
  /** The spectrum is there, its analysis against W₀ is not: all of them together have a share of the time. */
  putOff: { scalar: scalarNames.analysesPutOff, text: 'without its analysis against W' },
} as const
export type SkipReason = keyof typeof reasons

export class SkippedSpectra {
  /** By scalar name, module included. */
  readonly #counts: Map<string, number>
  #changed = new Set<string>()

  /** `counts`: of the run so far, as a checkpoint kept them. */
  constructor(counts: Readonly<Record<string, number>> = {}) {
    this.#counts = new Map(Object.entries(counts))
  }

  count(reason: SkipReason, module: string): void {
    const name = `${reasons[reason].scalar}/${module}`
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1)
    this.#changed.add(name)
  }

  get counts(): Record<string, number> {
    return Object.fromEntries(this.#counts)
  }

  /** Counts that changed since they were last taken, as scalars. */
  takeChanged(): Record<string, number> {
    const changed = [...this.#changed].map((name) => [name, this.#counts.get(name)!] as const)
    this.#changed = new Set()
    return Object.fromEntries(changed)
  }

  /** What the log says at the end; null where every spectrum that was due is there. */
  sentence(): string | null {
    const told = Object.values(reasons).flatMap(({ scalar, text }) => {
      if (scalar === scalarNames.analysesPutOff) return []
      const of = [...this.#counts].filter(([name]) => name.startsWith(`${scalar}/`))
      if (of.length === 0) return []
      const modules = of.map(([name, count]) => `${name.slice(scalar.length + 1)} ${count}`)
      return [`${of.reduce((sum, [, count]) => sum + count, 0)} ${text} (${modules.join(', ')})`]
    })
    if (told.length === 0) return null
    return `spectra that were due and are not there: ${told.join('; ')}. With spectra.wait training waits for each.`
  }
}
