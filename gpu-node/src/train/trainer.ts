/**
 * The training loop, top to bottom: plan a step, add up the gradients of its micro-batches, clip, update, report. What
 * happens between two steps (evaluation, spectra, checkpoints, requests to leave) is the caller's, through `between`.
 *
 * Nothing is updated by a loss or a gradient that is not finite, and an update that leaves something not finite ends the
 * run before anything of it is saved (step-failure.ts). All ranks come to the same verdict: it depends on gathered numbers.
 */
import type { RankscopeError, RunConfig } from '@rankscope/protocol'
import { type Scalar, tensor } from '@tensorflow/tfjs-core'
import { type Collective, gatherNumbers, sumNumbers, sumOverRanks } from '../collectives/collective.ts'
import { type MicroBatch, stepBatches } from '../data/batch.ts'
import type { TokenExample } from '../data/examples.ts'
import type { Sampler, StepPlan } from '../data/sampler.ts'
import type { Adaptation } from '../methods/method.ts'
import { loss } from '../model/llama.ts'
import type { Model } from '../model/model.ts'
import { computingIn, type Precision } from '../ops/compute-dtype.ts'
import { backward } from '../ops/gradients.ts'
import { type ClippingResult, clipGradients } from '../optim/clipping.ts'
import { GradientStore } from '../optim/gradient-store.ts'
import type { MethodState } from '../optim/state.ts'
import type { LearningRateSchedule } from './schedule.ts'
import { type BrokenBatch, brokenUpdate, refusedStep } from './step-failure.ts'

export interface Training {
  readonly model: Model
  readonly adaptation: Adaptation
  /** What the method changes. */
  readonly state: MethodState
  /** Of the optimizer; 0 explains some divisions by zero. */
  readonly epsilon: number
  /** The other ranks, where each device is a process of its own. */
  readonly collective?: Collective
  readonly examples: readonly TokenExample[]
  readonly sampler: Sampler
  readonly schedule: LearningRateSchedule
  readonly devices: number
  readonly padTokenId: number
  readonly lossReduction: RunConfig['training']['lossReduction']
  readonly maxGradNorm: number | null
  /** Of the operands of matrix products, forward and backward. */
  readonly precision: Precision
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
  /** ‖ΔW_t‖_F over the watched modules; null where nothing was updated. */
  readonly updateNorm: number | null
  /** Tokens of the step's examples, padding left out. */
  readonly tokens: number
  /** What this rank was sent by the others in the step; null where all devices are here. */
  readonly receivedBytes: number | null
  /** NUMERIC where loss, gradients or what the update left are not finite: the step does not count, training ends. */
  readonly failure: RankscopeError | null
}

/** Whether training goes on after a step. */
export type Verdict = 'continue' | 'leave'

/**
 * Trains from step `from` (number of steps done before) and returns the number of steps done. `between` is called after
 * each step. Throws a step's failure after `between` has seen it.
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
      if (report.failure) throw report.failure
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
  const { meanLoss, broken } = await accumulateGradients(training, gradients, plan)
  const { norm, factor } = await clipShared(training, gradients)
  const told = { step, loss: meanLoss, gradNorm: norm, learningRate }
  let updateNorm: number | null = null
  let failure: RankscopeError | null = null
  if (!Number.isFinite(meanLoss) || !Number.isFinite(norm)) {
    failure = await refusedStep(training, gradients, broken, told)
  } else {
    const settings = { step, learningRate, gradientFactor: factor, watched }
    const { updateSquares } = await adaptation.update(gradients, settings)
    updateNorm = Math.sqrt(updateSquares)
    failure = await brokenUpdate(training, told)
  }
  const rows = plan.microBatches.filter(({ counted }) => counted).flatMap((batch) => batch.rows.flat())
  const tokens = rows.reduce((sum, row) => sum + examples[row]!.inputIds.length, 0)
  return {
    step,
    epoch: plan.epoch,
    loss: meanLoss,
    learningRate,
    gradNorm: norm,
    updateNorm,
    tokens,
    receivedBytes: collective ? collective.receivedBytes - receivedBefore : null,
    failure,
  }
}

/**
 * Adds the gradients of all micro-batches of a step; `meanLoss` is the loss that is logged for it. Losses are read when
 * all passes have been asked for, so that a device never waits for the next one; `broken` is the first micro-batch whose
 * loss is not finite, one that leaked in included.
 */
async function accumulateGradients(
  training: Training,
  gradients: GradientStore,
  plan: StepPlan,
): Promise<{ meanLoss: number; broken: BrokenBatch | null }> {
  const { model, adaptation, collective, examples, devices, padTokenId, lossReduction } = training
  const { checkpointBlocks, precision } = training
  const own = collective ? planOfDevice(plan, collective.rank) : plan
  const batches = stepBatches(own, examples, padTokenId, lossReduction)
  const passes: { batch: MicroBatch; weighted: MicroBatch; loss: Promise<number> }[] = []
  for (const [microBatch, batch] of batches.entries()) {
    adaptation.beginPass({ step: plan.step + 1, microBatch, sequence: batch.sequence })
    // Weights make the loss the sum over devices, which is what per-device optimizers need.
    const weighted = adaptation.gradients === 'averaged' ? scaleWeights(batch, 1 / devices) : batch
    const value = computingIn(precision, () =>
      backward(
        () => loss(model, weighted, adaptation.linear, { checkpointBlocks }).loss,
        adaptation.trained,
        (parameter, gradient) => gradients.add(parameter, gradient),
      ),
    )
    passes.push({ batch, weighted, loss: takeNumber(value) })
  }
  const losses = await Promise.all(passes.map(({ loss }) => loss))
  const at = losses.findIndex((own) => !Number.isFinite(own))
  const broken = at < 0 ? null : { microBatch: at, batch: passes[at]!.weighted, of: batches.length }
  // One that is not finite counts alone, whatever the others were, so that every rank hears of it.
  const total = broken
    ? losses[at]!
    : sumOf(losses.filter((_, microBatch) => passes[microBatch]!.batch.counted))
  const meanLoss = adaptation.gradients === 'averaged' ? total : total / devices
  if (!collective) return { meanLoss, broken }
  if (adaptation.gradients === 'averaged') await joinGradients(gradients, collective)
  return { meanLoss: (await sumNumbers(collective, [meanLoss]))[0]!, broken }
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
  // Norms rather than their squares: those would overflow float32 on their way.
  const norms = (await gatherNumbers(collective, [own.norm])).map(([norm]) => norm!)
  return { ...own, norm: Math.sqrt(norms.reduce((sum, norm) => sum + norm ** 2, 0) / devices) }
}

function scaleWeights(batch: MicroBatch, factor: number): MicroBatch {
  return factor === 1 ? batch : { ...batch, weights: batch.weights.map((weight) => weight * factor) }
}

const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0)

async function takeNumber(value: Scalar): Promise<number> {
  const [number] = await value.data()
  value.dispose()
  return number!
}
