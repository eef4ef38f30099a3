/**
 * How many optimiser steps there are: one rule, which the sampler trains by, the schedule is as long as, and the launch
 * form shows. Pure.
 */
import { accumulationSteps } from './check-config.ts'
import type { RunConfig } from './run-config.ts'

export interface StepRule {
  /** Number of training examples. */
  readonly examples: number
  readonly devices: number
  /** Examples per device in one micro-batch. */
  readonly microBatchSize: number
  /** Micro-batches per device and optimiser step. */
  readonly accumulation: number
  readonly epochs: number
  /** Optimiser steps after which to stop; null: after the epochs. */
  readonly maxSteps: number | null
  readonly sampling: RunConfig['data']['sampling']
  readonly remainder: RunConfig['data']['remainder']
}

export interface StepCount {
  readonly totalSteps: number
  /** Steps as the released code counts them for its schedule: floor(epochs * micro-batches / accumulation). */
  readonly legacyTotalSteps: number
  /** A fraction where the sampling knows no epochs. */
  readonly stepsPerEpoch: number
  /** Micro-batches of an epoch on each device, and those that fill no step. */
  readonly microBatches: number
  readonly leftover: number
}

/**
 * `distributed`: an epoch's examples are padded to a multiple of the devices, and an incomplete micro-batch is dropped. What is
 * left over beyond whole steps makes a step of its own with `step` and none otherwise: leaked gradients join a step that is
 * there anyway. No step at all (0) where the examples do not fill one.
 */
export function countSteps(rule: StepRule): StepCount {
  const { examples, devices, microBatchSize, accumulation, epochs, remainder } = rule
  const most = rule.maxSteps ?? Number.POSITIVE_INFINITY
  if (rule.sampling === 'sequential') {
    const perStep = devices * microBatchSize * accumulation
    const totalSteps = rule.maxSteps ?? Math.ceil((epochs * examples) / perStep)
    const microBatches = examples / (devices * microBatchSize)
    return {
      totalSteps,
      legacyTotalSteps: totalSteps,
      stepsPerEpoch: examples / perStep,
      microBatches,
      leftover: 0,
    }
  }
  const microBatches = Math.floor(Math.ceil(examples / devices) / microBatchSize)
  const fullSteps = Math.floor(microBatches / accumulation)
  const leftover = microBatches - fullSteps * accumulation
  const stepsPerEpoch = fullSteps + (remainder === 'step' && leftover > 0 ? 1 : 0)
  return {
    totalSteps: Math.min(epochs * stepsPerEpoch, most),
    legacyTotalSteps: Math.floor((epochs * microBatches) / accumulation),
    stepsPerEpoch,
    microBatches,
    leftover,
  }
}

/**
 * The steps of a configuration. Not `exact`: a file decides, and this many are the most. Null where nothing bounds them before
 * the file is read.
 */
export function plannedSteps(config: RunConfig): { steps: number; exact: boolean } | null {
  const { data, training, parallel } = config
  const { source, limit, sampling, remainder } = data
  if (source.kind !== 'task')
    return training.maxSteps === null ? null : { steps: training.maxSteps, exact: sampling === 'sequential' }
  const examples = Math.min(source.trainExamples, limit ?? Number.POSITIVE_INFINITY)
  const accumulation = accumulationSteps(config)
  const rule = { ...training, examples, devices: parallel.devices, accumulation, sampling, remainder }
  // What is held back or packed together makes fewer.
  const exact = data.validationShare === 0 && !data.packing
  return { steps: countSteps(rule).totalSteps, exact }
}
