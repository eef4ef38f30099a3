/**
 * Full fine-tuning: every parameter (or every target weight) is trained by AdamW on the mean gradient of all devices.
 *
 *   Y = X W,   ∂L/∂W = Xᵀ G,   ΔW = W_T − W_0 of any rank
 */
import type { Variable } from '@tensorflow/tfjs-core'
import { plainLinear } from '../model/llama.ts'
import { AdamW } from '../optim/optimizer.ts'
import { readValues } from '../optim/state.ts'
import type { Method } from './method.ts'
import { copyOf, denseStepSquares } from './update-norm.ts'

export const full: Method<'full'> = {
  name: 'full',

  async attach({ scope }, { model, targets, state, optimizer }) {
    const chosen: [name: string, weight: Variable][] =
      scope === 'all' ? [...model.weights] : targets.map(({ name, weight }) => [`${name}.weight`, weight])
    const parameters = chosen.map(([name, weight]) => ({ name, parameter: state.adopt(name, weight) }))
    for (const { parameter } of parameters) parameter.trainable = true
    const adam = new AdamW(state, parameters, optimizer)
    const hook = plainLinear(model)
    return {
      gradients: 'averaged',
      trained: parameters.map(({ parameter }) => parameter),
      trainableParameters: parameters.reduce((sum, { parameter }) => sum + parameter.size, 0),
      linear: hook,
      beginPass: () => undefined,
      async update(gradients, settings) {
        const watched = targets.filter(({ name }) => settings.watched.has(name))
        const copies = watched.map(
          ({ weight }) =>
            () =>
              copyOf(weight),
        )
        return { updateSquares: await denseStepSquares(copies, () => adam.step(gradients, settings)) }
      },
      inference: () => ({ linear: hook, dispose: () => undefined }),
      async delta({ rows, columns, weight }, before) {
        const [after, start] = [await readValues(weight), await before()]
        return [{ part: 'total', source: { kind: 'dense', rows, columns, after, before: start } }]
      },
      merged: ({ weight }) => readValues(weight),
    }
  },

  trainsWholeModel: ({ scope }) => scope === 'all',

  parameterCount: (_, { rows, columns }) => rows * columns,

  memory: (_, { rows, columns }) => ({
    stateFloats: 2 * rows * columns,
    transientFloats: 2 * rows * columns,
  }),
}
