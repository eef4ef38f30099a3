/**
 * Why a step cannot count: loss or gradients that are not finite, before anything is updated, or an update that left
 * something not finite. The cause is named in the order of computation (weights, layers of the forward pass, gradients
 * from the last layer to the first), the same on every rank, and the hint fits it.
 */
import { RankscopeError } from '@rankscope/protocol'
import { type Collective, firstText } from '../collectives/collective.ts'
import type { MicroBatch } from '../data/batch.ts'
import { computingIn } from '../ops/compute-dtype.ts'
import type { GradientStore } from '../optim/gradient-store.ts'
import { firstInForward, firstNotFinite, type NamedTensor } from './not-finite.ts'
import type { StepReport, Training } from './trainer.ts'

/** A micro-batch whose loss is not finite. */
export interface BrokenBatch {
  /** From 0. */
  readonly microBatch: number
  /** Micro-batches of the step. */
  readonly of: number
  readonly batch: MicroBatch
}

type Told = Pick<StepReport, 'step' | 'loss' | 'gradNorm' | 'learningRate'>

const lowerRate =
  'Training itself diverged: lower the learning rate, lengthen the warm-up, or clip the gradient norm.'

/** NUMERIC for a step whose loss or gradient norm is not finite. Every rank calls it. */
export async function refusedStep(
  training: Training,
  gradients: GradientStore,
  broken: BrokenBatch | null,
  { step, loss, gradNorm, learningRate }: Told,
): Promise<RankscopeError> {
  const { collective, schedule } = training
  const ahead = await sharedWords(collective, await inWeightsOrForward(training, broken, step))
  const where = ahead ?? (await sharedWords(collective, await inGradients(training, gradients)))
  const lossBroken = !Number.isFinite(loss)
  const what = lossBroken ? `the loss is ${loss}` : `the gradient norm is ${gradNorm} with a loss of ${loss}`
  const first = where === null ? '' : `; first not finite: ${where}`
  const moved = Array.from({ length: step - 1 }, (_, earlier) => schedule.at(earlier)).some(
    (rate) => rate > 0,
  )
  const unmoved = lossBroken
    ? 'the base model overflows on this batch. Look at the module named and at the examples of this step.'
    : 'the backward pass overflows on this batch. Look at the module named; a smaller alpha makes its gradients smaller.'
  return new RankscopeError(
    'NUMERIC',
    `step ${step}: ${what}${first} (learning rate ${learningRate}); nothing was updated`,
    {
      hint: moved ? lowerRate : `No weight has moved yet, so the learning rate is not the cause: ${unmoved}`,
    },
  )
}

/** NUMERIC where an update left something that is not finite, on any rank; null where all is well. */
export async function brokenUpdate(
  { state, collective, epsilon }: Training,
  { step, learningRate }: Told,
): Promise<RankscopeError | null> {
  const found = await firstNotFinite(named(state.variables()))
  const words = await sharedWords(collective, found && `${found.name} holds ${found.value}`)
  if (words === null) return null
  return new RankscopeError(
    'NUMERIC',
    `step ${step}: loss and gradients were finite, but after the update ${words} (learning rate ${learningRate})`,
    {
      hint:
        epsilon === 0
          ? 'optimizer.epsilon is 0: an entry whose gradient is exactly zero becomes 0 / 0. Take the default, 1e-8.'
          : words.includes('.adam_v holds')
            ? 'The square of a gradient exceeds float32: clip the gradient norm, or take a smaller alpha.'
            : lowerRate,
    },
  )
}

async function inWeightsOrForward(
  { model, adaptation, state, precision }: Training,
  broken: BrokenBatch | null,
  step: number,
): Promise<string | null> {
  const weight = await firstNotFinite([...model.weights, ...named(state.variables())])
  if (weight) return `${weight.name} (weights: ${weight.value})`
  if (!broken) return null
  const { microBatch, batch, of } = broken
  adaptation.beginPass({ step, microBatch, sequence: batch.sequence })
  const found = computingIn(precision, () => firstInForward(model, batch, adaptation.linear))
  return `${found ?? 'the loss itself, behind the last block'}, micro-batch ${microBatch + 1} of ${of}`
}

/** The first in the order of the backward pass. */
async function inGradients({ state }: Training, gradients: GradientStore): Promise<string | null> {
  for (const parameter of gradients.arrived) {
    const name = state.variables().get(parameter) ?? 'a trained tensor'
    const found = await firstNotFinite([[name, gradients.get(parameter)]])
    if (found) return `the gradient of ${name} (${found.value})`
  }
  return null
}

function named(variables: ReturnType<Training['state']['variables']>): NamedTensor[] {
  return [...variables].map(([variable, name]) => [name, variable])
}

/** What the lowest rank with something to say says; alone, what this process says. */
async function sharedWords(collective: Collective | undefined, own: string | null): Promise<string | null> {
  return collective ? firstText(collective, own) : own
}
