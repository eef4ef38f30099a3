/** AdamW over a list of parameters (Loshchilov and Hutter 2019), with torch's formula and place of epsilon. */
import type { RunConfig } from '@rankscope/protocol'
import type { Variable } from '@tensorflow/tfjs-core'
import { adamW } from '../ops/update.ts'
import type { AdamSettings } from '../ops/update-kernels.ts'
import type { GradientStore } from './gradient-store.ts'
import type { MethodState } from './state.ts'

export interface NamedParameter {
  readonly name: string
  readonly parameter: Variable
}

/** First and second moment of one parameter, both zero at the start, float32. */
export function moments(state: MethodState, name: string, shape: readonly number[]) {
  return { m: state.zeros(`${name}.adam_m`, shape), v: state.zeros(`${name}.adam_v`, shape) }
}

/** The same for a parameter [K, …] whose devices are optimised each by itself. */
export function momentsPerDevice(state: MethodState, name: string, shape: readonly number[]) {
  return {
    m: state.zerosPerDevice(`${name}.adam_m`, shape),
    v: state.zerosPerDevice(`${name}.adam_v`, shape),
  }
}

export function adamSettings(
  optimizer: RunConfig['optimizer'],
  step: { step: number; learningRate: number; gradientFactor: number },
): AdamSettings {
  const { beta1, beta2, epsilon } = optimizer
  const { learningRate, gradientFactor } = step
  return { learningRate, beta1, beta2, epsilon, step: step.step, gradientFactor }
}

export class AdamW {
  readonly #settings: RunConfig['optimizer']
  readonly #entries: (NamedParameter & { m: Variable; v: Variable })[]

  constructor(state: MethodState, parameters: readonly NamedParameter[], settings: RunConfig['optimizer']) {
    this.#settings = settings
    this.#entries = parameters.map((entry) => ({
      ...entry,
      ...moments(state, entry.name, entry.parameter.shape),
    }))
  }

  /** Decoupled weight decay reaches every parameter, as in torch with a single parameter group. */
  step(gradients: GradientStore, step: { step: number; learningRate: number; gradientFactor: number }): void {
    const { weightDecay } = this.#settings
    for (const { parameter, m, v } of this.#entries)
      adamW({
        parameter,
        m,
        v,
        gradient: gradients.get(parameter),
        weightDecay,
        ...adamSettings(this.#settings, step),
      })
  }
}
