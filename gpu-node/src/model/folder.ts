/**
 * A Hugging Face model folder as plain arrays: its config and its tensors, checked against one another, read one
 * tensor at a time. Nothing here needs a backend.
 */
import { createHash } from 'node:crypto'
import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { RankscopeError } from '@rankscope/protocol'
import { type LlamaConfig, parseConfig } from './config.ts'
import { embeddingName, headName, type ParameterSpec, parameterSpecs, transpose } from './parameters.ts'
import { readFloat32, type TensorInfo } from './safetensors.ts'
import { openWeights } from './shards.ts'

export interface ModelFolder {
  readonly folder: string
  readonly config: LlamaConfig
  readonly specs: readonly ParameterSpec[]
  /** Values of one parameter in the shape that its spec names (linear weights transposed to [in, out]). */
  read(spec: ParameterSpec): Float32Array
}

/**
 * Opens a folder and checks that it holds exactly the tensors that its config asks for, in the right shapes.
 * Throws MODEL_NOT_FOUND, MODEL_UNSUPPORTED or MODEL_BROKEN, naming file and tensor.
 */
export function openModelFolder(folder: string): ModelFolder {
  const config = readConfig(folder)
  const stored = openWeights(folder)
  const specs = parameterSpecs(config)
  const sources = new Map(specs.map((spec) => [spec.name, checkedSource(folder, stored, spec, config)]))
  for (const tensor of stored.values()) {
    if (!sources.has(tensor.name) && !mayBeIgnored(tensor.name, config))
      throw new RankscopeError(
        'MODEL_UNSUPPORTED',
        `${tensor.file}: tensor ${tensor.name} has no place in a ${config.modelType} model`,
        {
          hint: 'The weights belong to another architecture than config.json says.',
        },
      )
  }
  return {
    folder,
    config,
    specs,
    read(spec) {
      const values = readFloat32(sources.get(spec.name) as TensorInfo)
      const [inputs = 1, outputs = 1] = spec.shape
      return spec.transposed ? transpose(values, outputs, inputs) : values
    },
  }
}

/** Parses `config.json` of a folder. */
export function readConfig(folder: string): LlamaConfig {
  const file = join(folder, 'config.json')
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    throw new RankscopeError('MODEL_NOT_FOUND', `${folder}: there is no such folder`, {
      hint: 'Give the folder that holds config.json and model.safetensors.',
    })
  if (!existsSync(file))
    throw new RankscopeError('MODEL_NOT_FOUND', `${folder}: the folder has no config.json`, {
      hint: 'Give a Hugging Face model folder.',
    })
  return parseConfig(readJsonFile(file, 'MODEL_BROKEN'), file)
}

/** The JSON in a file of a model folder; where it is not JSON, an error with the given code that names the file. */
export function readJsonFile(file: string, code: 'MODEL_BROKEN' | 'TOKENIZER_BROKEN'): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch (cause) {
    throw new RankscopeError(code, `${file}: not readable as JSON`, { cause })
  }
}

/** SHA-256 over the config and all weight files of a folder: the key under which results about it are cached. */
export async function modelContentHash(folder: string): Promise<string> {
  const files = [...new Set([...openWeights(folder).values()].map((tensor) => tensor.file))].sort()
  const hash = createHash('sha256')
  for (const file of [join(folder, 'config.json'), ...files]) {
    hash.update(`${basename(file)}\0${statSync(file).size}\0`)
    for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer)
  }
  return hash.digest('hex')
}

/** Where a parameter is stored. Tied models may store their one matrix under the head's name alone. */
function checkedSource(
  folder: string,
  stored: ReadonlyMap<string, TensorInfo>,
  spec: ParameterSpec,
  config: LlamaConfig,
): TensorInfo {
  const tensor =
    stored.get(spec.name) ??
    (spec.name === embeddingName && config.tiedEmbeddings ? stored.get(headName) : undefined)
  if (!tensor) {
    const file = stored.values().next().value?.file ?? folder
    throw new RankscopeError('MODEL_BROKEN', `${file}: tensor ${spec.name} is missing`, {
      hint:
        spec.name === headName
          ? 'If the model shares its head with the embedding, config.json must say "tie_word_embeddings": true.'
          : 'config.json and the weight files do not belong together, or the download is incomplete.',
    })
  }
  const expected = spec.transposed ? [...spec.shape].reverse() : spec.shape
  if (tensor.shape.join() !== expected.join())
    throw new RankscopeError(
      'MODEL_BROKEN',
      `${tensor.file}: tensor ${tensor.name} has shape [${tensor.shape.join(', ')}], config.json asks for [${expected.join(', ')}]`,
      { hint: 'config.json and the weight files do not belong together.' },
    )
  return tensor
}

/** Old exports store rotary frequencies, which follow from the config; a tied head repeats the embedding. */
function mayBeIgnored(name: string, config: LlamaConfig): boolean {
  return name.endsWith('.rotary_emb.inv_freq') || (config.tiedEmbeddings && name === headName)
}
