/**
 * Training runs of other people's implementations, repeated: the float64 results of each case within the tolerance that
 * it names (8 times the distance of a correct float32 implementation).
 */
import { readdirSync, readFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { selectBackend } from '../backends/select.ts'
import { selectLinearAlgebra } from '../linalg/select.ts'
import { openSafetensors, readFloat64 } from '../model/safetensors.ts'
import { sharedMissing, sharedPath } from '../testing/shared-material.ts'
import {
  type GoldenConfig,
  type GoldenRun,
  readGoldenConfig,
  runGolden,
} from '../testing/training/golden-case.ts'

interface Truth {
  readonly loss_per_step: readonly number[]
  readonly learning_rate_per_step: readonly number[]
  readonly delta_w_frobenius_per_step: Readonly<Record<string, readonly number[]>>
  readonly singular_values_of_delta_w_final: Readonly<Record<string, readonly number[]>>
  readonly gradient_norm_before_clipping_per_step?: readonly number[]
}

interface Tolerance {
  readonly loss_max_relative: number
  readonly delta_w_frobenius_max_relative: number
  readonly delta_w_final_relative_frobenius_error_max: number
  readonly delta_w_final_max_abs_error: number
  readonly singular_values_max_abs_over_s1: number
  readonly gradient_norm_max_relative?: number
}

const names = sharedMissing ? [] : readdirSync(sharedPath('golden/cases')).sort()

describe('golden cases', () => {
  // The cases are named by the material, so that without it there would be none to skip.
  if (sharedMissing) return void it.skip(sharedMissing, () => {})
  beforeAll(async () => {
    await selectBackend('auto', { threads: 1 })
  })

  describe.each(names)('%s', (name) => {
    let golden: GoldenConfig & { based_on_case?: string | null }
    let truth: Truth
    let tolerance: Tolerance
    let run: GoldenRun

    beforeAll(async () => {
      golden = readGoldenConfig(name)
      truth = readExpected(name).float64_truth
      tolerance = toleranceOf(name, golden.based_on_case ?? null)
      run = await runGolden(golden, Object.keys(truth.delta_w_frobenius_per_step))
    })

    it('every loss', () => {
      expect(run.steps).toHaveLength(truth.loss_per_step.length)
      const losses = run.steps.map(({ loss }) => loss)
      expect(largestRelative(losses, truth.loss_per_step)).toBeLessThan(tolerance.loss_max_relative)
    })

    it('every learning rate, to 1e-14 of its formula and to the 12 digits that are stored', () => {
      const rates = run.steps.map(({ learningRate }) => learningRate)
      const formula = rates.map((_, step) => rateByFormula(golden, step))
      expect(largestRelative(rates, formula)).toBeLessThan(1e-14)
      expect(largestRelative(rates, truth.learning_rate_per_step)).toBeLessThan(1e-11)
    })

    it('the norm of ΔW after every step', () => {
      for (const [module, norms] of Object.entries(truth.delta_w_frobenius_per_step)) {
        const floor = Math.max(...norms) * 1e-4
        const pairs = norms.flatMap((norm, step) =>
          norm > floor ? [[run.frobenius[module]![step]!, norm]] : [],
        )
        const worst = Math.max(...pairs.map(([ours, theirs]) => Math.abs(ours! - theirs!) / theirs!))
        expect(worst, module).toBeLessThan(tolerance.delta_w_frobenius_max_relative)
      }
    })

    it('the final ΔW, entry by entry', () => {
      const { tensors } = openSafetensors(sharedPath('golden/cases', name, 'tensors.safetensors'))
      for (const module of Object.keys(truth.delta_w_frobenius_per_step)) {
        const theirs = readFloat64(tensors.get(`float64_final_delta_w.${module}`)!)
        const { relative, absolute } = distance(run.deltas.get(module)!, theirs)
        expect(relative, module).toBeLessThan(tolerance.delta_w_final_relative_frobenius_error_max)
        expect(absolute, module).toBeLessThan(tolerance.delta_w_final_max_abs_error)
      }
    })

    it('the singular values of the final ΔW of every target', () => {
      for (const [module, theirs] of Object.entries(truth.singular_values_of_delta_w_final)) {
        const { values, rows, columns } = run.deltas.get(module)!
        const ours = selectLinearAlgebra().algebra.singularValues(values, rows, columns)
        const worst = Math.max(...theirs.map((value, i) => Math.abs(value - ours[i]!))) / theirs[0]!
        expect(worst, module).toBeLessThan(tolerance.singular_values_max_abs_over_s1)
      }
    })

    const norms = readExpected(name).float64_truth.gradient_norm_before_clipping_per_step
    if (norms)
      it('gradient norms before clipping', () => {
        expect(run.steps).toHaveLength(norms.length)
        const allowed = tolerance.gradient_norm_max_relative
        expect(allowed).toBeDefined()
        const ours = run.steps.map(({ gradNorm }) => gradNorm)
        expect(largestRelative(ours, norms)).toBeLessThan(allowed!)
      })

    const { kind, warmup_steps: warmupSteps } = readGoldenConfig(name)
    if (kind === 'hd_pissa' && warmupSteps > 0)
      it('W unchanged in every bit by a first step of rate 0, and moved by the last', () => {
        expect(run.movedAfterFirstStep).toEqual([])
        expect(Math.max(...Object.values(run.frobenius).map((norms) => norms.at(-1)!))).toBeGreaterThan(0)
      })
  })
})

function readExpected(name: string): { float64_truth: Truth; tolerance: Tolerance | string } {
  return JSON.parse(readFileSync(sharedPath('golden/cases', name, 'expected.json'), 'utf8'))
}

/** Variants that exist in float64 only take the tolerance of the case that they are based on. */
function toleranceOf(name: string, basedOn: string | null): Tolerance {
  const { tolerance } = readExpected(name)
  if (typeof tolerance !== 'string') return tolerance
  return toleranceOf(basedOn!, null)
}

function largestRelative(ours: readonly number[], theirs: readonly number[]): number {
  return Math.max(0, ...theirs.map((value, i) => Math.abs(ours[i]! - value) / (Math.abs(value) || 1)))
}

/** learning_rate_formula of the cases. */
function rateByFormula(golden: GoldenConfig, t: number): number {
  const { learning_rate_peak: peak, warmup_steps: w, schedule_total_steps: total, schedule } = golden
  if (t < w) return (peak * t) / w
  const share = (t - w) / (total - w)
  return schedule === 'cosine' ? 0.5 * peak * (1 + Math.cos(Math.PI * share)) : peak * (1 - share)
}

/** `theirs` is in Hugging Face's orientation [columns, rows]. */
function distance(
  { values, rows, columns }: { values: Float64Array; rows: number; columns: number },
  theirs: Float64Array,
): { relative: number; absolute: number } {
  let [squares, total, absolute] = [0, 0, 0]
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) {
      const expected = theirs[j * rows + i]!
      const error = Math.abs(values[i * columns + j]! - expected)
      squares += error * error
      total += expected * expected
      absolute = Math.max(absolute, error)
    }
  return { relative: Math.sqrt(squares / total), absolute }
}
