/**
 * A Hugging Face model folder as plain arrays: its config and its tensors, checked against one another, read one
 * tensor at a time. Nothing here needs a backend.
 */
import { createHash } from 'node:crypto'
import { createReadStream, existsSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { RankscopeError } from '@rankscope/protocol'
import { type LlamaConfig, readConfigFile } from './config.ts'
import type { FloatDtype } from './dtypes.ts'
import { readStopTokens } from './generation-config.ts'
import { readJsonFile } from './json-file.ts'
import { embeddingName, headName, type ParameterSpec, parameterSpecs } from './parameters.ts'
import { fileAsModel, folderWithoutConfig, foreignWeights } from './recognise.ts'
import { readFloat32, readTransposed, requireFloats, sameValues, type TensorInfo } from './safetensors.ts'
import { openWeights } from './shards.ts'

export interface ModelFolder {
  readonly folder: string
  readonly config: LlamaConfig
  readonly specs: readonly ParameterSpec[]
  /** Tokens that end an answer. */
  readonly stopTokenIds: readonly number[]
  /** What its files say and is taken otherwise here, in sentences. */
  readonly notes: readonly string[]
  /** Values of one parameter in the shape that its spec names (linear weights transposed to [in, out]). */
  read(spec: ParameterSpec): Float32Array
  /** Where one parameter lies, and in which form. Throws MODEL_BROKEN for integers. */
  source(spec: ParameterSpec): TensorInfo & { readonly dtype: FloatDtype }
}

/**
 * Opens a folder and checks that it holds exactly the tensors that its config asks for, in the right shapes.
 * Throws MODEL_NOT_FOUND, MODEL_UNSUPPORTED or MODEL_BROKEN, naming file and tensor.
 */
export function openModelFolder(folder: string): ModelFolder {
  const { config: stated, notes } = readConfigOf(folder)
  const stop = readStopTokens(folder, stated)
  const stored = openWeights(folder)
  const foreign = foreignWeights(stored.values())
  if (foreign) throw foreign
  const ownHead = hasOwnHead(stated, stored)
  const config = ownHead ? { ...stated, tiedEmbeddings: false } : stated
  const specs = parameterSpecs(config)
  const sources = new Map(specs.map((spec) => [spec.name, checkedSource(folder, stored, spec, config)]))
  for (const tensor of stored.values()) {
    if (!sources.has(tensor.name) && !mayBeIgnored(tensor.name, config))
      throw new RankscopeError(
        'MODEL_UNSUPPORTED',
        `${tensor.file}: tensor ${tensor.name} has no place in a ${config.modelType} model of this config.json`,
        {
          hint: 'The weights belong to another architecture than config.json says, or it lacks a key (attention_bias, mlp_bias, num_hidden_layers).',
        },
      )
  }
  const headNote = `${join(folder, 'config.json')}: tie_word_embeddings is true, yet ${headName} is stored and differs from the embedding; it is used, and exports are untied`
  return {
    folder,
    config,
    specs,
    stopTokenIds: stop.ids,
    notes: [...notes, ...stop.notes, ...(ownHead ? [headNote] : [])],
    read(spec) {
      const source = sources.get(spec.name) as TensorInfo
      return spec.transposed ? readTransposed(source) : readFloat32(source)
    },
    source: (spec) => requireFloats(sources.get(spec.name) as TensorInfo),
  }
}

/** Parses `config.json` of a folder. The weights may still say otherwise about the head: `openModelFolder` knows. */
export function readConfig(folder: string): LlamaConfig {
  return readConfigOf(folder).config
}

function readConfigOf(folder: string): ReturnType<typeof readConfigFile> {
  const file = join(folder, 'config.json')
  const stat = statSync(folder, { throwIfNoEntry: false })
  if (stat?.isFile()) throw fileAsModel(folder)
  if (!stat?.isDirectory())
    throw new RankscopeError('MODEL_NOT_FOUND', `${folder}: there is no such folder`, {
      hint: 'Give the folder that holds config.json and model.safetensors.',
    })
  if (!existsSync(file)) throw folderWithoutConfig(folder)
  return readConfigFile(readJsonFile(file, 'MODEL_BROKEN'), file)
}

/** A model that says it shares its head with the embedding, and stores another head: one whose head was trained. */
function hasOwnHead(config: LlamaConfig, stored: ReadonlyMap<string, TensorInfo>): boolean {
  const [head, embedding] = [stored.get(headName), stored.get(embeddingName)]
  if (!config.tiedEmbeddings || !head || !embedding) return false
  // Both may be gigabytes, and a folder is opened several times.
  const times = [head, embedding].map(({ file }) => statSync(file).mtimeMs)
  const key = JSON.stringify([head, embedding, times])
  const known = ownHeads.get(key) ?? !sameValues(head, embedding)
  ownHeads.set(key, known)
  return known
}
const ownHeads = new Map<string, boolean>()

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
