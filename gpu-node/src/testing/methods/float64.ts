/** For tests: small dense matrices in float64, and Adam on them, written for plainness; what methods are held against. */

export interface Matrix {
  readonly rows: number
  readonly columns: number
  readonly values: Float64Array
}

export function matrix(values: ArrayLike<number>, rows: number, columns: number): Matrix {
  if (values.length !== rows * columns)
    throw new Error(`${values.length} values are not ${rows} x ${columns}`)
  return { rows, columns, values: Float64Array.from(values) }
}

export function zeros(rows: number, columns: number): Matrix {
  return matrix(new Float64Array(rows * columns), rows, columns)
}

export function multiply(a: Matrix, b: Matrix): Matrix {
  const result = new Float64Array(a.rows * b.columns)
  for (let i = 0; i < a.rows; i++)
    for (let k = 0; k < a.columns; k++)
      for (let j = 0; j < b.columns; j++)
        result[i * b.columns + j]! += a.values[i * a.columns + k]! * b.values[k * b.columns + j]!
  return { rows: a.rows, columns: b.columns, values: result }
}

export function transposed({ rows, columns, values }: Matrix): Matrix {
  const result = values.map((_, index) => values[(index % rows) * columns + Math.floor(index / rows)]!)
  return { rows: columns, columns: rows, values: result }
}

export function combine(a: Matrix, b: Matrix, f: (x: number, y: number) => number): Matrix {
  return { ...a, values: a.values.map((value, i) => f(value, b.values[i]!)) }
}

export const plus = (a: Matrix, b: Matrix, factor = 1): Matrix => combine(a, b, (x, y) => x + factor * y)
export const minus = (a: Matrix, b: Matrix): Matrix => combine(a, b, (x, y) => x - y)
export const times = (a: Matrix, factor: number): Matrix => ({
  ...a,
  values: a.values.map((x) => x * factor),
})
export const hadamard = (a: Matrix, b: Matrix): Matrix => combine(a, b, (x, y) => x * y)

export function norm({ values }: Pick<Matrix, 'values'>): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0))
}

/** ‖a − b‖ / ‖b‖ */
export function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [error, size] = [0, 0]
  for (let i = 0; i < b.length; i++) {
    error += (a[i]! - b[i]!) ** 2
    size += b[i]! ** 2
  }
  return Math.sqrt(error / (size || 1))
}

/** Contiguous parts of equal size, each a matrix: the slices of a [K, rows, columns] tensor. */
export function slices(values: ArrayLike<number>, count: number, rows: number, columns: number): Matrix[] {
  const size = rows * columns
  return Array.from({ length: count }, (_, k) =>
    matrix(
      Array.from({ length: size }, (__, i) => values[k * size + i]!),
      rows,
      columns,
    ),
  )
}

export interface AdamOptions {
  readonly beta1?: number
  readonly beta2?: number
  readonly epsilon?: number
}

/** Adam as torch computes it, on one matrix: `delta` gives −η m̂ / (√v̂ + ε) and moves the moments. */
export class Adam {
  readonly #options: Required<AdamOptions>
  #m: Matrix | null = null
  #v: Matrix | null = null
  #step = 0

  constructor({ beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 }: AdamOptions = {}) {
    this.#options = { beta1, beta2, epsilon }
  }

  delta(gradient: Matrix, learningRate: number): Matrix {
    const { beta1, beta2, epsilon } = this.#options
    this.#step++
    this.#m = plus(times(this.#m ?? times(gradient, 0), beta1), gradient, 1 - beta1)
    this.#v = plus(times(this.#v ?? times(gradient, 0), beta2), hadamard(gradient, gradient), 1 - beta2)
    const [first, second] = [1 - beta1 ** this.#step, 1 - beta2 ** this.#step]
    return combine(
      this.#m,
      this.#v,
      (m, v) => (-learningRate * (m / first)) / (Math.sqrt(v / second) + epsilon),
    )
  }
}

/** The quadratic loss of a toy layer for one device: G = factor (X W − T), D = Xᵀ G. */
export function denseGradient(x: Matrix, w: Matrix, t: Matrix, factor: number): { g: Matrix; d: Matrix } {
  const g = times(minus(multiply(x, w), t), factor)
  return { g, d: multiply(transposed(x), g) }
}

export function quadratic(x: Matrix, w: Matrix, t: Matrix, factor: number): number {
  return 0.5 * factor * norm(minus(multiply(x, w), t)) ** 2
}
