/**
 * Seeded random numbers: xoshiro128** (Blackman and Vigna 2018), seeded through splitmix32.
 *
 * The same seed gives the same stream on every machine; the whole state can be saved in a checkpoint as JSON
 * and restored. Everything that affects a result draws from here, never from `Math.random`.
 */

/** The whole state of a generator: four 32-bit words (never all zero) and the unused half of a normal pair. */
export interface RandomState {
  readonly words: readonly [number, number, number, number]
  readonly spareNormal: number | null
}

export class Random {
  #a = 0
  #b = 0
  #c = 0
  #d = 0
  #spareNormal: number | null = null

  /** `seed`: any safe integer; all of its bits count. */
  constructor(seed: number) {
    const low = splitmix32(seed | 0)
    const high = splitmix32((Math.floor(seed / 2 ** 32) | 0) ^ 0x5bd1e995)
    this.#a = low() ^ high()
    this.#b = low() ^ high()
    this.#c = low() ^ high()
    this.#d = low() ^ high() || 1
  }

  static restore(state: RandomState): Random {
    const random = new Random(0)
    ;[random.#a, random.#b, random.#c, random.#d] = state.words
    random.#spareNormal = state.spareNormal
    return random
  }

  save(): RandomState {
    const words = [this.#a >>> 0, this.#b >>> 0, this.#c >>> 0, this.#d >>> 0] as const
    return { words, spareNormal: this.#spareNormal }
  }

  /** An independent stream for `label` (a module's name, a purpose); does not advance this one. */
  fork(label: string): Random {
    let hash = (this.#a ^ Math.imul(this.#b, 0x85ebca6b) ^ Math.imul(this.#d, 0xc2b2ae35)) | 0
    for (let i = 0; i < label.length; i++) hash = Math.imul(hash ^ label.charCodeAt(i), 0x01000193)
    return new Random((hash >>> 0) + (this.#c & 0xfffff) * 2 ** 32)
  }

  /** Uniform 32-bit unsigned integer. */
  uint32(): number {
    const result = Math.imul(rotateLeft(Math.imul(this.#b, 5), 7), 9)
    const shifted = this.#b << 9
    this.#c ^= this.#a
    this.#d ^= this.#b
    this.#b ^= this.#c
    this.#a ^= this.#d
    this.#c ^= shifted
    this.#d = rotateLeft(this.#d, 11)
    return result >>> 0
  }

  /** Uniform in [low, high), 53 random bits. */
  uniform(low = 0, high = 1): number {
    const unit = ((this.uint32() >>> 5) * 2 ** 26 + (this.uint32() >>> 6)) / 2 ** 53
    return low + (high - low) * unit
  }

  /** Normal with the given mean and standard deviation (Box and Muller; both halves of a pair are used). */
  normal(mean = 0, standardDeviation = 1): number {
    if (this.#spareNormal !== null) {
      const spare = this.#spareNormal
      this.#spareNormal = null
      return mean + standardDeviation * spare
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()))
    const angle = 2 * Math.PI * this.uniform()
    this.#spareNormal = radius * Math.sin(angle)
    return mean + standardDeviation * radius * Math.cos(angle)
  }

  /** Uniform integer in [low, high), without modulo bias; at most 2^32 values. */
  integer(low: number, high: number): number {
    const count = high - low
    const limit = 2 ** 32 - (2 ** 32 % count)
    for (;;) {
      const draw = this.uint32()
      if (draw < limit) return low + (draw % count)
    }
  }

  /** One of `items`, which must not be empty. */
  pick<T>(items: readonly T[]): T {
    return items[this.integer(0, items.length)] as T
  }

  /** Shuffles in place (Fisher and Yates) and returns the same array. */
  shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.integer(0, i + 1)
      const swapped = items[i] as T
      items[i] = items[j] as T
      items[j] = swapped
    }
    return items
  }

  fillUniform<A extends Float32Array | Float64Array>(target: A, low = 0, high = 1): A {
    for (let i = 0; i < target.length; i++) target[i] = this.uniform(low, high)
    return target
  }

  fillNormal<A extends Float32Array | Float64Array>(target: A, mean = 0, standardDeviation = 1): A {
    for (let i = 0; i < target.length; i++) target[i] = this.normal(mean, standardDeviation)
    return target
  }
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits))
}

function splitmix32(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x9e3779b9) | 0
    let z = state ^ (state >>> 16)
    z = Math.imul(z, 0x21f0aaad)
    z ^= z >>> 15
    z = Math.imul(z, 0x735a2d97)
    return z ^ (z >>> 15)
  }
}
