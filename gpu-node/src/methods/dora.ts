/**
 * DoRA: weight-decomposed low-rank adaptation (Liu et al. 2024, arXiv 2402.09353), as in the authors' code and PEFT.
 *
 *   V = W0 + s A B,   c_j = ‖V_:j‖₂ per output,   W' = V diag(μ / c)      W0 [m, n] frozen, A [m, r], B [r, n], μ [n]
 *   A ~ U(−1/√m, 1/√m),  B = 0,  μ_j = ‖W0_:j‖  (so that step 0 is the identity);  s = α / r
 *   Y = (μ / c) ⊙ (X W0 + s (X A) B) + bias;  with dropout  Y = X W0 + (μ/c − 1) ⊙ (X~ W0) + (μ/c) ⊙ s (X~ A) B
 *   c_j² = ‖w_j‖² + 2 s b_jᵀ (Aᵀ W0)_j + s² b_jᵀ (Aᵀ A) b_j, without forming A B
 *
 * Norm detached (PEFT, and §4.3 of the paper): c is a constant in the backward pass, so with D' = D diag(μ / c)
 *   ∂L/∂A = s D' Bᵀ,  ∂L/∂B = s Aᵀ D',  ∂L/∂μ_j = Σ_i D_ij V_ij / c_j
 * Not detached: D' becomes D' − V diag(colsum(D' ⊙ V) / c²).
 */
import { effectiveAlpha, type MethodConfigOf } from '@rankscope/protocol'
import type { Tensor, Tensor2D, Variable } from '@tensorflow/tfjs-core'
import { add as addTensors, customGrad, div, maximum, mul, sqrt, sub, tidy } from '@tensorflow/tfjs-core'
import type { AdapterPair } from '../export/adapter.ts'
import { plainLinear } from '../model/llama.ts'
import { add, linear, lowRankLinear, matMul } from '../ops/linear.ts'
import { scaleColumns } from '../ops/pointwise.ts'
import { runFused } from '../ops/registry.ts'
import { copy, parameter, zeroParameter } from '../ops/update.ts'
import { AdamW } from '../optim/optimizer.ts'
import { readValues } from '../optim/state.ts'
import { Random } from '../random.ts'
import { Dropout } from './dropout.ts'
import { negated, overConstant, plusRow } from './elementwise.ts'
import { kaimingUniform } from './kaiming.ts'
import type { AttachContext, Method, TargetModule } from './method.ts'
import { denseStepSquares, ownTensor } from './update-norm.ts'

interface Unit {
  readonly target: TargetModule
  readonly a: Variable
  readonly b: Variable
  /** μ [n] */
  readonly magnitude: Variable
  /** ‖w_j‖² [n] */
  readonly squares: Variable
  /** [n], see below. */
  readonly smallest: Variable
  /** c [n] of the present A and B. */
  readonly norms: Variable
}

