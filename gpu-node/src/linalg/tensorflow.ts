/**
 * Linear algebra by the raw ops of libtensorflow (MatMul, Qr, Svd, SelfAdjointEigV2), on its GPU where it has one: for
 * machines without LAPACK.
 *
 * TensorFlow.js has no float64, but the library has: a float64 matrix goes in as float32 pairs of the same bits, and
 * the op Bitcast gives them their type. So results are as exact as LAPACK's, and serve spectra as well.
 */
import { availableParallelism } from 'node:os'
import { setCEnvironment } from '../native-libraries/openblas-environment.ts'
import { loadTensorflowBinding, type TensorflowBinding } from '../native-libraries/tensorflow-package.ts'
import type { FloatArray, LinearAlgebra, MultiplyShape, ThinSvd } from './linear-algebra.ts'
import { assertFinite, assertSize, leadingColumns, mirrorLower } from './matrix.ts'

/** TF_DOUBLE of TensorFlow's C interface, which the binding does not export. */
const float64 = 2

/** The TensorFlow sibling, or the reason why this machine has none. */
export function createTensorflow(): LinearAlgebra | { readonly missing: string } {
  if (process.env['TF_CPP_MIN_LOG_LEVEL'] === undefined) setCEnvironment({ TF_CPP_MIN_LOG_LEVEL: '2' })
  const loaded = loadTensorflowBinding()
  if ('missing' in loaded) return loaded
  const { module: binding, name } = loaded
  const ops = new RawOps(binding)
  return {
    name: 'tensorflow',
    description: `libtensorflow ${binding.TF_Version} (${name}, ${binding.isUsingGpuDevice() ? 'GPU' : 'CPU'})`,
    // Settled when the library was loaded.
    setThreads: () => Number(process.env['TF_NUM_INTRAOP_THREADS'] ?? availableParallelism()),
    svd: (a, rows, columns) => svd(ops, a, rows, columns),
    singularValues: (a, rows, columns) => singularValues(ops, a, rows, columns),
    qr: (a, rows, columns) => qr(ops, a, rows, columns),
    multiply: (left, right, shape) => multiply(ops, left, right, shape),
    gram(a, rows, columns) {
      const shape = { rows, inner: columns, columns: rows, transposeRight: true }
      const product = multiply(ops, a, a, shape)
      mirrorLower(product, rows)
      return product
    },
    topEigen: (symmetric, order, count) => topEigen(ops, symmetric, order, count),
  }
}

/** A matrix as libtensorflow gets it. */
interface Matrix {
  readonly values: FloatArray
  readonly rows: number
  readonly columns: number
}

/** Runs one op on matrices of one type; what it makes on the way is freed. */
class RawOps {
  readonly #binding: TensorflowBinding

  constructor(binding: TensorflowBinding) {
    this.#binding = binding
  }

  run<A extends FloatArray>(
    op: string,
    inputs: readonly (Matrix & { readonly values: A })[],
    options: Readonly<Record<string, boolean>>,
    outputs: number,
  ): A[] {
    const { TF_ATTR_BOOL, TF_FLOAT } = this.#binding
    const isDouble = inputs[0]!.values instanceof Float64Array
    const attributes = [
      this.#typeAttribute('T', isDouble ? float64 : TF_FLOAT),
      ...Object.entries(options).map(([name, value]) => ({ name, type: TF_ATTR_BOOL, value })),
    ]
    const held: number[] = []
    try {
      for (const input of inputs) held.push(this.#upload(input))
      const results = this.#binding.executeOp(op, attributes, held, outputs).map(({ id }) => id)
      held.push(...results)
      return results.map(
        (id) => (isDouble ? this.#downloadDouble(id) : this.#binding.tensorDataSync(id)) as A,
      )
    } finally {
      for (const id of held) this.#binding.deleteTensor(id)
    }
  }

  #upload({ values, rows, columns }: Matrix): number {
    const { TF_FLOAT } = this.#binding
    // The library keeps the memory that it is given: its own copy, since the caller may change or send away the array.
    if (values instanceof Float32Array)
      return this.#binding.createTensor([rows, columns], TF_FLOAT, values.slice())
    const pairs = new Float32Array(values.slice().buffer)
    const id = this.#binding.createTensor([rows, columns, 2], TF_FLOAT, pairs)
    const double = this.#bitcast(id, TF_FLOAT, float64)
    this.#binding.deleteTensor(id)
    return double
  }

  #downloadDouble(id: number): Float64Array {
    const pairs = this.#bitcast(id, float64, this.#binding.TF_FLOAT)
    const floats = this.#binding.tensorDataSync(pairs)
    this.#binding.deleteTensor(pairs)
    return new Float64Array(floats.buffer.slice(floats.byteOffset, floats.byteOffset + floats.byteLength))
  }

  #bitcast(id: number, from: number, to: number): number {
    const attributes = [this.#typeAttribute('T', from), this.#typeAttribute('type', to)]
    return this.#binding.executeOp('Bitcast', attributes, [id], 1)[0]!.id
  }

  #typeAttribute(name: string, value: number) {
    return { name, type: this.#binding.TF_ATTR_TYPE, value }
  }
}

function svd<A extends FloatArray>(ops: RawOps, a: A, rows: number, columns: number): ThinSvd<A> {
  assertFinite(a, rows, columns)
  const input = { values: a, rows, columns }
  const [s, u, v] = ops.run('Svd', [input], { compute_uv: true, full_matrices: false }, 3)
  return { u: u!, s: s!, v: v! }
}

function singularValues(ops: RawOps, a: FloatArray, rows: number, columns: number): Float64Array {
  assertFinite(a, rows, columns)
  // The two outputs for vectors are empty.
  const input = { values: a, rows, columns }
  const [s] = ops.run('Svd', [input], { compute_uv: false, full_matrices: false }, 3)
  return Float64Array.from(s!)
}

function qr(ops: RawOps, a: Float64Array, rows: number, columns: number) {
  assertFinite(a, rows, columns)
  const [q, r] = ops.run('Qr', [{ values: a, rows, columns }], { full_matrices: false }, 2)
  return { q: q!, r: r! }
}

function multiply(ops: RawOps, left: Float64Array, right: Float64Array, shape: MultiplyShape): Float64Array {
  const { rows, inner, columns, transposeLeft = false, transposeRight = false } = shape
  assertSize(left, rows, inner)
  assertSize(right, inner, columns)
  if (rows * inner * columns === 0) return new Float64Array(rows * columns)
  const stored = (values: Float64Array, [height, width]: [number, number], turned: boolean) =>
    turned ? { values, rows: width, columns: height } : { values, rows: height, columns: width }
  const factors = [
    stored(left, [rows, inner], transposeLeft),
    stored(right, [inner, columns], transposeRight),
  ]
  return ops.run('MatMul', factors, { transpose_a: transposeLeft, transpose_b: transposeRight }, 1)[0]!
}

/** All eigenpairs, ascending; the wanted ones are the last. */
function topEigen(ops: RawOps, symmetric: Float64Array, order: number, count: number) {
  assertFinite(symmetric, order, order)
  const input = { values: symmetric, rows: order, columns: order }
  const [ascending, vectors] = ops.run('SelfAdjointEigV2', [input], { compute_v: true }, 2)
  const descending = new Float64Array(order * order)
  for (let i = 0; i < order; i++)
    for (let j = 0; j < order; j++) descending[i * order + j] = vectors![i * order + order - 1 - j]!
  return {
    values: ascending!.toReversed().slice(0, count),
    vectors: leadingColumns(descending, order, order, count),
  }
}
