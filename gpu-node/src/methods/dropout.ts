/**
 * Dropout of an adapter's input. Masks are a function of (seed, step, micro-batch, module, device, example) alone: a resumed
 * run, a recomputed block and K processes in place of K virtual devices all drop the same entries.
 */
import { type Tensor2D, tensor2d } from '@tensorflow/tfjs-core'
import type { Collective } from '../collectives/collective.ts'
import { Random } from '../random.ts'
import { timesConstant } from './elementwise.ts'
import type { PassPosition } from './method.ts'

export class Dropout {
  readonly #probability: number
  readonly #devices: number
  readonly #random: Random
  readonly #collective: Collective | null
  #position: PassPosition = { step: 1, microBatch: 0, sequence: 1 }

  /** `probability` of an entry to become zero; the others are divided by 1 − probability. */
  constructor(probability: number, devices: number, seed: number, collective: Collective | null = null) {
    this.#probability = probability
    this.#collective = collective
    this.#devices = collective ? 1 : devices
    this.#random = new Random(seed).fork('dropout')
  }

  get active(): boolean {
    return this.#probability > 0
  }

  beginPass(position: PassPosition): void {
    this.#position = position
  }

  /** x with entries dropped; differentiable. */
  apply(module: string, x: Tensor2D): Tensor2D {
    if (!this.active) return x
    const [rows, columns] = x.shape
    return timesConstant(x, tensor2d(this.mask(module, rows, columns), [rows, columns]))
  }

  /**
   * 0 or 1 / (1 − p) for each entry of [rows, columns], rows of device k contiguous and in examples of `sequence` rows.
   * Each example draws from the start of a stream of its own, so that the width of its padding does not matter.
   */
  mask(module: string, rows: number, columns: number, sequence = this.#position.sequence): Float32Array {
    const { step, microBatch } = this.#position
    const kept = 1 / (1 - this.#probability)
    const threshold = this.#probability * 2 ** 32
    const mask = new Float32Array(rows * columns)
    const perExample = sequence * columns
    const examples = rows / sequence / this.#devices
    for (let start = 0; start < mask.length; start += perExample) {
      const number = start / perExample
      const device = Math.floor(number / examples) + (this.#collective?.rank ?? 0)
      const random = this.#random.fork(`${step}/${microBatch}/${module}/${device}/${number % examples}`)
      for (let i = start; i < start + perExample; i++) mask[i] = random.uint32() < threshold ? 0 : kept
    }
    return mask
  }
}
