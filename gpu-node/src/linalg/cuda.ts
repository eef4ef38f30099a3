/**
 * Linear algebra by cuSOLVER and cuBLAS in float64 on the GPU that this process trains on, beside training
 * (kernels/cuda/host/linear-algebra.c). Thin QRs, of matrices with few columns, and whatever the GPU has no memory for are
 * computed on the CPU, by the sibling that this machine has.
 */
import koffi from 'koffi'
import { findHostLibrary } from '../../kernels/cuda/host-library.ts'
import type { FloatArray, LinearAlgebra, MultiplyShape, ThinSvd } from './linear-algebra.ts'
import { assertFinite, assertSize, transpose } from './matrix.ts'

/** Statuses of kernels/cuda/host/device.h after which the CPU computes instead. */
const outOfMemory = 2
const notConverged = 4

interface Functions {
  check(status: number): 'done' | 'on the CPU'
  singularValues(s: Float64Array, a: Float64Array, rows: number, columns: number): number
  svd(
    u: Float64Array,
    s: Float64Array,
    vt: Float64Array,
    a: Float64Array,
    rows: number,
    columns: number,
  ): number
  multiply(
    out: Float64Array,
    left: Float64Array,
    right: Float64Array,
    ...shape: [rows: number, inner: number, columns: number, transposeLeft: number, transposeRight: number]
  ): number
  topEigen(
    values: Float64Array,
    vectors: Float64Array,
    symmetric: Float64Array,
    order: number,
    count: number,
  ): number
}

/** The GPU's sibling over one for the CPU, or the reason why this process has none. */
export function createCuda(onCpu: () => LinearAlgebra): LinearAlgebra | { readonly missing: string } {
  const functions = bind()
  if ('missing' in functions) return functions
  const cpu = onCpu()
  return {
    name: 'cuda',
    description: `cuSOLVER; thin QRs by ${cpu.name}: ${cpu.description}`,
    setThreads: (count) => cpu.setThreads(count),
    svd: (a, rows, columns) => svd(functions, cpu, a, rows, columns),
    singularValues: (a, rows, columns) => singularValues(functions, cpu, a, rows, columns),
    qr: (a, rows, columns) => cpu.qr(a, rows, columns),
    multiply: (left, right, shape) => multiply(functions, cpu, left, right, shape),
    gram: (a, rows, columns) =>
      multiply(functions, cpu, a, a, { rows, inner: columns, columns: rows, transposeRight: true }),
    topEigen: (symmetric, order, count) => topEigen(functions, cpu, symmetric, order, count),
  }
}

function bind(): Functions | { readonly missing: string } {
  const host = findHostLibrary()
  if ('missing' in host) return host
  // The process has loaded it already where it trains on a GPU; its state is shared by all threads.
  const library = koffi.load(host.path)
  const lastError = library.func('const char *rs_last_error()') as () => string
  if (library.func('int rs_linear_algebra()')() !== 0) return { missing: lastError() }
  const call = (name: string, ...types: string[]) => library.func(name, 'int', types)
  return {
    check(status) {
      if (status === 0) return 'done'
      if (status === outOfMemory || status === notConverged) return 'on the CPU'
      throw new Error(`linear algebra on the GPU: ${lastError()}`)
    },
    singularValues: call('rs_singular_values', 'void *', 'void *', 'int64_t', 'int64_t'),
    svd: call('rs_svd', 'void *', 'void *', 'void *', 'void *', 'int64_t', 'int64_t'),
    multiply: call(
      'rs_multiply_float64',
      ...['void *', 'void *', 'void *', 'int64_t', 'int64_t', 'int64_t', 'int', 'int'],
    ),
    topEigen: call('rs_top_eigen', 'void *', 'void *', 'void *', 'int64_t', 'int64_t'),
  } as Functions
}

const double = (a: FloatArray): Float64Array => (a instanceof Float64Array ? a : Float64Array.from(a))

function singularValues(
  functions: Functions,
  cpu: LinearAlgebra,
  a: FloatArray,
  rows: number,
  columns: number,
): Float64Array {
  assertFinite(a, rows, columns)
  const d = Math.min(rows, columns)
  const s = new Float64Array(d)
  if (d === 0) return s
  const wide = rows > columns ? transpose(double(a), rows, columns) : double(a)
  const status = functions.singularValues(s, wide, d, Math.max(rows, columns))
  return functions.check(status) === 'done' ? s : cpu.singularValues(a, rows, columns)
}

function svd<A extends FloatArray>(
  functions: Functions,
  cpu: LinearAlgebra,
  a: A,
  rows: number,
  columns: number,
): ThinSvd<A> {
  assertFinite(a, rows, columns)
  const [d, longer] = [Math.min(rows, columns), Math.max(rows, columns)]
  if (d === 0) return cpu.svd(a, rows, columns)
  const wide = rows > columns ? transpose(double(a), rows, columns) : double(a)
  const [short, s, long] = [new Float64Array(d * d), new Float64Array(d), new Float64Array(d * longer)]
  if (functions.check(functions.svd(short, s, long, wide, d, longer)) !== 'done')
    return cpu.svd(a, rows, columns)
  const ofLonger = transpose(long, d, longer)
  const [u, v] = rows > columns ? [ofLonger, short] : [short, ofLonger]
  const as = (values: Float64Array) => (a instanceof Float64Array ? values : Float32Array.from(values)) as A
  return { u: as(u), s: as(s), v: as(v) }
}

function multiply(
  functions: Functions,
  cpu: LinearAlgebra,
  left: Float64Array,
  right: Float64Array,
  shape: MultiplyShape,
): Float64Array {
  const { rows, inner, columns, transposeLeft = false, transposeRight = false } = shape
  assertSize(left, rows, inner)
  assertSize(right, inner, columns)
  const out = new Float64Array(rows * columns)
  if (out.length === 0 || inner === 0) return out
  const flags = [transposeLeft ? 1 : 0, transposeRight ? 1 : 0] as const
  const status = functions.multiply(out, left, right, rows, inner, columns, ...flags)
  return functions.check(status) === 'done' ? out : cpu.multiply(left, right, shape)
}

function topEigen(
  functions: Functions,
  cpu: LinearAlgebra,
  symmetric: Float64Array,
  order: number,
  count: number,
) {
  assertFinite(symmetric, order, order)
  const [values, rows] = [new Float64Array(count), new Float64Array(count * order)]
  if (count === 0) return { values, vectors: rows }
  if (functions.check(functions.topEigen(values, rows, symmetric, order, count)) !== 'done')
    return cpu.topEigen(symmetric, order, count)
  // They come in ascending order, one vector after the other.
  const vectors = new Float64Array(order * count)
  for (let place = 0; place < count; place++) {
    const from = (count - 1 - place) * order
    for (let i = 0; i < order; i++) vectors[i * count + place] = rows[from + i]!
  }
  return { values: values.reverse(), vectors }
}
