/** Draws that a seed decides, for trials that hurt what they measure. */

export interface Draw {
  /** A number from `least` to `most`. */
  between(least: number, most: number): number
  pick<T>(from: readonly T[]): T | undefined
}

/** mulberry32: small, seeded, and good enough to draw faults. */
export function drawing(seed: number): Draw {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    between: (least, most) => least + next() * (most - least),
    pick: (from) => from[Math.floor(next() * from.length)],
  }
}

/** One of `options`, each as often as its weight says beside the others. */
export function drawWeighted<Name extends string>(
  draw: Draw,
  options: Readonly<Record<Name, { readonly weight: number }>>,
  names = Object.keys(options) as Name[],
): Name {
  let left = draw.between(
    0,
    names.reduce((sum, name) => sum + options[name].weight, 0),
  )
  for (const name of names) {
    left -= options[name].weight
    if (left < 0) return name
  }
  return names[0]!
}