export const dora: Method<'dora'> = {
  name: 'dora',

  async attach(config, context) {
    const { targets, devices, model, optimizer, state, seed } = context
    const scale = effectiveAlpha(config) / config.rank
    const units: Unit[] = []
    for (const target of targets) units.push(await makeUnit(config, context, target))
    const refreshNorms = () => {
      for (const unit of units) {
        const norms = tidy(() => columnNorms(unit, scale))
        copy(unit.norms, norms)
        norms.dispose()
      }
    }
    refreshNorms()
    const byModule = new Map(units.map((unit) => [unit.target.name, unit]))
    const adam = new AdamW(
      state,
      units.flatMap(({ target, a, b, magnitude }) => [
        { name: `${target.name}.A`, parameter: a },
        { name: `${target.name}.B`, parameter: b },
        { name: `${target.name}.magnitude`, parameter: magnitude },
      ]),
      optimizer,
    )
    const dropout = new Dropout(config.dropout, devices, seed, state.collective)
    const factors = config.detachNorm
      ? ({ magnitude, norms }: Unit): Tensor => overConstant(magnitude, norms)
      : (unit: Unit) => trainedFactors(unit, scale)
    const withBias = (y: Tensor2D, bias: Variable | undefined) => (bias ? plusRow(y, bias) : y)
    const whole = (unit: Unit, x: Tensor2D): Tensor2D => {
      const { target, a, b } = unit
      const y = scaleColumns(lowRankLinear(x, target.weight, a, b, scale), factors(unit))
      return withBias(y, target.bias)
    }
    const dropping = (unit: Unit, x: Tensor2D): Tensor2D => {
      const { target, a, b } = unit
      const dropped = dropout.apply(target.name, x)
      const base = linear(dropped, target.weight)
      const sum = add(base, matMul(matMul(dropped, a), b, { factor: scale }))
      const correction = add(scaleColumns(sum, factors(unit)), negated(base))
      return withBias(add(linear(x, target.weight), correction) as Tensor2D, target.bias)
    }
    const plain = plainLinear(model)
    const hook = (layer: (unit: Unit, x: Tensor2D) => Tensor2D) => (module: string, x: Tensor2D) => {
      const unit = byModule.get(module)
      return unit ? layer(unit, x) : plain(module, x)
    }
    const effective = (unit: Unit) => tidy(() => effectiveWeight(unit, scale))

    return {
      gradients: 'averaged',
      trained: units.flatMap(({ a, b, magnitude }) => [a, b, magnitude]),
      trainableParameters: targets.reduce((sum, target) => sum + dora.parameterCount(config, target), 0),
      linear: hook(dropout.active ? dropping : whole),
      beginPass: (position) => dropout.beginPass(position),

      async update(gradients, settings) {
        const watched = units.filter(({ target }) => settings.watched.has(target.name))
        const weights = watched.map((unit) => () => ownTensor(() => effective(unit)))
        const updateSquares = await denseStepSquares(weights, () => {
          adam.step(gradients, settings)
          refreshNorms()
        })
        return { updateSquares }
      },

      inference: () => ({ linear: hook(whole), dispose: () => undefined }),

      async delta(target) {
        const change = tidy(() => weightDelta(byModule.get(target.name)!, scale))
        const after = await readValues(change)
        change.dispose()
        const { rows, columns } = target
        return [{ part: 'total', source: { kind: 'dense', rows, columns, after, before: null } }]
      },

      async adapter() {
        const pairs: AdapterPair[] = []
        for (const { target, a, b, magnitude } of units) {
          const { name: module, rows, columns } = target
          const factors = { a: await readValues(a), b: await readValues(b) }
          pairs.push({ module, rows, columns, ...factors, magnitude: await readValues(magnitude) })
        }
        const { rank, dropout: probability } = config
        const alpha = effectiveAlpha(config)
        return { form: 'dora', rank, alpha, rankStabilized: false, dropout: probability, pairs }
      },

      async merged(target) {
        const weight = effective(byModule.get(target.name)!)
        const values = await readValues(weight)
        weight.dispose()
        return values
      },
    }
  },

  parameterCount: ({ rank }, { rows, columns }) => rank * (rows + columns) + columns,

  memory: ({ rank }, { rows, columns }) => ({
    stateFloats: 3 * (rank * (rows + columns) + columns) + 3 * columns,
    transientFloats: rank * (rows + columns) + columns,
  }),
}

async function makeUnit(
  { rank }: MethodConfigOf<'dora'>,
  { state, seed }: AttachContext,
  target: TargetModule,
): Promise<Unit> {
  const { name, rows, columns, weight } = target
  const squares = squaredColumnNorms(await readValues(weight), columns)
  const random = new Random(seed).fork(`dora/${name}`)
  return {
    target,
    a: state.variable(`${name}.A`, [rows, rank], () => kaimingUniform(random, rows, rank)),
    b: state.zeros(`${name}.B`, [rank, columns]),
    magnitude: state.variable(`${name}.magnitude`, [columns], () => squares.map(initialMagnitude)),
    squares: state.own(parameter(squares, [columns], { trainable: false })),
    smallest: state.own(parameter(new Float32Array(columns).fill(smallest), [columns], { trainable: false })),
    norms: state.own(zeroParameter([columns])),
  }
}

