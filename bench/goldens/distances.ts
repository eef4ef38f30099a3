/** How far one training run ended from another, in the measures of the golden cases. */
import { selectLinearAlgebra } from '../../gpu-node/src/linalg/select.ts'
import { type GoldenRun, norm } from '../../gpu-node/src/testing/training/golden-case.ts'
import type { Distances, Results } from './material.ts'

/** A run, whoever made it. */
export interface Side {
  readonly losses: readonly number[]
  /** ‖ΔW‖_F after each step, by followed module. */
  readonly frobenius: Readonly<Record<string, readonly number[]>>
  readonly gradientNorms: readonly number[] | null
  /** Singular values of the final ΔW, descending, of every target module. */
  singularValues(module: string): readonly number[] | Float64Array
  /** Final ΔW of a module, [out, in]; null where it is not stored. */
  delta(module: string): Float64Array | null
}

export function storedSide(results: Results, delta: Side['delta']): Side {
  return {
    losses: results.loss_per_step,
    frobenius: results.delta_w_frobenius_per_step,
    gradientNorms: results.gradient_norm_before_clipping_per_step ?? null,
    singularValues: (module) => results.singular_values_of_delta_w_final[module]!,
    delta,
  }
}

export function ownSide(run: GoldenRun): Side {
  const { algebra } = selectLinearAlgebra()
  return {
    losses: run.steps.map(({ loss }) => loss),
    frobenius: run.frobenius,
    gradientNorms: run.steps.map(({ gradNorm }) => gradNorm),
    singularValues(module) {
      const { values, rows, columns } = run.deltas.get(module)!
      return algebra.singularValues(values, rows, columns)
    },
    delta(module) {
      const { values, rows, columns } = run.deltas.get(module)!
      const transposed = new Float64Array(values.length)
      for (let i = 0; i < rows; i++)
        for (let j = 0; j < columns; j++) transposed[j * rows + i] = values[i * columns + j]!
      return transposed
    },
  }
}

/**
 * Distances of `a` from `b`, relative to `b`; ΔW is compared on those of the `modules` that both have. Steps whose
 * ‖ΔW‖ is below 1e-4 of the largest are rounding only and left out.
 */
export function distances(a: Side, b: Side, modules: readonly string[]): Distances {
  const finals = finalDistances(a, b, modules)
  const norms = Object.entries(b.frobenius).flatMap(([module, theirs]) => {
    const floor = Math.max(...theirs) * 1e-4
    return theirs.map((value, step) => {
      return value > floor ? Math.abs(a.frobenius[module]![step]! - value) / value : 0
    })
  })
  const values = modules.map((module) => {
    const [ours, theirs] = [a.singularValues(module), b.singularValues(module)]
    return Math.max(...Array.from(theirs, (value, i) => Math.abs(value - ours[i]!))) / theirs[0]!
  })
  const { gradientNorms } = a
  return {
    loss_max_relative: largestRelative(a.losses, b.losses),
    delta_w_frobenius_max_relative: Math.max(...norms),
    delta_w_final_relative_frobenius_error_max: Math.max(...finals),
    delta_w_final_relative_frobenius_error_median: median(finals),
    singular_values_max_abs_over_s1: Math.max(...values),
    gradient_norm_max_relative:
      gradientNorms && b.gradientNorms ? largestRelative(gradientNorms, b.gradientNorms) : Number.NaN,
  }
}

/** ‖ΔW_a − ΔW_b‖_F / ‖ΔW_b‖_F of each module that both have. */
export function finalDistances(
  a: Pick<Side, 'delta'>,
  b: Pick<Side, 'delta'>,
  modules: readonly string[],
): number[] {
  return modules.flatMap((module) => {
    const [ours, theirs] = [a.delta(module), b.delta(module)]
    return ours && theirs ? [norm(theirs.map((value, i) => ours[i]! - value)) / norm(theirs)] : []
  })
}

function largestRelative(ours: readonly number[], theirs: readonly number[]): number {
  return Math.max(...theirs.map((value, i) => Math.abs(ours[i]! - value) / Math.abs(value)))
}

/** The lower middle one of an even number. */
function median(values: readonly number[]): number {
  return [...values].sort((left, right) => left - right)[Math.floor((values.length - 1) / 2)] ?? Number.NaN
}
