/**
 * What LoRA and PiSSA share: Y = X W + s (X A) B with one pair A [m, r], B [r, n] per module, both trained by AdamW
 * on the mean gradient of all devices.
 */
import type { RunConfig } from '@rankscope/protocol'
import type { Tensor2D, Variable } from '@tensorflow/tfjs-core'
import { plainLinear } from '../model/llama.ts'
import type { Model } from '../model/model.ts'
import { lowRankLinear } from '../ops/linear.ts'
import { lowRankUpdate } from '../ops/update.ts'
import type { GradientStore } from '../optim/gradient-store.ts'
import { AdamW } from '../optim/optimizer.ts'
import { type MethodState, readValues } from '../optim/state.ts'
import type { Dropout } from './dropout.ts'
import type { Adaptation, StepSettings, TargetModule } from './method.ts'
import { copyOf, factorStepSquares } from './update-norm.ts'

export interface LowRankPair {
  readonly target: TargetModule
  readonly a: Variable
  readonly b: Variable
}

type LowRankParts = Omit<Adaptation, 'delta' | 'trainableParameters'>

/** Everything of an adaptation but what ΔW is. `pairs` in forward order; `scale` is s. */
export function lowRankAdaptation(
  pairs: readonly LowRankPair[],
  scale: number,
  dropout: Dropout,
  state: MethodState,
  optimizer: RunConfig['optimizer'],
  model: Model,
): LowRankParts {
  const byModule = new Map(pairs.map((pair) => [pair.target.name, pair]))
  const adam = new AdamW(
    state,
    pairs.flatMap(({ target, a, b }) => [
      { name: `${target.name}.A`, parameter: a },
      { name: `${target.name}.B`, parameter: b },
    ]),
    optimizer,
  )
  const plain = plainLinear(model)
  const hook = (drops: boolean) => (module: string, x: Tensor2D) => {
    const pair = byModule.get(module)
    if (!pair) return plain(module, x)
    const { target, a, b } = pair
    const dropped = drops ? dropout.attributes(module, x) : undefined
    return lowRankLinear(x, target.weight, a, b, scale, target.bias, dropped)
  }
  return {
    gradients: 'averaged',
    trained: pairs.flatMap(({ a, b }) => [a, b]),
    linear: hook(true),
    beginPass: (position) => dropout.beginPass(position),
    async update(gradients: GradientStore, settings: StepSettings) {
      const watched = pairs
        .filter(({ target }) => settings.watched.has(target.name))
        .map(({ target, a, b }) => ({ rows: target.rows, columns: target.columns, a, b, factor: scale }))
      return { updateSquares: await factorStepSquares(watched, () => adam.step(gradients, settings)) }
    },
    inference: () => ({ linear: hook(false), dispose: () => undefined }),
    async merged(target) {
      const { a, b } = byModule.get(target.name)!
      const sum = copyOf(target.weight)
      lowRankUpdate(sum, a, b, scale)
      const values = await readValues(sum)
      sum.dispose()
      return values
    },
  }
}
