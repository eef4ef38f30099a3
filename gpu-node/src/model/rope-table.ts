/**
 * Cosines and sines of rotary position embeddings (Su et al. 2021), half-split as in Hugging Face's Llama,
 * with Llama 3.1's frequency scaling. Angles are formed in float64.
 */
import { keep, type Tensor2D, tensor2d } from '@tensorflow/tfjs-core'
import type { LlamaConfig, RopeScaling } from './config.ts'

export interface RopeTable {
  /** [positions, headDim/2] */
  readonly cos: Tensor2D
  readonly sin: Tensor2D
}

/** Tables of one model. The one for positions 0, 1, 2, … is kept and grows; `dispose` frees it. */
export class RopeTables {
  readonly #frequencies: Float64Array
  #table: RopeTable | null = null

  constructor(config: Pick<LlamaConfig, 'headDim' | 'ropeTheta' | 'ropeScaling'>) {
    this.#frequencies = ropeFrequencies(config)
  }

  /** Rows 0 to at least `sequence` - 1; owned by this object. */
  upTo(sequence: number): RopeTable {
    const rows = this.#table?.cos.shape[0] ?? 0
    if (this.#table && rows >= sequence) return this.#table
    const { cos, sin } = this.at(
      Int32Array.from({ length: Math.max(sequence, 2 * rows) }, (_, position) => position),
    )
    this.dispose()
    this.#table = { cos: keep(cos), sin: keep(sin) }
    return this.#table
  }

  /** One row per given position; owned by the caller. */
  at(positions: Int32Array): RopeTable {
    const half = this.#frequencies.length
    const cos = new Float32Array(positions.length * half)
    const sin = new Float32Array(positions.length * half)
    for (let row = 0; row < positions.length; row++) {
      for (let j = 0; j < half; j++) {
        const angle = (positions[row] as number) * (this.#frequencies[j] as number)
        cos[row * half + j] = Math.cos(angle)
        sin[row * half + j] = Math.sin(angle)
      }
    }
    const shape: [number, number] = [positions.length, half]
    return { cos: tensor2d(cos, shape), sin: tensor2d(sin, shape) }
  }

  dispose(): void {
    this.#table?.cos.dispose()
    this.#table?.sin.dispose()
    this.#table = null
  }
}

/** Angular frequency of each of the headDim/2 rotated pairs, in radians per position. */
export function ropeFrequencies(
  config: Pick<LlamaConfig, 'headDim' | 'ropeTheta' | 'ropeScaling'>,
): Float64Array {
  const frequencies = new Float64Array(config.headDim / 2)
  for (let j = 0; j < frequencies.length; j++) {
    const frequency = config.ropeTheta ** ((-2 * j) / config.headDim)
    frequencies[j] = config.ropeScaling ? scaleFrequency(frequency, config.ropeScaling) : frequency
  }
  return frequencies
}

/** Llama 3.1: short wavelengths stay, long ones are divided by `factor`, those between are blended. */
function scaleFrequency(frequency: number, scaling: RopeScaling): number {
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
