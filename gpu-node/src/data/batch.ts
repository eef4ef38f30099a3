/**
 * Token batches from examples: rows of one micro-batch for K devices, padded on the right to a common length, with
 * the loss weights that make the sum over all rows the sum of the devices' own losses.
 */
import type { RunConfig } from '@rankscope/protocol'
import type { TokenBatch } from '../model/llama.ts'
import { ignoredLabel, type TokenExample } from './examples.ts'
import type { MicroBatchPlan, StepPlan } from './sampler.ts'

export interface MicroBatch extends TokenBatch {
  readonly devices: number
  readonly counted: boolean
  /** Trained positions of each device. */
  readonly lossTokens: readonly number[]
}

/**
 * The micro-batches of one step. With `microbatch-mean` a device's loss is the mean over its micro-batches of the
 * mean over each one's tokens: weight 1 / (accumulation * tokens of that device's micro-batch). With `token-mean`
 * it is the mean over all tokens of its step. Rows of a device are contiguous, device by device; the weighted sum
 * over all rows is the sum, not the mean, of the devices' losses (METHODS §1 row 17).
 */
export function stepBatches(
  plan: StepPlan,
  examples: readonly TokenExample[],
  padTokenId: number,
  reduction: RunConfig['training']['lossReduction'],
): MicroBatch[] {
  const tokens = plan.microBatches.map((microBatch) =>
    microBatch.rows.map((rows) => sum(rows.map((row) => lossTokens(examples[row] as TokenExample)))),
  )
  const stepTokens = (device: number) =>
    sum(tokens.map((perDevice, j) => (plan.microBatches[j]?.counted ? (perDevice[device] as number) : 0)))
  return plan.microBatches.map((microBatch, j) => {
    const perDevice = tokens[j] as number[]
    const weights = perDevice.map((count, device) =>
      reduction === 'token-mean' ? 1 / stepTokens(device) : 1 / (plan.accumulation * count),
    )
    return assemble(microBatch, examples, padTokenId, weights, perDevice)
  })
}

/** One batch of examples whose weighted loss is the mean over their tokens; for evaluation. */
export function evaluationBatch(examples: readonly TokenExample[], padTokenId: number): MicroBatch {
  const tokens = sum(examples.map(lossTokens))
  const plan = { rows: [examples.map((_, index) => index)], counted: true }
  return assemble(plan, examples, padTokenId, [1 / tokens], [tokens])
}

/** Positions that predict a token: labels but the first, which nothing precedes. */
export function lossTokens(example: TokenExample): number {
  let count = 0
  for (let position = 1; position < example.labels.length; position++)
    if (example.labels[position] !== ignoredLabel) count++
  return count
}

/** The last token of a row predicts nothing, so a row of n tokens has n - 1 positions. */
function assemble(
  { rows, counted }: MicroBatchPlan,
  examples: readonly TokenExample[],
  padTokenId: number,
  deviceWeights: readonly number[],
  tokensPerDevice: readonly number[],
): MicroBatch {
  const order = rows.flatMap((deviceRows, device) =>
    deviceRows.map((row) => ({
      example: examples[row] as TokenExample,
      weight: deviceWeights[device] as number,
    })),
  )
  const sequence = Math.max(1, ...order.map(({ example }) => example.inputIds.length - 1))
  const size = order.length * sequence
  const inputIds = new Int32Array(size).fill(padTokenId)
  const targets = new Int32Array(size).fill(ignoredLabel)
  const weights = new Float32Array(size)
  order.forEach(({ example, weight }, row) => {
    const start = row * sequence
    const positions = Math.max(1, example.inputIds.length - 1)
    inputIds.set(example.inputIds.subarray(0, positions), start)
    targets.set(example.labels.subarray(1), start)
    for (let i = start; i < start + positions; i++) if (targets[i] !== ignoredLabel) weights[i] = weight
  })
  return {
    devices: rows.length,
    counted,
    batch: order.length,
    sequence,
    inputIds,
    targets,
    weights,
    lossTokens: tokensPerDevice,
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
