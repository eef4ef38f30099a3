/**
 * The training loop, top to bottom: plan a step, add up the gradients of its micro-batches, clip, update, report. What
 * happens between two steps (evaluation, spectra, checkpoints, requests to leave) is the caller's, through `between`.
 */
import { RankscopeError, type RunConfig } from '@rankscope/protocol'
import { type Scalar, tensor } from '@tensorflow/tfjs-core'
import { type Collective, sumNumbers, sumOverRanks } from '../collectives/collective.ts'
import { stepBatches } from '../data/batch.ts'
import type { TokenExample } from '../data/examples.ts'
import type { Sampler, StepPlan } from '../data/sampler.ts'
import type { Adaptation } from '../methods/method.ts'
import { loss, type TokenBatch } from '../model/llama.ts'
import type { Model } from '../model/model.ts'
import { type ComputeDtype, computingIn } from '../ops/compute-dtype.ts'
import { backward } from '../ops/gradients.ts'
import { type ClippingResult, clipGradients } from '../optim/clipping.ts'
import { GradientStore } from '../optim/gradient-store.ts'
import type { LearningRateSchedule } from './schedule.ts'

export interface Training {
  readonly model: Model
  readonly adaptation: Adaptation
  /** The other ranks, where each device is a process of its own. */
  readonly collective?: Collective
  readonly examples: readonly TokenExample[]
  readonly sampler: Sampler
  readonly schedule: LearningRateSchedule
  readonly devices: number
  readonly padTokenId: number
  readonly lossReduction: RunConfig['training']['lossReduction']
  readonly maxGradNorm: number | null
  /** Precision of the operands of matrix products, forward and backward. */
  readonly computeDtype: ComputeDtype
  /** Recompute each block in the backward pass. */
  readonly checkpointBlocks: boolean
  /** Modules whose ‖ΔW_t‖ is measured. */
  readonly watched: ReadonlySet<string>
}

/** What one optimiser step did. */
export interface StepReport {
  /** Number of steps done, this one included: 1, 2, … */
  readonly step: number
  /** From 0. */
  readonly epoch: number
  /** Nats per token: the mean over devices of each one's loss; left-over micro-batches that leaked in do not count. */
  readonly loss: number
  readonly learningRate: number
  /**
   * 2-norm of all gradients before clipping; where each device has gradients of its own, the root mean square over the
   * devices of their norms.
   */
  readonly gradNorm: number
  /** ‖ΔW_t‖_F over the watched modules. */
  readonly updateNorm: number
  /** Tokens of the step's examples, padding left out. */
  readonly tokens: number
  /** What this rank was sent by the others in the step; null where all devices are here. */
  readonly receivedBytes: number | null
}

/** Whether training goes on after a step. */
export type Verdict = 'continue' | 'leave'

/**
 * Trains from step `from` (number of steps done before) and returns the number of steps done. `between` is called after
 * each step. Throws NUMERIC when the loss is not finite, after `between` has seen it.
 */
export async function train(
  training: Training,
  from: number,
  between: (report: StepReport) => Promise<Verdict>,
): Promise<number> {
  const gradients = new GradientStore(training.adaptation.trained)
  try {
    for (let done = from; done < training.sampler.totalSteps; done++) {
      const report = await optimiserStep(training, gradients, training.sampler.plan(done))
      const verdict = await between(report)
      if (!Number.isFinite(report.loss)) throw divergence(report)
      if (verdict === 'leave') return report.step
    }
    return Math.max(from, training.sampler.totalSteps)
  } finally {
    gradients.dispose()
  }
}

async function optimiserStep(
  training: Training,
  gradients: GradientStore,
  plan: StepPlan,
): Promise<StepReport> {
  const { adaptation, schedule, watched, examples, collective } = training
  const receivedBefore = collective?.receivedBytes ?? 0
  const step = plan.step + 1
  const learningRate = schedule.at(plan.step)
  gradients.clear()
  const meanLoss = await accumulateGradients(training, gradients, plan)
  const { norm, factor } = await clipShared(training, gradients)
  const settings = { step, learningRate, gradientFactor: factor, watched }
  const { updateSquares } = await adaptation.update(gradients, settings)
  const rows = plan.microBatches.filter(({ counted }) => counted).flatMap((batch) => batch.rows.flat())
  const tokens = rows.reduce((sum, row) => sum + examples[row]!.inputIds.length, 0)
  return {
    step,
    epoch: plan.epoch,
    loss: meanLoss,
    learningRate,
    gradNorm: norm,
    updateNorm: Math.sqrt(updateSquares),
    tokens,
    receivedBytes: collective ? collective.receivedBytes - receivedBefore : null,
  }
}