/**
 * c_j² is never taken for less than `resolution` of its parts' sizes (what cancels below that is rounding) plus `smallest`:
 * where a column of V is zero, μ / c is finite, and at the start, where μ = c, it is 1.
 */
const resolution = 2 ** -20
const smallest = 2 ** -100

/** μ of the start: c of W0, bit for bit. */
function initialMagnitude(square: number): number {
  return Math.sqrt(Math.max(square, Math.fround(Math.fround(square * resolution) + smallest)))
}

/** Σ_i w_ij² for each column, summed in float64, rounded once. */
function squaredColumnNorms(w: Float32Array, columns: number): Float32Array {
  const sums = new Float64Array(columns)
  for (let i = 0; i < w.length; i++) sums[i % columns]! += w[i]! ** 2
  return Float32Array.from(sums)
}

/** s B (Aᵀ-side products): the rows of (Aᵀ W0) and (Aᵀ A) B, each [r, n]. */
function crossProducts({ target, a, b }: Unit): { withWeight: Tensor; withAdapter: Tensor } {
  return {
    withWeight: matMul(a, target.weight, { transposeA: true }),
    withAdapter: matMul(matMul(a, a, { transposeA: true }), b),
  }
}

/** c [n] */
function columnNorms(unit: Unit, scale: number): Tensor {
  const { withWeight, withAdapter } = crossProducts(unit)
  const dot = (t: Tensor) => runFused('columnDot', { a: unit.b, b: t })
  const ofAdapter = mul(dot(withAdapter), scale * scale)
  const squares = addTensors(unit.squares, addTensors(mul(dot(withWeight), 2 * scale), ofAdapter))
  const sizes = addTensors(unit.squares, ofAdapter)
  return sqrt(maximum(squares, addTensors(mul(sizes, resolution), unit.smallest)))
}

/**
 * μ / c with gradients through c as well. With g = ∂L/∂(μ/c): ∂L/∂c = −g μ / c², ∂c_j/∂V_:j = V_:j / c_j, hence with
 * h = −g μ / c³:  ∂L/∂A = s V diag(h) Bᵀ,  ∂L/∂B = s Aᵀ V diag(h),  V = W0 + s A B.
 */
function trainedFactors(unit: Unit, scale: number): Tensor {
  const { target, norms } = unit
  const run = customGrad((magnitude, a, b) => ({
    value: div(magnitude as Tensor, norms),
    gradFunc: (g: Tensor) => {
      const h = mul(div(div(div(mul(g, magnitude as Tensor), norms), norms), norms), -1)
      const scaledB = scaleColumns(b as Tensor, h)
      const outer = matMul(target.weight, scaledB, { transposeB: true, factor: scale })
      const inner = matMul(a as Tensor, matMul(b as Tensor, scaledB, { transposeB: true }), {
        factor: scale * scale,
      })
      const { withWeight, withAdapter } = crossProducts(unit)
      const left = addTensors(mul(withWeight, scale), mul(withAdapter, scale * scale))
      return [div(g, norms), addTensors(outer, inner), scaleColumns(left, h)]
    },
  }))
  return run(unit.magnitude, unit.a, unit.b)
}

/** W' = V diag(μ / c) */
function effectiveWeight({ target, a, b, magnitude, norms }: Unit, scale: number): Tensor {
  const v = addTensors(target.weight, matMul(a, b, { factor: scale }))
  return scaleColumns(v, div(magnitude, norms))
}

/** ΔW = W0 diag(μ/c − 1) + s A B diag(μ/c), without the cancellation of W' − W0. */
function weightDelta({ target, a, b, magnitude, norms }: Unit, scale: number): Tensor {
  const stretch = div(sub(magnitude, norms), norms)
  const branch = scaleColumns(matMul(a, b, { factor: scale }), div(magnitude, norms))
  return addTensors(scaleColumns(target.weight, stretch), branch)
}
