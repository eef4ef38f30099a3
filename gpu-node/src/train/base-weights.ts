/** The base model's weights W_0 as they were before training, for ΔW = W_T − W_0. */
import type { TargetModule } from '../methods/method.ts'

export class BaseWeights {
  readonly #read: (target: TargetModule) => Float32Array
  readonly #shared = new Map<string, Float32Array>()

  /** `read` gives a fresh array [m, n], e.g. from the model's folder. */
  constructor(read: (target: TargetModule) => Float32Array) {
    this.#read = read
  }

  /** A fresh array, to keep or to hand over. */
  read(target: TargetModule): Float32Array {
    return this.#read(target)
  }

  /** The same array each time, in memory that threads share; for modules that are looked at often. */
  shared(target: TargetModule): Float32Array {
    const known = this.#shared.get(target.name)
    if (known) return known
    const values = this.#read(target)
    const made = new Float32Array(new SharedArrayBuffer(values.byteLength))
    made.set(values)
    this.#shared.set(target.name, made)
    return made
  }
}
