/** A model in memory: its config, and its weights as variables that methods adapt or update in place. */
import type { Variable } from '@tensorflow/tfjs-core'
import { parameter, storedParameter, widensStored } from '../ops/index.ts'
import type { LlamaConfig } from './config.ts'
import { type ModelFolder, openModelFolder } from './folder.ts'
import type { ParameterSpec } from './parameters.ts'
import { RopeTables } from './rope-table.ts'
import { readBytes } from './safetensors.ts'

export class Model {
  readonly config: LlamaConfig
  /** By Hugging Face name; linear weights are [in, out]. */
  readonly weights: ReadonlyMap<string, Variable>
  readonly rope: RopeTables
  /** Folder that the model came from, which holds its tokenizer; null for one made in memory. */
  readonly folder: string | null

  /** Tokens that end an answer. */
  readonly stopTokenIds: readonly number[]

  constructor(
    config: LlamaConfig,
    weights: ReadonlyMap<string, Variable>,
    folder: string | null,
    stopTokenIds: readonly number[] = config.endTokenIds,
  ) {
    this.stopTokenIds = stopTokenIds
    this.config = config
    this.weights = weights
    this.rope = new RopeTables(config)
    this.folder = folder
  }

  weight(name: string): Variable {
    const variable = this.weights.get(name)
    if (!variable) throw new Error(`the model has no tensor ${name}`)
    return variable
  }

  dispose(): void {
    for (const variable of this.weights.values()) variable.dispose()
    this.rope.dispose()
  }
}

/**
 * Loads a Hugging Face folder of the Llama family, float32, on the active backend. The caller disposes of the model.
 * Throws MODEL_NOT_FOUND, MODEL_UNSUPPORTED or MODEL_BROKEN, naming file and tensor. `onProgress` hears of each tensor
 * before it is read.
 */
export function loadModel(folder: string, onProgress?: (done: number, total: number) => void): Model {
  const opened = openModelFolder(folder)
  const read = widensStored()
    ? readerOfStored(opened)
    : (spec: ParameterSpec) => parameter(opened.read(spec), spec.shape)
  const weights = new Map(
    opened.specs.map((spec, index) => {
      onProgress?.(index, opened.specs.length)
      return [spec.name, read(spec)]
    }),
  )
  return new Model(opened.config, weights, folder, opened.stopTokenIds)
}

/** Reads files as they are, through one buffer: fresh memory for each tensor would cost as much as reading it. */
function readerOfStored(opened: ModelFolder): (spec: ParameterSpec) => Variable {
  const sources = opened.specs.map((spec) => opened.source(spec))
  const buffer = new Uint8Array(Math.max(0, ...sources.map(({ sizeBytes }) => sizeBytes)))
  return (spec) => {
    const source = opened.source(spec)
    // Of float64 only a copy in float32 fits.
    if (source.dtype === 'F64') return parameter(opened.read(spec), spec.shape)
    const bytes = readBytes(source, buffer)
    return storedParameter({ bytes, dtype: source.dtype, transposed: spec.transposed }, spec.shape)
  }
}
