/**
 * Dropout of an adapter's input. Masks are a function of (seed, step, micro-batch, module, device, example) alone: a resumed
 * run, a recomputed block, K processes in place of K virtual devices and every backend drop the same entries.
 */
import type { Tensor2D } from '@tensorflow/tfjs-core'
import type { Collective } from '../collectives/collective.ts'
import { dropout } from '../ops/dropout.ts'
import { type DropoutKeys, drawKey, fillDropoutMask } from '../ops/dropout-mask.ts'
import type { DropoutAttributes } from '../ops/kernels.ts'
import { Random } from '../random.ts'
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
    const attributes = this.attributes(module, x)
    return attributes ? dropout(x, attributes) : x
  }

  /** Which entries of x are dropped, for ops that do it themselves; undefined where none are. */
  attributes(module: string, x: Tensor2D): DropoutAttributes | undefined {
    if (!this.active) return undefined
    return { keys: this.#keys(module, x.shape[0], this.#position.sequence), ...this.#rule }
  }

  /**
   * 0 or 1 / (1 − p) for each entry of [rows, columns], rows of device k contiguous and in examples of `sequence` rows.
   * Each example has a key of its own, so that the width of its padding does not matter.
   */
  mask(module: string, rows: number, columns: number, sequence = this.#position.sequence): Float32Array {
    const mask = new Float32Array(rows * columns)
    fillDropoutMask(mask, this.#keys(module, rows, sequence), { size: sequence * columns, ...this.#rule })
    return mask
  }

  get #rule() {
    return { threshold: Math.floor(this.#probability * 2 ** 32), factor: 1 / (1 - this.#probability) }
  }

  #keys(module: string, rows: number, sequence: number): DropoutKeys {
    const { step, microBatch } = this.#position
    const examples = rows / sequence / this.#devices
    return Int32Array.from(
      Array.from({ length: rows / sequence }, (_, number) => {
        const device = Math.floor(number / examples) + (this.#collective?.rank ?? 0)
        const label = `${step}/${microBatch}/${module}/${device}/${number % examples}`
        return drawKey(this.#random.fork(label))
      }).flat(),
    )
  }
}
