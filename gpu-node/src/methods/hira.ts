/**
 * HiRA: Hadamard high-rank adaptation (Huang et al. 2025, ICLR), as in the authors' code and in PEFT.
 *
 *   Y = X (W0 ⊙ (1 + A B))        W0 [m, n] frozen, A [m, r], B [r, n]; no alpha, no scale
 *   A ~ U(−1/√m, 1/√m),  B = 0
 *   D = Xᵀ G,   ∂L/∂A = (W0 ⊙ D) Bᵀ,   ∂L/∂B = Aᵀ (W0 ⊙ D)
 *   ΔW = W0 ⊙ (A B), rank ≤ rank(W0) · r, full in general
 *
 * Dropout, where asked for, is PEFT's: on the input of the adapter's branch X~ (W0 ⊙ (A B)).
 */
import { mul, type Tensor2D, tidy, type Variable } from '@tensorflow/tfjs-core'
import type { AdapterPair } from '../export/adapter.ts'
import { plainLinear } from '../model/llama.ts'
import { add, linear, matMul } from '../ops/linear.ts'
import { hadamardWeight } from '../ops/pointwise.ts'
import { sumOfSquares } from '../ops/update.ts'
import { AdamW } from '../optim/optimizer.ts'
import { readValues } from '../optim/state.ts'
import { Random } from '../random.ts'
import { Dropout } from './dropout.ts'
import { kaimingUniform } from './kaiming.ts'
import type { Method, TargetModule } from './method.ts'
import { listed } from './principal.ts'
import { denseStepSquares, ownTensor } from './update-norm.ts'

interface Unit {
  readonly target: TargetModule
  readonly a: Variable
  readonly b: Variable
}

export const hira: Method<'hira'> = {
  name: 'hira',

  async attach({ rank, dropout: probability }, { targets, devices, model, optimizer, state, seed, warn }) {
    const random = new Random(seed).fork('hira')
    const units = targets.map((target): Unit => {
      const { name, rows, columns } = target
      const a = state.variable(`${name}.A`, [rows, rank], () => kaimingUniform(random.fork(name), rows, rank))
      return { target, a, b: state.zeros(`${name}.B`, [rank, columns]) }
    })
    const zero: string[] = []
    for (const { name, weight } of targets) if (await isZero(weight)) zero.push(name)
    if (zero.length > 0)
      warn(`${listed(zero)} all zeros: W0 ⊙ (A B) is zero there whatever A and B, so nothing trains`)
    const byModule = new Map(units.map((unit) => [unit.target.name, unit]))
    const adam = new AdamW(
      state,
      units.flatMap(({ target, a, b }) => [
        { name: `${target.name}.A`, parameter: a },
        { name: `${target.name}.B`, parameter: b },
      ]),
      optimizer,
    )
    const dropout = new Dropout(probability, devices, seed, state.collective)
    const frozen = plainLinear(model)
    const effective = ({ target, a, b }: Unit): Tensor2D => hadamardWeight(target.weight, a, b)

    return {
      gradients: 'averaged',
      trained: units.flatMap(({ a, b }) => [a, b]),
      trainableParameters: targets.reduce((sum, { rows, columns }) => sum + rank * (rows + columns), 0),

      linear(module, x) {
        const unit = byModule.get(module)
        if (!unit) return frozen(module, x)
        const { weight, bias } = unit.target
        if (!dropout.active) return linear(x, effective(unit), bias)
        const dropped = dropout.apply(module, x)
        const branch = linear(dropped, mul(weight, matMul(unit.a, unit.b)))
        return add(linear(x, weight, bias), branch) as Tensor2D
      },

      beginPass: (position) => dropout.beginPass(position),

      async update(gradients, settings) {
        const watched = units.filter(({ target }) => settings.watched.has(target.name))
        const weights = watched.map((unit) => () => ownTensor(() => effective(unit)))
        return { updateSquares: await denseStepSquares(weights, () => adam.step(gradients, settings)) }
      },

      inference() {
        const weights = new Map(units.map((unit) => [unit.target.name, effective(unit)]))
        return {
          linear(module, x) {
            const weight = weights.get(module)
            return weight ? linear(x, weight, byModule.get(module)!.target.bias) : frozen(module, x)
          },
          dispose() {
            for (const weight of weights.values()) weight.dispose()
          },
        }
      },

      async delta(target) {
        const { a, b } = byModule.get(target.name)!
        const change = tidy(() => mul(target.weight, matMul(a, b)))
        const after = await readValues(change)
        change.dispose()
        const { rows, columns } = target
        return [{ part: 'total', source: { kind: 'dense', rows, columns, after, before: null } }]
      },

      async adapter() {
        const pairs: AdapterPair[] = []
        for (const { target, a, b } of units) {
          const { name: module, rows, columns } = target
          pairs.push({ module, rows, columns, a: await readValues(a), b: await readValues(b) })
        }
        return { form: 'hira', rank, alpha: rank, rankStabilized: false, dropout: probability, pairs }
      },

      async merged(target) {
        const weight = effective(byModule.get(target.name)!)
        const values = await readValues(weight)
        weight.dispose()
        return values
      },
    }
  },

  parameterCount: ({ rank }, { rows, columns }) => rank * (rows + columns),

  memory: ({ rank }, { rows, columns }) => ({
    stateFloats: 3 * rank * (rows + columns),
    transientFloats: rank * (rows + columns) + 3 * rows * columns,
  }),
}

/** The sum of squares settles it but for values so small that their squares vanish. */
async function isZero(weight: Variable): Promise<boolean> {
  return (await sumOfSquares([weight])) === 0 && ((await weight.data()) as Float32Array).every((w) => w === 0)
}
