/**
 * The one place where a training is put together: a configuration, a model and examples become what `train` runs. Runs,
 * golden cases, pre-training, toy trainings and benchmarks differ in where these come from.
 */
import { accumulationSteps, RankscopeError, type RunConfig, requiredBackend } from '@rankscope/protocol'
import { getBackend } from '@tensorflow/tfjs-core'
import type { Collective } from '../collectives/collective.ts'
import type { TokenExample } from '../data/examples.ts'
import { createSampler, type Sampler } from '../data/sampler.ts'
import { attachMethod } from '../methods/index.ts'
import type { Adaptation, AttachContext, TargetModule } from '../methods/method.ts'
import type { Model } from '../model/model.ts'
import { type InitialValues, MethodState } from '../optim/state.ts'
import { learningRateSchedule } from './schedule.ts'
import { targetsOf } from './targets.ts'
import type { Training } from './trainer.ts'

export interface SessionParts {
  readonly config: RunConfig
  /** Belongs to the session from now on, which disposes of it. */
  readonly model: Model
  readonly examples: readonly TokenExample[]
  readonly padTokenId: number
  readonly decompose: AttachContext['decompose']
  readonly warn: AttachContext['warn']
  /** Where the method's variables start, from a checkpoint or a reference; null: at its own initialisation. */
  readonly initial?: InitialValues | null
  /** The other ranks, where each device is a process of its own. */
  readonly collective?: Collective | undefined
  /** Modules whose ‖ΔW_t‖ is measured; none by default. */
  readonly watch?: (targets: readonly TargetModule[]) => readonly TargetModule[]
}

export interface TrainingSession {
  readonly targets: readonly TargetModule[]
  readonly watched: readonly TargetModule[]
  readonly adaptation: Adaptation
  readonly state: MethodState
  readonly training: Training
  /** Of model and method. */
  dispose(): void
}

/** Which of `examples` examples each step sees. Throws DATA_EMPTY where they cannot fill one. */
export function samplerOf(config: RunConfig, examples: number): Sampler {
  return createSampler({
    ...config.data,
    ...config.training,
    examples,
    devices: config.parallel.devices,
    accumulation: accumulationSteps(config),
    seed: config.seed,
  })
}

export async function assembleTraining(parts: SessionParts): Promise<TrainingSession> {
  const { config, model, examples, padTokenId, decompose, warn, collective } = parts
  const state = new MethodState(parts.initial ?? null, collective ?? null)
  const dispose = () => {
    state.dispose()
    model.dispose()
  }
  try {
    requireProducts(config)
    const targets = targetsOf(model, config)
    const watched = parts.watch?.(targets) ?? []
    const { devices, regatherAdapters } = config.parallel
    const { optimizer, seed } = config
    const adaptation = await attachMethod(config.method, {
      ...{ model, targets, devices, regatherAdapters, seed, optimizer, state, decompose, warn },
    })
    const sampler = samplerOf(config, examples.length)
    const training: Training = {
      ...(collective && { collective }),
      model,
      adaptation,
      state,
      epsilon: optimizer.epsilon,
      examples,
      sampler,
      schedule: learningRateSchedule(config.schedule, optimizer.learningRate, sampler),
      devices,
      padTokenId,
      lossReduction: config.training.lossReduction,
      precision: { operands: config.training.computeDtype, products: config.training.products },
      maxGradNorm: optimizer.maxGradNorm,
      checkpointBlocks: config.resources.gradientCheckpointing,
      watched: new Set(watched.map(({ name }) => name)),
    }
    return { targets, watched, adaptation, state, training, dispose }
  } catch (error) {
    dispose()
    throw error
  }
}

/** A setting is never ignored: the active backend must have the products that are asked for. */
function requireProducts(config: RunConfig): void {
  const required = requiredBackend(config)
  const { products } = config.training
  if (products === 'float32' || getBackend() === required) return
  throw new RankscopeError(
    'BACKEND_UNAVAILABLE',
    `training.products: ${products} needs the backend ${required}, and this is ${getBackend()}`,
    { hint: 'Set training.products to float32, or run on a node with an NVIDIA GPU.' },
  )
}
