/**
 * The fused ops once more, in plain float64 loops written from their definitions: what the contract suite holds every
 * backend to. Gradients come from central differences, so that no formula of a backward pass is used twice.
 */

export type Values = ArrayLike<number>

/** a [m,k] or its transpose times b [k,n] or its transpose. */
export function product(
  a: Values,
  b: Values,
  [m, k, n]: readonly [number, number, number],
  { transposeA = false, transposeB = false } = {},
): Float64Array {
  const c = new Float64Array(m * n)
  for (let i = 0; i < m; i++)
    for (let j = 0; j < n; j++)
      for (let l = 0; l < k; l++)
        c[i * n + j]! += a[transposeA ? l * m + i : i * k + l]! * b[transposeB ? j * k + l : l * n + j]!
  return c
}

export const plus = (a: Values, b: Values, factor = 1): Float64Array =>
  Float64Array.from(a, (x, i) => x + factor * b[i]!)

export const withBias = (y: Values, bias: Values): Float64Array =>
  Float64Array.from(y, (x, i) => x + bias[i % bias.length]!)

export function rmsNorm(x: Values, gain: Values, epsilon: number): Float64Array {
  const width = gain.length
  return Float64Array.from(x, (value, i) => {
    const row = Math.floor(i / width) * width
    let squares = 0
    for (let j = 0; j < width; j++) squares += x[row + j]! ** 2
    return (value / Math.sqrt(squares / width + epsilon)) * gain[i - row]!
  })
}

export function rope(
  x: Values,
  cos: Values,
  sin: Values,
  { sequence, heads, headDim }: { sequence: number; heads: number; headDim: number },
): Float64Array {
  const half = headDim / 2
  const width = heads * headDim
  return Float64Array.from(x, (value, i) => {
    const position = Math.floor(i / width) % sequence
    const inHead = i % headDim
    const angle = position * half + (inHead % half)
    return inHead < half
      ? value * cos[angle]! - x[i + half]! * sin[angle]!
      : value * cos[angle]! + x[i - half]! * sin[angle]!
  })
}

/** 0 or 1 for each entry: 1 where mix(mix(i ⊕ k₀) + k₁) is at least p · 2³², in integers of any size. */
export function dropoutMask(keys: Int32Array, size: number, probability: number): Float64Array {
  const bits = (n: bigint) => BigInt.asUintN(32, n)
  const mix = (n: bigint) => {
    const once = bits((n ^ (n >> 16n)) * 0x7feb352dn)
    const twice = bits((once ^ (once >> 15n)) * 0x846ca68bn)
    return twice ^ (twice >> 16n)
  }
  return Float64Array.from({ length: (size * keys.length) / 2 }, (_, place) => {
    const example = Math.floor(place / size)
    const [first, second] = [bits(BigInt(keys[2 * example]!)), bits(BigInt(keys[2 * example + 1]!))]
    const word = mix(bits(mix(BigInt(place % size) ^ first) + second))
    return Number(word) < probability * 2 ** 32 ? 0 : 1
  })
}

/**
 * MoRA, entry by entry: output j of a row is entry j mod w of the products of its compressed blocks, which stand side by
 * side; there are ⌈m/h⌉ of them, each rotated (type 6), or one, their sum (type 1).
 */
export function mora(
  x: Values,
  square: Values,
  [rows, m, n, h]: readonly [number, number, number, number],
  tables?: { cos: Values; sin: Values },
): Float64Array {
  const blocks = Math.ceil(m / h)
  const out = new Float64Array(rows * n)
  for (let row = 0; row < rows; row++) {
    const padded = Float64Array.from({ length: blocks * h }, (_, c) => x[row * m + (c % m)]!)
    const compressed = tables
      ? rope(padded, tables.cos, tables.sin, { sequence: blocks, heads: 1, headDim: h })
      : Float64Array.from({ length: h }, (_, j) =>
          padded.reduce((sum, v, c) => sum + (c % h === j ? v : 0), 0),
        )
    const products = product(compressed, square, [compressed.length / h, h, h])
    for (let j = 0; j < n; j++) out[row * n + j] = products[j % products.length]!
  }
  return out
}

export interface OracleAttention {
  batch: number
  sequence: number
  heads: number
  keyValueHeads: number
  headDim: number
  window?: number
}

export function attention(q: Values, k: Values, v: Values, shape: OracleAttention): Float64Array {
  const { batch, sequence, heads, keyValueHeads, headDim, window = sequence } = shape
  const out = new Float64Array(batch * sequence * heads * headDim)
  for (let b = 0; b < batch; b++)
    for (let h = 0; h < heads; h++)
      for (let i = 0; i < sequence; i++) {
        const at = (row: number, head: number, of: number) => ((b * sequence + row) * of + head) * headDim
        const group = Math.floor(h / (heads / keyValueHeads))
        const first = Math.max(0, i - window + 1)
        attendOne(
          (d) => q[at(i, h, heads) + d]!,
          (j, d) => k[at(j, group, keyValueHeads) + d]!,
          (j, d) => v[at(j, group, keyValueHeads) + d]!,
          { first, last: i, headDim },
          (d, value) => {
            out[at(i, h, heads) + d] = value
          },
        )
      }
  return out
}

