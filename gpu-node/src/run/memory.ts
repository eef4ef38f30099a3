/**
 * How much memory a run needs, estimated before it starts, so that what cannot fit is refused with a figure instead of
 * being killed half-way. Pure.
 */
import { RankscopeError, type RunConfig } from '@rankscope/protocol'
import { methodMemory, trainableParameterCount } from '../methods/index.ts'
import type { LlamaConfig } from '../model/config.ts'
import { linearShape, parameterCount } from '../model/parameters.ts'

export interface MemoryEstimate {
  /** float32 weights of the model. */
  readonly modelBytes: number
  /** The method's parameters, moments, constants; for full fine-tuning moments of everything trained. */
  readonly stateBytes: number
  /** Gradients and what the update holds for a moment. */
  readonly gradientBytes: number
  /** What one forward pass keeps for the backward pass, and the largest logits chunk. */
  readonly activationBytes: number
  /** The runtime, the data, buffers on their way. */
  readonly baseBytes: number
  readonly totalBytes: number
}

/** Node, the libraries and the data of a small run, measured. */
const runtimeBytes = 350 * 2 ** 20
/** Largest part of the logits that exists at a time. */
const logitsChunkBytes = 64 * 2 ** 20

/** `sequence`: tokens of the longest example; `oneDevice`: the process computes one device of several. */
export function estimateMemory(
  config: RunConfig,
  model: LlamaConfig,
  sequence: number,
  oneDevice = false,
): MemoryEstimate {
  const { method, parallel, targetModules, training } = config
  const devices = parallel.devices
  let stateFloats = 0
  let gradientFloats = 0
  if (method.name === 'full' && method.scope === 'all') {
    stateFloats = 2 * parameterCount(model)
    gradientFloats = parameterCount(model)
  } else {
    for (const name of targetModules) {
      const [rows, columns] = linearShape(model, name)
      const need = methodMemory(method, { rows, columns }, devices)
      stateFloats += model.layers * need.stateFloats
      gradientFloats += model.layers * need.transientFloats
    }
  }
  const rows = (oneDevice ? 1 : devices) * training.microBatchSize * sequence
  const activationBytes = 4 * activationFloats(model, rows, config.resources.gradientCheckpointing)
  const logitsBytes = Math.min(logitsChunkBytes, 4 * rows * model.vocabularySize)
  const bytes = {
    modelBytes: 4 * parameterCount(model),
    stateBytes: 4 * stateFloats,
    gradientBytes: 4 * gradientFloats,
    activationBytes: activationBytes + 2 * logitsBytes,
    baseBytes: runtimeBytes,
  }
  return { ...bytes, totalBytes: Object.values(bytes).reduce((sum, part) => sum + part, 0) }
}

/** Floats kept for the backward pass, by row: per block inputs and outputs of its norms, projections and products. */
function activationFloats(model: LlamaConfig, rows: number, checkpointed: boolean): number {
  const { hiddenSize, intermediateSize, heads, keyValueHeads, headDim, layers } = model
  const attentionWidth = (heads + 2 * keyValueHeads) * headDim
  const perBlock = 6 * hiddenSize + 2 * attentionWidth + heads * headDim + 3 * intermediateSize
  const kept = checkpointed ? layers * hiddenSize + perBlock : layers * perBlock
  return rows * (kept + 4 * hiddenSize)
}

/** Trainable scalars per device of the whole model. */
export function trainableParameters(config: RunConfig, model: LlamaConfig): number {
  const { method } = config
  if (method.name === 'full' && method.scope === 'all') return parameterCount(model)
  return config.targetModules.reduce((sum, name) => {
    const [rows, columns] = linearShape(model, name)
    return sum + model.layers * trainableParameterCount(method, { rows, columns })
  }, 0)
}

/** Throws OUT_OF_MEMORY with the figures where the estimate exceeds what there is. */
export function requireMemory(estimate: MemoryEstimate, availableBytes: number | null): void {
  if (availableBytes === null || estimate.totalBytes <= availableBytes) return
  const { modelBytes, stateBytes, gradientBytes, activationBytes } = estimate
  throw new RankscopeError(
    'OUT_OF_MEMORY',
    `the run needs about ${gibibytes(estimate.totalBytes)} (weights ${gibibytes(modelBytes)}, optimizer and adapters ${gibibytes(stateBytes)}, gradients ${gibibytes(gradientBytes)}, activations ${gibibytes(activationBytes)}); this node offers ${gibibytes(availableBytes)}`,
    { hint: 'Lower the micro-batch, the maximum length, the rank or the devices, or take another method.' },
  )
}

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(bytes < 2 ** 30 ? 2 : 1)} GiB`
}
