/**
 * The intermediate method between PiSSA and HD-PiSSA (arXiv 2505.18777, Fig. 2b): each device trains its own principal
 * slice as PiSSA would and nothing is exchanged, but for a merge every τ steps or only at the end. The paper defines no
 * aggregation for it; this is ours.
 *
 *   device k:  Y_k = X_k W_res,k + (X_k A_k) B_k,   W_res,k = W − A⁰_k B⁰_k        A_k [m, r], B_k [r, n]
 *              = X_k W + (X_k A_k) B_k − (X_k A⁰_k) B⁰_k   (one shared W and a rank-2r offset, no residual copies)
 *   gA_k = X_kᵀ (G_k B_kᵀ),  gB_k = (X_k A_k)ᵀ G_k,  AdamW on each device's own pair
 *   merge:     W ← W + c Σ_k (A_k B_k − A⁰_k B⁰_k),  then A⁰ ← A, B⁰ ← B           c = 1/K (mean) or 1 (sum)
 *   ΔW = c Σ_k (A_k B_k − A¹_k B¹_k) with A¹, B¹ the pair at the very start: the merges telescope; rank ≤ 2Kr
 *
 * Merging after every step is HD-PiSSA with evolving adapters; with one device it is PiSSA.
 */
import type { Tensor, Tensor2D, Variable } from '@tensorflow/tfjs-core'
import { plainLinear } from '../model/llama.ts'
import { add, linear, matMul } from '../ops/linear.ts'
import { accumulate, copy, directUpdate } from '../ops/update.ts'
import { AdamW } from '../optim/optimizer.ts'
import { readValues } from '../optim/state.ts'
import { deviceTerms } from './direct-update.ts'
import { reshaped } from './elementwise.ts'
import type { Method, TargetModule } from './method.ts'
import { principalFactors, warnOfMissingComponents } from './principal.ts'
import { copyOf, factorStepSquares } from './update-norm.ts'

