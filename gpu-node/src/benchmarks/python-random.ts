/**
 * Python's `random.Random(seed).sample`, number for number: which examples a few-shot prompt of lm-eval holds is decided by
 * it. Mersenne Twister MT19937 (Matsumoto and Nishimura 1998), seeded by its `init_by_array` with the seed's one word.
 */

const size = 624
const middle = 397

export class PythonRandom {
  readonly #words = new Uint32Array(size)
  #next = size

  /** `seed`: below 2^32. */
  constructor(seed: number) {
    const words = this.#words
    words[0] = 19_650_218
    for (let i = 1; i < size; i++) words[i] = Math.imul(1_812_433_253, mixed(words[i - 1]!)) + i
    let at = 1
    const turn = () => {
      if (++at < size) return
      words[0] = words[size - 1]!
      at = 1
    }
    for (let count = 0; count < size; count++) {
      words[at] = (words[at]! ^ Math.imul(mixed(words[at - 1]!), 1_664_525)) + seed
      turn()
    }
    for (let count = 1; count < size; count++) {
      words[at] = (words[at]! ^ Math.imul(mixed(words[at - 1]!), 1_566_083_941)) - at
      turn()
    }
    words[0] = 0x8000_0000
  }

  /** `count` different items in the order drawn. */
  sample<T>(items: readonly T[], count: number): T[] {
    // Python copies short lists and shuffles their end away; of long ones it remembers what was drawn.
    let few = 21
    if (count > 5) few += 4 ** Math.ceil(Math.log(count * 3) / Math.log(4))
    if (items.length <= few) {
      const pool = [...items]
      return Array.from({ length: count }, (_, drawn) => {
        const last = pool.length - drawn - 1
        const at = this.#below(last + 1)
        const found = pool[at]!
        pool[at] = pool[last]!
        return found
      })
    }
    const drawn = new Set<number>()
    while (drawn.size < count) drawn.add(this.#below(items.length))
    return [...drawn].map((at) => items[at]!)
  }

  /** Uniform in 0..n-1: as many leading bits as n has, drawn again while too large. */
  #below(n: number): number {
    const unused = Math.clz32(n)
    for (;;) {
      const value = this.#uint32() >>> unused
      if (value < n) return value
    }
  }

  #uint32(): number {
    if (this.#next === size) this.#renew()
    let y = this.#words[this.#next++]!
    y ^= y >>> 11
    y ^= (y << 7) & 0x9d2c_5680
    y ^= (y << 15) & 0xefc6_0000
    return (y ^ (y >>> 18)) >>> 0
  }

  #renew(): void {
    const words = this.#words
    for (let i = 0; i < size; i++) {
      const y = (words[i]! & 0x8000_0000) | (words[(i + 1) % size]! & 0x7fff_ffff)
      words[i] = words[(i + middle) % size]! ^ (y >>> 1) ^ (y & 1 ? 0x9908_b0df : 0)
    }
    this.#next = 0
  }
}

function mixed(word: number): number {
  return (word ^ (word >>> 30)) >>> 0
}
