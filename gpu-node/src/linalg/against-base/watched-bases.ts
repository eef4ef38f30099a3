/**
 * What a thread remembers between the snapshots of one module: the decomposition of its base weight, and the subspaces that
 * earlier snapshots had.
 */
import type { LinearAlgebra } from '../linear-algebra.ts'
import type { AgainstBase } from '../messages.ts'
import { denseUpdate, type SpectrumSource } from '../spectrum.ts'
import { type Analysis, analyse } from './analysis.ts'
import { type BaseDecomposition, decomposeBase } from './base-decomposition.ts'
import { subspaceSimilarity } from './rotation.ts'

/** Decompositions beyond about this size together are made anew each time. */
const largestBytes = 2 ** 30
/** Of more snapshots every other one is forgotten. */
const mostSnapshots = 64
/** Rank of the principal reconstruction where the method has none. */
const usualRank = 10

interface Snapshot {
  readonly step: number
  readonly vectors: Float64Array
  readonly count: number
}

export class WatchedBases {
  readonly #algebra: LinearAlgebra
  readonly #bases = new Map<string, BaseDecomposition>()
  readonly #snapshots = new Map<string, Snapshot[]>()
  #bytes = 0

  constructor(algebra: LinearAlgebra) {
    this.#algebra = algebra
  }

  analyse(source: SpectrumSource, against: AgainstBase): Pick<Analysis, 'measures' | 'profiles'> {
    const { step, settings, keptAs } = against
    const base = this.#base(source, against)
    const { measures, profiles, leading } = analyse(
      this.#algebra,
      base,
      denseUpdate(this.#algebra, source),
      settings,
    )
    if (keptAs === null || !leading) return { measures, profiles }
    const { vectors, count } = leading
    const earlier = this.#snapshots.get(keptAs) ?? []
    const similarity = earlier
      .filter((snapshot) => snapshot.count === count && snapshot.step < step)
      .flatMap((snapshot) => [
        snapshot.step,
        subspaceSimilarity(this.#algebra, snapshot.vectors, vectors, source.rows, count),
      ])
    this.#remember(keptAs, earlier, { step, vectors, count })
    return {
      measures,
      profiles: {
        ...profiles,
        similarity: Float64Array.from(similarity),
        similarityChance: Float64Array.of(count, count / source.rows),
      },
    }
  }

  #base({ rows, columns }: SpectrumSource, { keptAs, w, settings }: AgainstBase): BaseDecomposition {
    const known = keptAs === null ? undefined : this.#bases.get(keptAs)
    if (known) return known
    const made = decomposeBase(this.#algebra, w, { rows, columns, rank: settings.rank ?? usualRank })
    const bytes = made.u.byteLength + made.v.byteLength + w.byteLength + 2 * w.length
    if (keptAs !== null && this.#bytes + bytes <= largestBytes) {
      this.#bases.set(keptAs, made)
      this.#bytes += bytes
    }
    return made
  }

  #remember(name: string, earlier: Snapshot[], snapshot: Snapshot): void {
    const kept = earlier.filter(({ step }) => step < snapshot.step)
    const thinned = kept.length < mostSnapshots ? kept : kept.filter((_, place) => place % 2 === 1)
    this.#snapshots.set(name, [...thinned, snapshot])
  }
}
