/**
 * Cosines and sines of rotary position embeddings (Su et al. 2021), half-split as in Hugging Face's Llama, with the
 * ways of stretching them beyond the length that a model was made for. Angles are formed in float64.
 */
import { keep, type Tensor2D, tensor2d } from '@tensorflow/tfjs-core'
import type { LlamaConfig } from './config.ts'
import type { RopeScaling } from './rope-config.ts'

export interface RopeTable {
  /** [positions, headDim/2] */
  readonly cos: Tensor2D
  readonly sin: Tensor2D
}

type RotaryConfig = Pick<LlamaConfig, 'headDim' | 'ropeTheta' | 'ropeScaling'>

/** Tables of one model. The one for positions 0, 1, 2, … is kept and grows; `dispose` frees it. */
export class RopeTables {
  readonly #config: RotaryConfig
  readonly #scale: number
  #table: (RopeTable & { readonly context: number }) | null = null

  constructor(config: RotaryConfig) {
    this.#config = config
    this.#scale = config.ropeScaling?.type === 'yarn' ? config.ropeScaling.attentionFactor : 1
  }

  /**
   * Rows 0 to at least `sequence` - 1, for texts of `context` tokens (only dynamic scaling asks how long they are); owned
   * by this object, until it is asked again.
   */
  upTo(sequence: number, context = sequence): RopeTable {
    const needed = this.#contextThatMatters(context)
    const rows = this.#table?.context === needed ? this.#table.cos.shape[0] : 0
    if (this.#table && rows >= sequence) return this.#table
    const positions = Int32Array.from({ length: Math.max(sequence, 2 * rows) }, (_, position) => position)
    const { cos, sin } = this.#rows(positions, () => needed)
    this.dispose()
    this.#table = { cos: keep(cos), sin: keep(sin), context: needed }
    return this.#table
  }

  /** One row per given position, each the last of its own text; owned by the caller. */
  at(positions: Int32Array): RopeTable {
    return this.#rows(positions, (position) => this.#contextThatMatters(position + 1))
  }

  dispose(): void {
    this.#table?.cos.dispose()
    this.#table?.sin.dispose()
    this.#table = null
  }

  #contextThatMatters(context: number): number {
    const { ropeScaling: scaling } = this.#config
    return scaling?.type === 'dynamic' ? Math.max(context, scaling.originalMaxPositions) : 0
  }

  #rows(positions: Int32Array, contextOf: (position: number) => number): RopeTable {
    const half = this.#config.headDim / 2
    const cos = new Float32Array(positions.length * half)
    const sin = new Float32Array(positions.length * half)
    let context = Number.NaN
    let frequencies = new Float64Array(half)
    positions.forEach((position, row) => {
      if (contextOf(position) !== context) {
        context = contextOf(position)
        frequencies = ropeFrequencies(this.#config, context)
      }
      for (let j = 0; j < half; j++) {
        const angle = position * (frequencies[j] as number)
        cos[row * half + j] = this.#scale * Math.cos(angle)
        sin[row * half + j] = this.#scale * Math.sin(angle)
      }
    })
    const shape: [number, number] = [positions.length, half]
    return { cos: tensor2d(cos, shape), sin: tensor2d(sin, shape) }
  }
}

/**
 * Angular frequency of each of the headDim/2 rotated pairs, in radians per position. `context`: tokens of the text, which
 * dynamic scaling depends on where there are more than the model was made for.
 */
export function ropeFrequencies(config: RotaryConfig, context = 0): Float64Array<ArrayBuffer> {
  const { headDim, ropeScaling: scaling } = config
  const theta = scaling?.type === 'dynamic' ? stretchedTheta(config, scaling, context) : config.ropeTheta
  const kept = scaling?.type === 'yarn' ? keptShares(config, scaling) : null
  return Float64Array.from({ length: headDim / 2 }, (_, j) => {
    const frequency = theta ** ((-2 * j) / headDim)
    switch (scaling?.type) {
      case 'linear':
        return frequency / scaling.factor
      case 'llama3':
        return stretchSlow(frequency, scaling)
      case 'yarn':
        return (frequency / scaling.factor) * (1 - kept![j]!) + frequency * kept![j]!
      default:
        return frequency
    }
  })
}

/** Llama 3.1: short wavelengths stay, long ones are divided by `factor`, those between are blended. */
function stretchSlow(frequency: number, scaling: Extract<RopeScaling, { type: 'llama3' }>): number {
  const {
    factor,
    lowFrequencyFactor: low,
    highFrequencyFactor: high,
    originalMaxPositions: original,
  } = scaling
  const wavelength = (2 * Math.PI) / frequency
  if (wavelength < original / high) return frequency
  if (wavelength > original / low) return frequency / factor
  const blend = (original / wavelength - low) / (high - low)
  return (1 - blend) * (frequency / factor) + blend * frequency
}

/** NTK-aware: theta grows with the text so that the slowest frequency is interpolated and the fastest stays. */
function stretchedTheta(
  { headDim, ropeTheta }: RotaryConfig,
  { factor, originalMaxPositions }: Extract<RopeScaling, { type: 'dynamic' }>,
  context: number,
): number {
  const length = Math.max(context, originalMaxPositions)
  return ropeTheta * ((factor * length) / originalMaxPositions - (factor - 1)) ** (headDim / (headDim - 2))
}

/**
 * YaRN: the share of each frequency that is kept. Those that turn more than `betaFast` times within the original length
 * stay, those below `betaSlow` turns are interpolated, with a straight line over the dimensions between.
 */
function keptShares(
  { headDim, ropeTheta }: RotaryConfig,
  scaling: Extract<RopeScaling, { type: 'yarn' }>,
): readonly number[] {
  const { originalMaxPositions: original, betaFast, betaSlow, truncate } = scaling
  const dimensionOf = (turns: number) =>
    (headDim * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(ropeTheta))
  const [fast, slow] = [dimensionOf(betaFast), dimensionOf(betaSlow)]
  const low = Math.max(truncate ? Math.floor(fast) : fast, 0)
  const high = Math.min(truncate ? Math.ceil(slow) : slow, headDim - 1)
  const width = high === low ? 0.001 : high - low
  return Array.from({ length: headDim / 2 }, (_, j) => 1 - Math.min(1, Math.max(0, (j - low) / width)))
}
