/** Seeded chance: the same seed sends the same bytes. */

export class Chance {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** 0 ≤ … < 1, 32 bits (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** 0 … below − 1. */
  below(below: number): number {
    return Math.floor(this.next() * below)
  }

  is(share: number): boolean {
    return this.next() < share
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256))
  }
}

/** Doubles at the edges of what formats hold. */
const edges = [
  ...[0, -0, 1, -1, Number.NaN, Infinity, -Infinity, 5e-324, -5e-324, 3.4e38, Number.MAX_VALUE, 0.1],
  ...[7, 8, 15, 16, 31, 32, 53, 63, 64].flatMap((bits) => [
    2 ** bits,
    2 ** bits - 1,
    -(2 ** bits),
    -(2 ** bits) - 1,
  ]),
]
const oddTexts = [
  '',
  ' ',
  '\0',
  'a\0b',
  '\u202e',
  '\ufeff',
  'é',
  '東京',
  '😀',
  '__proto__',
  'constructor',
  '%00',
  '../..',
  '%2e%2e%2f',
  "'; --",
  '<script>',
  'NaN',
  '-1',
  '1e999',
  '\r\n',
]

export function randomNumber(chance: Chance): number {
  if (chance.is(0.3)) return chance.pick(edges)
  if (chance.is(0.5)) return chance.below(2 ** 31) - 2 ** 30
  return new DataView(chance.bytes(8).buffer).getFloat64(0)
}

/** Never a lone surrogate: that is no text. */
export function randomText(chance: Chance, longest = 60): string {
  if (chance.is(0.3)) return chance.pick(oddTexts)
  const alphabet = chance.pick(['abc/_.', 'aé東😀\u0301', '\u0001\u007f\u2028a'])
  const length = chance.is(0.02) ? longest * 40 : chance.below(longest)
  return Array.from({ length }, () => chance.pick([...alphabet])).join('')
}

/** A tree of plain values. */
export function randomValue(chance: Chance, depth = 4): unknown {
  const kind = chance.below(depth > 0 ? 9 : 6)
  if (kind < 2) return randomNumber(chance)
  if (kind < 4) return randomText(chance)
  if (kind === 4) return chance.pick([null, true, false])
  if (kind === 5) return chance.bytes(chance.is(0.03) ? 70_000 : chance.below(40))
  const size = chance.is(0.03) ? 40 : chance.below(6)
  if (kind === 6) return Array.from({ length: size }, () => randomValue(chance, depth - 1))
  const entries = Array.from({ length: size }, () => [randomText(chance, 12), randomValue(chance, depth - 1)])
  return Object.fromEntries(entries.filter(([key]) => key !== '__proto__'))
}

/** A few bytes changed, removed or put in. */
export function mutated(chance: Chance, bytes: Uint8Array): Uint8Array {
  const copy = [...bytes]
  for (let change = chance.below(4) + 1; change > 0; change--) {
    const place = chance.below(copy.length + 1)
    if (chance.is(0.6) && place < copy.length) copy[place] = chance.below(256)
    else if (chance.is(0.5)) copy.splice(place, chance.below(5))
    else copy.splice(place, 0, chance.below(256))
  }
  return Uint8Array.from(copy)
}
