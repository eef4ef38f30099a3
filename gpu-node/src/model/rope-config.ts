/**
 * The rotary settings of a `config.json`, in the old style (`rope_theta`, `rope_scaling`) and in that of transformers 5
 * (`rope_parameters`). Where both stand and disagree, or a number is missing, the model is refused: versions of
 * transformers differ in which they believe.
 */
import { parseOrThrow, RankscopeError } from '@rankscope/protocol'
import { z } from 'zod'

export type RopeScaling =
  /** Llama 3.1: slow frequencies are stretched. */
  | {
      readonly type: 'llama3'
      readonly factor: number
      readonly lowFrequencyFactor: number
      readonly highFrequencyFactor: number
      readonly originalMaxPositions: number
    }
  /** Position interpolation (Chen et al. 2023): every frequency divided by the factor. */
  | { readonly type: 'linear'; readonly factor: number }
  /** NTK-aware scaling of theta by the length of the sequence, beyond the model's own. */
  | { readonly type: 'dynamic'; readonly factor: number; readonly originalMaxPositions: number }
  /** YaRN (Peng et al. 2023): per frequency between interpolated and kept; cosines and sines times `attentionFactor`. */
  | {
      readonly type: 'yarn'
      readonly factor: number
      readonly originalMaxPositions: number
      readonly betaFast: number
      readonly betaSlow: number
      readonly attentionFactor: number
      /** The border dimensions are whole numbers. */
      readonly truncate: boolean
    }

export interface Rope {
  readonly ropeTheta: number
  readonly ropeScaling: RopeScaling | null
}

const positive = z.number().positive().max(1e12).nullish()
const length = z
  .int()
  .min(1)
  .max(2 ** 31)
  .nullish()
const dictionary = z
  .object({
    rope_type: z.string().nullish(),
    type: z.string().nullish(),
    rope_theta: positive,
    factor: positive,
    low_freq_factor: positive,
    high_freq_factor: positive,
    original_max_position_embeddings: length,
    attention_factor: positive,
    beta_fast: positive,
    beta_slow: positive,
    mscale: z.number().min(0).nullish(),
    mscale_all_dim: z.number().min(0).nullish(),
    truncate: z.boolean().nullish(),
    partial_rotary_factor: z.number().nullish(),
  })
  .loose()
const schema = z.object({
  rope_theta: positive,
  rope_scaling: dictionary.nullish(),
  rope_parameters: dictionary.nullish(),
  original_max_position_embeddings: length,
})
type Dictionary = z.output<typeof dictionary>

/** Keys that a type reads besides its name and theta. */
const readBy: Readonly<Record<string, readonly string[]>> = {
  default: [],
  linear: ['factor'],
  dynamic: ['factor'],
  llama3: ['factor', 'low_freq_factor', 'high_freq_factor', 'original_max_position_embeddings'],
  yarn: [
    ...['factor', 'original_max_position_embeddings', 'attention_factor', 'beta_fast', 'beta_slow'],
    ...['mscale', 'mscale_all_dim', 'truncate'],
  ],
}

/**
 * `maxPositions` is max_position_embeddings. Throws MODEL_BROKEN for contradictions and missing numbers,
 * MODEL_UNSUPPORTED for other ways of scaling.
 */
export function parseRope(
  raw: unknown,
  maxPositions: number,
  file: string,
): { rope: Rope; notes: readonly string[] } {
  const fields = parseOrThrow(schema, raw, 'MODEL_BROKEN', file)
  const { rope_scaling: old, rope_parameters: modern, rope_theta: theta } = fields
  const original = fields.original_max_position_embeddings
  const notes: string[] = []
  const read = (dictionary: Dictionary | null | undefined, name: string): Rope => {
    if (!dictionary) return { ropeTheta: theta ?? 10_000, ropeScaling: null }
    refuseForeignKeys(dictionary, name, file)
    if (theta && dictionary.rope_theta && theta !== dictionary.rope_theta)
      throw contradiction(file, `rope_theta ${theta}`, `${name}.rope_theta ${dictionary.rope_theta}`)
    return {
      ropeTheta: dictionary.rope_theta ?? theta ?? 10_000,
      ropeScaling: parseScaling(dictionary, { name, maxPositions, original, file, notes }),
    }
  }
  const inOld = read(old, 'rope_scaling')
  const inModern = read(modern, 'rope_parameters')
  const stated = (dictionary: Dictionary | null | undefined) =>
    dictionary && Object.keys(dictionary).length > 0
  if (stated(old) && stated(modern) && JSON.stringify(inOld) !== JSON.stringify(inModern))
    throw contradiction(
      file,
      `rope_scaling ${JSON.stringify(old)}`,
      `rope_parameters ${JSON.stringify(modern)}`,
    )
  if (!stated(modern) && old?.rope_theta && !theta)
    notes.push(
      `${file}: theta ${old.rope_theta} stands in rope_scaling and is taken; versions of transformers before 5 take 10000 there`,
    )
  return { rope: stated(modern) ? inModern : inOld, notes }
}

/** In the old style, which every reader knows: some take theta = 10,000 where they find the new keys alone. */
export function formatRope({ ropeTheta, ropeScaling }: Rope): object {
  return { rope_scaling: ropeScaling && formatScaling(ropeScaling), rope_theta: ropeTheta }
}

