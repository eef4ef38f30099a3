/**
 * Which examples each of K devices sees in each micro-batch of each optimiser step: pure functions of the settings,
 * with random access by step, so that a resumed run continues where it stopped.
 *
 * `distributed` is torch's DistributedSampler under a DataLoader with drop_last, as the HD-PiSSA code uses them
 * (METHODS §1 rows 19 and 20): the epoch's order is padded by repetition to a multiple of K, device k takes
 * k, k+K, k+2K, … (or a contiguous part), and an incomplete micro-batch at the end is dropped.
 * `sequential` is an endless stream: each micro-batch takes the next examples in order, wrapping around.
 */
import { countSteps, RankscopeError, type StepCount, type StepRule } from '@rankscope/protocol'
import { Random } from '../random.ts'

export interface SamplerSettings extends StepRule {
  assign: 'interleave' | 'block'
  shuffle: boolean
  /** A new order in each epoch. */
  reshuffle: boolean
  seed: number
}

export interface MicroBatchPlan {
  /** [K][microBatchSize] numbers of examples, device by device. */
  readonly rows: readonly (readonly number[])[]
  /** Part of this step's logged loss; false for what leaked in from the epoch before. */
  readonly counted: boolean
}

export interface StepPlan {
  /** From 0. */
  readonly step: number
  /** From 0; the epoch of the counted micro-batches. */
  readonly epoch: number
  readonly microBatches: readonly MicroBatchPlan[]
  /** Each micro-batch's mean loss is divided by this. */
  readonly accumulation: number
}

export interface Sampler extends Pick<StepCount, 'totalSteps' | 'legacyTotalSteps' | 'stepsPerEpoch'> {
  plan(step: number): StepPlan
}

/** Throws DATA_EMPTY where the data cannot fill a single step. */
export function createSampler(settings: SamplerSettings): Sampler {
  return settings.sampling === 'sequential' ? sequentialSampler(settings) : distributedSampler(settings)
}

function distributedSampler(settings: SamplerSettings): Sampler {
  const { examples, devices, microBatchSize, accumulation, remainder } = settings
  const { stepsPerEpoch, microBatches, leftover, ...count } = countSteps(settings)
  const perDevice = Math.ceil(examples / devices)
  if (stepsPerEpoch === 0)
    throw new RankscopeError(
      'DATA_EMPTY',
      `${examples} examples are too few for one step of ${microBatchSize * accumulation * devices}`,
      { hint: 'Lower the batch size, or choose the remainder rule "step".' },
    )
  const orderOf = epochOrders(settings)
  const microBatch = (epoch: number, index: number, counted: boolean): MicroBatchPlan => {
    const order = orderOf(epoch)
    const place = (device: number, i: number) =>
      settings.assign === 'interleave' ? device + i * devices : device * perDevice + i
    const rows = Array.from({ length: devices }, (_, device) =>
      Array.from({ length: microBatchSize }, (_, i) => {
        return order[place(device, index * microBatchSize + i) % examples] as number
      }),
    )
    return { rows, counted }
  }
  return {
    ...count,
    stepsPerEpoch,
    plan(step) {
      const epoch = Math.floor(step / stepsPerEpoch)
      const first = (step % stepsPerEpoch) * accumulation
      const own = Math.min(accumulation, microBatches - first)
      const counted = Array.from({ length: own }, (_, j) => microBatch(epoch, first + j, true))
      const leaks = remainder === 'leak' && first === 0 && epoch > 0
      const leaked = Array.from({ length: leaks ? leftover : 0 }, (_, j) =>
        microBatch(epoch - 1, microBatches - leftover + j, false),
      )
      return { step, epoch, microBatches: [...leaked, ...counted], accumulation: own }
    },
  }
}

function sequentialSampler(settings: SamplerSettings): Sampler {
  const { examples, devices, microBatchSize, accumulation } = settings
  const perMicroBatch = devices * microBatchSize
  const perStep = perMicroBatch * accumulation
  const orderOf = epochOrders(settings)
  const example = (position: number) =>
    orderOf(Math.floor(position / examples))[position % examples] as number
  return {
    ...countSteps(settings),
    plan(step) {
      const microBatches = Array.from({ length: accumulation }, (_, j): MicroBatchPlan => {
        const start = step * perStep + j * perMicroBatch
        const place = (device: number, i: number) =>
          settings.assign === 'interleave' ? device + i * devices : device * microBatchSize + i
        const rows = Array.from({ length: devices }, (_, device) =>
          Array.from({ length: microBatchSize }, (_, i) => example(start + place(device, i))),
        )
        return { rows, counted: true }
      })
      return { step, epoch: Math.floor((step * perStep) / examples), microBatches, accumulation }
    },
  }
}

/** The order of the examples in each epoch; the last two epochs are remembered. */
function epochOrders(settings: SamplerSettings): (epoch: number) => Int32Array {
  const orders = new Map<number, Int32Array>()
  return (epoch) => {
    const key = settings.shuffle && settings.reshuffle ? epoch : 0
    const known = orders.get(key)
    if (known) return known
    const order = Array.from({ length: settings.examples }, (_, index) => index)
    if (settings.shuffle) new Random(settings.seed).fork(`epoch ${key}`).shuffle(order)
    orders.delete(key - 2)
    const made = Int32Array.from(order)
    orders.set(key, made)
    return made
  }
}
