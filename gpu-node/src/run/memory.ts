/**
 * How much memory a run needs, estimated before it starts, so that what cannot fit is refused with a figure instead of
 * being killed half-way. Pure.
 */
import {
  type MemoryEstimate,
  type MemoryPlan,
  RankscopeError,
  type RunConfig,
  targetModuleNames,
} from '@rankscope/protocol'
import {
  methodMemory,
  regatheredFloats,
  trainableParameterCount,
  trainsWholeModel,
} from '../methods/index.ts'
import type { LlamaConfig } from '../model/config.ts'
import { linearShape, parameterCount } from '../model/parameters.ts'

/**
 * Where tensors lie decides what is there beside them, and what lies there once. `runtimeBytes`: on the host Node, the
 * libraries and the data of a small run, measured; on a GPU its context, kernels, staging and workspaces, as they are
 * asked for (kernels/cuda/host). `logitsChunkBytes`: the largest part of the logits that exists at a time.
 * `roundedEntryBytes`: of an operand in bfloat16, which the host emulates in float32.
 */
const places = {
  host: { runtimeBytes: 350 * 2 ** 20, logitsChunkBytes: 64 * 2 ** 20, roundedEntryBytes: 4 },
  gpu: { runtimeBytes: 768 * 2 ** 20, logitsChunkBytes: 256 * 2 ** 20, roundedEntryBytes: 2 },
} as const
export type MemoryPlace = keyof typeof places

/** `sequence`: tokens of the longest example; `oneDevice`: the process computes one device of several. */
export function estimateMemory(
  config: RunConfig,
  model: LlamaConfig,
  sequence: number,
  { oneDevice = false, place = 'host' }: { oneDevice?: boolean; place?: MemoryPlace } = {},
): MemoryEstimate {
  const { runtimeBytes, logitsChunkBytes, roundedEntryBytes } = places[place]
  const { method, parallel, targetModules, training } = config
  const devices = parallel.devices
  let stateFloats = 0
  let gradientFloats = 0
  if (trainsWholeModel(method)) {
    stateFloats = 2 * parameterCount(model)
    gradientFloats = parameterCount(model)
  } else {
    for (const name of targetModules) {
      const [rows, columns] = linearShape(model, name)
      const need = methodMemory(method, { rows, columns }, devices)
      stateFloats += model.layers * need.stateFloats
      gradientFloats += model.layers * need.transientFloats
      if (oneDevice && parallel.regatherAdapters)
        gradientFloats += model.layers * regatheredFloats(method, { rows, columns }, devices)
    }
  }
  const rows = (oneDevice ? 1 : devices) * training.microBatchSize * sequence
  const activationBytes = 4 * activationFloats(model, rows, config.resources.gradientCheckpointing)
  const logitsBytes = Math.min(logitsChunkBytes, 4 * rows * model.vocabularySize)
  const roundedBytes =
    training.computeDtype === 'bfloat16' ? roundedEntryBytes * roundedFloats(model, rows) : 0
  const bytes = {
    modelBytes: 4 * parameterCount(model),
    stateBytes: 4 * stateFloats,
    gradientBytes: 4 * gradientFloats,
    activationBytes: activationBytes + 2 * logitsBytes + roundedBytes,
    baseBytes: runtimeBytes,
  }
  return { ...bytes, totalBytes: Object.values(bytes).reduce((sum, part) => sum + part, 0) }
}

/**
 * What the launch form shows before anything is read: bounds that hold for any data of at most `data.maxLength` tokens. Where
 * each device is a process of its own, all of them together.
 */
export function planMemory(config: RunConfig, model: LlamaConfig, availableBytes: number): MemoryPlan {
  const oneDevice = config.parallel.mode === 'processes'
  const processes = oneDevice ? config.parallel.devices : 1
  const ofAll = (sequence: number): MemoryEstimate => {
    const parts = Object.entries(estimateMemory(config, model, sequence, { oneDevice }))
    return Object.fromEntries(parts.map(([part, bytes]) => [part, processes * bytes])) as MemoryEstimate
  }
  return { most: ofAll(config.data.maxLength), leastBytes: ofAll(1).totalBytes, availableBytes }
}

/** Floats kept for the backward pass, by row: per block inputs and outputs of its norms, projections and products. */
function activationFloats(model: LlamaConfig, rows: number, checkpointed: boolean): number {
  const { hiddenSize, intermediateSize, heads, keyValueHeads, headDim, layers } = model
  const attentionWidth = (heads + 2 * keyValueHeads) * headDim
  const perBlock = 6 * hiddenSize + 2 * attentionWidth + heads * headDim + 3 * intermediateSize
  const kept = checkpointed ? layers * hiddenSize + perBlock : layers * perBlock
  return rows * (kept + 4 * hiddenSize)
}

/** Most rounded copies that exist at a time: those of one product's operands, which are float32 like what they copy. */
function roundedFloats(model: LlamaConfig, rows: number): number {
  const { hiddenSize, vocabularySize, heads, keyValueHeads, headDim } = model
  const linear = targetModuleNames.map((name) => {
    const [inputs, outputs] = linearShape(model, name)
    return inputs * outputs + rows * (inputs + outputs)
  })
  const attention = rows * (2 * heads + 2 * keyValueHeads) * headDim
  return Math.max(...linear, attention, (vocabularySize + rows) * hiddenSize)
}

/** Trainable scalars per device of the whole model. */
export function trainableParameters(config: RunConfig, model: LlamaConfig): number {
  const { method } = config
  if (trainsWholeModel(method)) return parameterCount(model)
  return config.targetModules.reduce((sum, name) => {
    const [rows, columns] = linearShape(model, name)
    return sum + model.layers * trainableParameterCount(method, { rows, columns })
  }, 0)
}

/** The estimate in words: the whole and its parts. */
export function describeMemory(estimate: MemoryEstimate): string {
  const { modelBytes, stateBytes, gradientBytes, activationBytes } = estimate
  return `about ${gibibytes(estimate.totalBytes)} (weights ${gibibytes(modelBytes)}, optimizer and adapters ${gibibytes(stateBytes)}, gradients ${gibibytes(gradientBytes)}, activations ${gibibytes(activationBytes)})`
}

/** Throws OUT_OF_MEMORY with the figures where the estimate exceeds what there is. */
export function requireMemory(
  estimate: MemoryEstimate,
  availableBytes: number | null,
  where = 'this node offers',
): void {
  if (availableBytes === null || estimate.totalBytes <= availableBytes) return
  throw new RankscopeError(
    'OUT_OF_MEMORY',
    `the run needs ${describeMemory(estimate)}; ${where} ${gibibytes(availableBytes)}`,
    { hint: 'Lower the micro-batch, the maximum length, the rank or the devices, or take another method.' },
  )
}

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(bytes < 2 ** 30 ? 2 : 1)} GiB`
}