export const intermediate: Method<'intermediate'> = {
  name: 'intermediate',

  async attach(config, { targets, devices, model, optimizer, state, decompose, warn }) {
    const { rank } = config
    const factor = config.aggregate === 'mean' ? 1 / devices : 1
    const slices = Array.from({ length: devices }, (_, k) =>
      Array.from({ length: rank }, (_, j) => k * rank + j),
    )
    const missing = targets.filter(
      ({ name, rows }) => !state.isGiven(`${name}.A_start`, [devices, rows, rank]),
    )
    const triplets = await decompose(
      missing.map((target) => ({ target, rank: devices * rank })),
      config,
    )
    const units = targets.map((target): Unit => {
      const { name, rows, columns, weight } = target
      const shapeA = [devices, rows, rank]
      const shapeB = [devices, rank, columns]
      const found = triplets.get(name)
      const factors = found && principalFactors(found, target, slices, 1)
      const firstA = state.constant(`${name}.A_start`, shapeA, () => factors!.a)
      const firstB = state.constant(`${name}.B_start`, shapeB, () => factors!.b)
      return {
        target,
        firstA,
        firstB,
        a: state.variable(`${name}.A`, shapeA, () => firstA),
        b: state.variable(`${name}.B`, shapeB, () => firstB),
        mergedA: state.variable(`${name}.A_merged`, shapeA, () => firstA),
        mergedB: state.variable(`${name}.B_merged`, shapeB, () => firstB),
        weight: state.adopt(`${name}.W`, weight),
      }
    })
    warnOfMissingComponents(
      units.map(({ target, firstA }) => ({ target, a: firstA })),
      rank,
      warn,
    )
    const byModule = new Map(units.map((unit) => [unit.target.name, unit]))
    const adam = new AdamW(
      state,
      units.flatMap(({ target, a, b }) => [
        { name: `${target.name}.A`, parameter: a },
        { name: `${target.name}.B`, parameter: b },
      ]),
      optimizer,
    )
    /** W as it would be if the devices merged now. */
    const mergedNow = (name: string) => {
      const unit = byModule.get(name)!
      const sum = copyOf(unit.weight)
      addProgress(sum, unit, factor)
      return sum
    }

    const plain = plainLinear(model)
    return {
      gradients: 'per-device',
      trained: units.flatMap(({ a, b }) => [a, b]),
      trainableParameters: targets.reduce(
        (sum, target) => sum + intermediate.parameterCount(config, target),
        0,
      ),

      linear(module, x: Tensor2D) {
        const y = plain(module, x) as Tensor2D
        const unit = byModule.get(module)
        if (!unit) return y
        const [count, width] = x.shape
        const perDevice = reshaped(x, [devices, count / devices, width])
        // The same products in the same order, so that they cancel exactly until the adapters move.
        const branch = (a: Tensor, b: Tensor, sign: number) =>
          matMul(matMul(perDevice, a), b, { factor: sign })
        const offset = add(branch(unit.a, unit.b, 1), branch(unit.mergedA, unit.mergedB, -1))
        return add(y, reshaped(offset, y.shape)) as Tensor2D
      },

      beginPass: () => undefined,

      async update(gradients, settings) {
        const watched = units
          .filter(({ target }) => settings.watched.has(target.name))
          .map(({ target, a, b }) => ({ rows: target.rows, columns: target.columns, a, b, factor }))
        const updateSquares = await factorStepSquares(watched, () => adam.step(gradients, settings))
        if (config.syncEvery !== null && settings.step % config.syncEvery === 0) {
          for (const unit of units) {
            addProgress(unit.weight, unit, factor)
            copy(unit.mergedA, unit.a)
            copy(unit.mergedB, unit.b)
          }
        }
        return { updateSquares }
      },

      inference() {
        const weights = new Map(targets.map(({ name }) => [name, mergedNow(name)]))
        return {
          linear: (module, x) =>
            weights.has(module)
              ? linear(x, weights.get(module)!, model.weights.get(`${module}.bias`))
              : plain(module, x),
          dispose() {
            for (const weight of weights.values()) weight.dispose()
          },
        }
      },

      async delta(target) {
        const { a, b, firstA, firstB } = byModule.get(target.name)!
        const terms = [
          ...deviceTerms(target, await readValues(a), await readValues(b), rank, factor),
          ...deviceTerms(target, firstA, firstB, rank, -factor),
        ]
        const { rows, columns } = target
        return [{ part: 'total', source: { kind: 'factored', rows, columns, terms } }]
      },

      async merged(target) {
        const weight = mergedNow(target.name)
        const values = await readValues(weight)
        weight.dispose()
        return values
      },
    }
  },

  parameterCount: ({ rank }, { rows, columns }) => rank * (rows + columns),

  memory: ({ rank }, { rows, columns }, devices) => ({
    stateFloats: 5 * devices * rank * (rows + columns),
    transientFloats: devices * rank * (rows + columns),
  }),
}

interface Unit {
  readonly target: TargetModule
  /** A¹ [K, m, r], B¹ [K, r, n] */
  readonly firstA: Float32Array
  readonly firstB: Float32Array
  readonly a: Variable
  readonly b: Variable
  /** A⁰, B⁰ */
  readonly mergedA: Variable
  readonly mergedB: Variable
  readonly weight: Variable
}

/** W += c Σ_k (A_k B_k − A⁰_k B⁰_k), by the differences, so that the large products need not cancel. */
function addProgress(w: Variable, { a, b, mergedA, mergedB }: Unit, factor: number): void {
  const [deltaA, deltaB] = [copyOf(a), copyOf(b)]
  accumulate(deltaA, mergedA, -1)
  accumulate(deltaB, mergedB, -1)
  directUpdate({ w, a: mergedA, b: mergedB, deltaA, deltaB, factor, secondOrder: true })
  deltaA.dispose()
  deltaB.dispose()
}