/** Adds the gradients of all micro-batches of a step; returns the loss that is logged for it. */
async function accumulateGradients(
  training: Training,
  gradients: GradientStore,
  plan: StepPlan,
): Promise<number> {
  const { model, adaptation, collective, examples, devices, padTokenId, lossReduction } = training
  const { checkpointBlocks, computeDtype } = training
  const own = collective ? planOfDevice(plan, collective.rank) : plan
  const batches = stepBatches(own, examples, padTokenId, lossReduction)
  let total = 0
  for (const [microBatch, batch] of batches.entries()) {
    adaptation.beginPass({ step: plan.step + 1, microBatch, sequence: batch.sequence })
    // Weights make the loss the sum over devices, which is what per-device optimizers need.
    const weighted = adaptation.gradients === 'averaged' ? scaleWeights(batch, 1 / devices) : batch
    const value = computingIn(computeDtype, () =>
      backward(
        () => loss(model, weighted, adaptation.linear, { checkpointBlocks }).loss,
        adaptation.trained,
        (parameter, gradient) => gradients.add(parameter, gradient),
      ),
    )
    if (batch.counted) total += await takeNumber(value)
    else value.dispose()
  }
  const meanLoss = adaptation.gradients === 'averaged' ? total : total / devices
  if (!collective) return meanLoss
  if (adaptation.gradients === 'averaged') await joinGradients(gradients, collective)
  return (await sumNumbers(collective, [meanLoss]))[0]!
}

/** The rows of one device. */
function planOfDevice(plan: StepPlan, device: number): StepPlan {
  const microBatches = plan.microBatches.map((batch) => ({ ...batch, rows: [batch.rows[device]!] }))
  return { ...plan, microBatches }
}

/** Each gradient becomes the sum of all ranks' gradients, all of them in one exchange. */
async function joinGradients(gradients: GradientStore, collective: Collective): Promise<void> {
  const { parameters } = gradients
  const own = new Float32Array(parameters.reduce((size, parameter) => size + parameter.size, 0))
  let start = 0
  for (const parameter of parameters) {
    own.set((await gradients.get(parameter).data()) as Float32Array, start)
    start += parameter.size
  }
  const sum = await sumOverRanks(collective, own)
  start = 0
  for (const parameter of parameters) {
    gradients.replace(parameter, tensor(sum.slice(start, start + parameter.size), parameter.shape))
    start += parameter.size
  }
}

/** Clips what this process holds: the gradients of all devices, or those of its own device. */
async function clipShared(
  { adaptation, collective, devices, maxGradNorm }: Training,
  gradients: GradientStore,
): Promise<ClippingResult> {
  const kind = adaptation.gradients
  if (!collective || kind === 'averaged') return clipGradients(gradients, kind, devices, maxGradNorm)
  const own = await clipGradients(gradients, kind, 1, maxGradNorm)
  const [squares] = await sumNumbers(collective, [own.norm ** 2])
  return { ...own, norm: Math.sqrt(squares! / devices) }
}

function scaleWeights(batch: TokenBatch, factor: number): TokenBatch {
  return factor === 1 ? batch : { ...batch, weights: batch.weights.map((weight) => weight * factor) }
}

async function takeNumber(value: Scalar): Promise<number> {
  const [number] = await value.data()
  value.dispose()
  return number!
}

function divergence({ step, loss: value, learningRate, gradNorm }: StepReport): RankscopeError {
  return new RankscopeError(
    'NUMERIC',
    `the loss became ${value} at step ${step} (learning rate ${learningRate}, gradient norm ${gradNorm})`,
    { hint: 'Lower the learning rate, lengthen the warm-up or clip the gradient norm.' },
  )
}