/** One query per sequence against rows max(0, length - window) to length - 1 of its cache [B,C,G*hd]. */
export function cachedAttention(
  q: Values,
  keys: Values,
  values: Values,
  lengths: readonly number[],
  shape: Omit<OracleAttention, 'batch' | 'sequence'> & { capacity: number },
): Float64Array {
  const { capacity, heads, keyValueHeads, headDim, window = capacity } = shape
  const out = new Float64Array(lengths.length * heads * headDim)
  for (const [b, length] of lengths.entries())
    for (let h = 0; h < heads; h++) {
      const group = Math.floor(h / (heads / keyValueHeads))
      const at = (row: number) => ((b * capacity + row) * keyValueHeads + group) * headDim
      const query = (b * heads + h) * headDim
      attendOne(
        (d) => q[query + d]!,
        (j, d) => keys[at(j) + d]!,
        (j, d) => values[at(j) + d]!,
        { first: Math.max(0, length - window), last: length - 1, headDim },
        (d, value) => {
          out[query + d] = value
        },
      )
    }
  return out
}

function attendOne(
  q: (d: number) => number,
  k: (row: number, d: number) => number,
  v: (row: number, d: number) => number,
  { first, last, headDim }: { first: number; last: number; headDim: number },
  store: (d: number, value: number) => void,
): void {
  const scores: number[] = []
  for (let j = first; j <= last; j++) {
    let score = 0
    for (let d = 0; d < headDim; d++) score += q(d) * k(j, d)
    scores.push(score / Math.sqrt(headDim))
  }
  const norm = logSumExp(scores)
  for (let d = 0; d < headDim; d++) {
    let value = 0
    for (const [i, score] of scores.entries()) value += Math.exp(score - norm) * v(first + i, d)
    store(d, value)
  }
}

export const swiglu = (gate: Values, up: Values): Float64Array =>
  Float64Array.from(gate, (g, i) => (g / (1 + Math.exp(-g))) * up[i]!)

export function embedding(ids: Values, table: Values, width: number): Float64Array {
  return Float64Array.from(
    { length: ids.length * width },
    (_, i) => table[ids[Math.floor(i / width)]! * width + (i % width)]!,
  )
}

/** ce_i per row, 0 where the target is -100. */
export function perTokenLoss(x: Values, head: Values, targets: Values, width: number): Float64Array {
  const rows = targets.length
  const vocabulary = head.length / width
  const logits = product(x, head, [rows, width, vocabulary], { transposeB: true })
  return Float64Array.from(targets, (target, row) => {
    if (target === -100) return 0
    const scores = logits.subarray(row * vocabulary, (row + 1) * vocabulary)
    return logSumExp(scores) - scores[target]!
  })
}

export const dot = (a: Values, b: Values): number => {
  let total = 0
  for (let i = 0; i < a.length; i++) total += a[i]! * b[i]!
  return total
}

function logSumExp(scores: ArrayLike<number>): number {
  let highest = Number.NEGATIVE_INFINITY
  for (let i = 0; i < scores.length; i++) highest = Math.max(highest, scores[i]!)
  let total = 0
  for (let i = 0; i < scores.length; i++) total += Math.exp(scores[i]! - highest)
  return highest + Math.log(total)
}

/** One step of Adam for element i: moves the moments m and v and returns the change. */
export function adamDelta(
  m: Float64Array,
  v: Float64Array,
  i: number,
  gradient: number,
  settings: { learningRate: number; beta1: number; beta2: number; epsilon: number; step: number },
): number {
  const { learningRate, beta1, beta2, epsilon, step } = settings
  m[i] = beta1 * m[i]! + (1 - beta1) * gradient
  v[i] = beta2 * v[i]! + (1 - beta2) * gradient ** 2
  const first = m[i]! / (1 - beta1 ** step)
  const second = v[i]! / (1 - beta2 ** step)
  return (-learningRate * first) / (Math.sqrt(second) + epsilon)
}

/**
 * Elements of the gradient of f at x, all of them or those at the given places, by the five-point central difference;
 * x is restored. Error about 1e-11 for a function in float64.
 */
export function numericGradient(
  f: () => number,
  x: Float64Array,
  places: readonly number[] = Array.from(x, (_, i) => i),
  step = 1e-3,
): Float64Array {
  return Float64Array.from(places, (place) => {
    const value = x[place]!
    const at = (offset: number) => {
      x[place] = value + offset
      return f()
    }
    const slope = (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step)
    x[place] = value
    return slope
  })
}