function formatScaling(scaling: RopeScaling): object {
  const { type: rope_type, factor } = scaling
  switch (scaling.type) {
    case 'linear':
    case 'dynamic':
      return { rope_type, factor }
    case 'llama3':
      return {
        ...{ rope_type, factor },
        low_freq_factor: scaling.lowFrequencyFactor,
        high_freq_factor: scaling.highFrequencyFactor,
        original_max_position_embeddings: scaling.originalMaxPositions,
      }
    case 'yarn':
      return {
        ...{ rope_type, factor },
        original_max_position_embeddings: scaling.originalMaxPositions,
        beta_fast: scaling.betaFast,
        beta_slow: scaling.betaSlow,
        attention_factor: scaling.attentionFactor,
        truncate: scaling.truncate,
      }
  }
}

interface Place {
  readonly name: string
  readonly maxPositions: number
  /** What stands outside the dictionary, as Phi-3 writes it. */
  readonly original: number | null | undefined
  readonly file: string
  readonly notes: string[]
}

function parseScaling(
  dictionary: Dictionary,
  { name, maxPositions, original, file, notes }: Place,
): RopeScaling | null {
  if (dictionary.type && dictionary.rope_type && dictionary.type !== dictionary.rope_type)
    throw contradiction(file, `${name}.type ${dictionary.type}`, `${name}.rope_type ${dictionary.rope_type}`)
  const type = dictionary.rope_type ?? dictionary.type ?? 'default'
  const reads = readBy[type]
  if (!reads) throw unsupported(file, `rope scaling of type ${type}`)
  const unread = Object.entries(dictionary).filter(
    ([key, value]) =>
      value !== null && !['rope_type', 'type', 'rope_theta', 'partial_rotary_factor', ...reads].includes(key),
  )
  for (const [key, value] of unread)
    notes.push(
      `${file}: ${name}.${key} ${JSON.stringify(value)} has no effect with rope scaling of type ${type}`,
    )
  const inner = dictionary.original_max_position_embeddings
  if (original && inner && original !== inner)
    throw contradiction(
      file,
      `original_max_position_embeddings ${original}`,
      `${name}.original_max_position_embeddings ${inner}`,
    )
  const { low_freq_factor: low, high_freq_factor: high } = dictionary
  const originalMaxPositions = inner ?? original ?? maxPositions
  const factor = dictionary.factor ?? (type === 'yarn' ? maxPositions / originalMaxPositions : null)
  if (type === 'default') return null
  if (!factor) throw missing(file, name, type, 'factor')
  switch (type) {
    case 'linear':
      return { type, factor }
    case 'dynamic':
      return { type, factor, originalMaxPositions: maxPositions }
    case 'llama3':
      if (!low) throw missing(file, name, type, 'low_freq_factor')
      if (!high) throw missing(file, name, type, 'high_freq_factor')
      if (!(inner ?? original)) throw missing(file, name, type, 'original_max_position_embeddings')
      if (low >= high) throw contradiction(file, `${name}.low_freq_factor ${low}`, `high_freq_factor ${high}`)
      return { type, factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions }
    default:
      return yarn(dictionary, factor, originalMaxPositions, { maxPositions, file, notes })
  }
}

function yarn(
  dictionary: Dictionary,
  factor: number,
  originalMaxPositions: number,
  { maxPositions, file, notes }: Pick<Place, 'maxPositions' | 'file' | 'notes'>,
): RopeScaling {
  const { mscale, mscale_all_dim: allDimensions } = dictionary
  if (Math.abs(maxPositions / originalMaxPositions - factor) > 1e-6 * factor)
    notes.push(
      `${file}: YaRN's factor ${factor} is taken, although max_position_embeddings ${maxPositions} is not that many times ${originalMaxPositions}`,
    )
  const scale = (multiplier: number) => (factor <= 1 ? 1 : 0.1 * multiplier * Math.log(factor) + 1)
  const implied = mscale && allDimensions ? scale(mscale) / scale(allDimensions) : scale(1)
  return {
    type: 'yarn',
    factor,
    originalMaxPositions,
    betaFast: dictionary.beta_fast ?? 32,
    betaSlow: dictionary.beta_slow ?? 1,
    attentionFactor: dictionary.attention_factor ?? implied,
    truncate: dictionary.truncate ?? true,
  }
}

function refuseForeignKeys(dictionary: Dictionary, name: string, file: string): void {
  const known = Object.keys(schemaKeys)
  for (const [key, value] of Object.entries(dictionary)) {
    if (value === null || value === false || known.includes(key)) continue
    throw unsupported(file, `${name}.${key} ${JSON.stringify(value)}`)
  }
  if ((dictionary.partial_rotary_factor ?? 1) !== 1)
    throw unsupported(file, `${name}.partial_rotary_factor ${dictionary.partial_rotary_factor}`)
}
const schemaKeys = dictionary.shape

function contradiction(file: string, one: string, other: string): RankscopeError {
  return new RankscopeError('MODEL_BROKEN', `${file}: ${one} and ${other} contradict one another`, {
    hint: 'Keep the one that the model was trained with. Versions of transformers differ in which they believe.',
  })
}

function missing(file: string, name: string, type: string, key: string): RankscopeError {
  return new RankscopeError('MODEL_BROKEN', `${file}: ${name} of type ${type} lacks ${key}`, {
    hint: 'Fetch config.json again, or add the number that the model was trained with.',
  })
}

function unsupported(file: string, what: string): RankscopeError {
  return new RankscopeError('MODEL_UNSUPPORTED', `${file}: ${what} is not supported`, {
    hint: 'Supported are the rope types default, linear, dynamic, yarn and llama3.',
  })
}
