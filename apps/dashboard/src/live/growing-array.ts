/** An append-only float64 buffer that doubles when full, so that a live run never copies its whole history per point. */
export class GrowingArray {
  #values: Float64Array
  #length = 0

  constructor(capacity = 128) {
    this.#values = new Float64Array(capacity)
  }

  get length(): number {
    return this.#length
  }

  push(value: number): void {
    if (this.#length === this.#values.length) {
      const grown = new Float64Array(this.#values.length * 2)
      grown.set(this.#values)
      this.#values = grown
    }
    this.#values[this.#length++] = value
  }

  /** Value at an index inside the length; a bad index is a defect of ours. */
  at(index: number): number {
    return this.#values[index]!
  }

  set(index: number, value: number): void {
    this.#values[index] = value
  }

  /** Forget everything from `length` on. */
  truncate(length: number): void {
    this.#length = Math.min(length, this.#length)
  }

  /** The values themselves, not a copy; valid until the next push. */
  view(): Float64Array {
    return this.#values.subarray(0, this.#length)
  }
}
