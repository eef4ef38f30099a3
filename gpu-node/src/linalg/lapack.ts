/**
 * Linear algebra by a system BLAS/LAPACK.
 *
 * LAPACK is column-major: a row-major a [rows, columns] is, without copying, the column-major aᵀ. So
 * aᵀ = v s uᵀ is decomposed, the returned `VT` is u row-major as it lies, and only `U` must be transposed.
 */
import { findLapack, type LapackLibrary } from './lapack-library.ts'
import type { FloatArray, LinearAlgebra, MultiplyShape, ThinSvd } from './linear-algebra.ts'
import { assertFinite, assertSize, mirrorLower, nonConvergence, transpose } from './matrix.ts'

/** The LAPACK sibling, or the reason why this machine has none. */
export function createLapack(): LinearAlgebra | { readonly missing: string } {
  const library = findLapack()
  if ('missing' in library) return library
  return {
    name: 'lapack',
    description: library.description,
    setThreads: (count) => library.setThreads(count),
    svd: (a, rows, columns) => svd(library, a, rows, columns),
    singularValues: (a, rows, columns) => singularValues(library, a, rows, columns),
    qr: (a, rows, columns) => qr(library, a, rows, columns),
    multiply: (left, right, shape) => multiply(library, left, right, shape),
    gram: (a, rows, columns) => gram(library, a, rows, columns),
    topEigen: (symmetric, order, count) => topEigen(library, symmetric, order, count),
  }
}

const option = (letter: string) => Uint8Array.of(letter.charCodeAt(0))
const integer = (value: number) => Int32Array.of(value)
const real = (value: number) => Float64Array.of(value)

function svd<A extends FloatArray>(lapack: LapackLibrary, a: A, rows: number, columns: number): ThinSvd<A> {
  const d = Math.min(rows, columns)
  const { s, u, vt } = gesdd(lapack, a, rows, columns, 'S')
  return { u: vt as A, s: s as A, v: transpose(u as A, d, columns) }
}

function singularValues(lapack: LapackLibrary, a: FloatArray, rows: number, columns: number): Float64Array {
  return Float64Array.from(gesdd(lapack, a, rows, columns, 'N').s)
}

/** Divide and conquer on aᵀ, and QR iteration for the rare matrix on which that does not converge. */
function gesdd(lapack: LapackLibrary, a: FloatArray, rows: number, columns: number, job: 'S' | 'N') {
  assertFinite(a, rows, columns)
  const make =
    a instanceof Float64Array ? (n: number) => new Float64Array(n) : (n: number) => new Float32Array(n)
  const prefix = a instanceof Float64Array ? 'd' : 's'
  const d = Math.min(rows, columns)
  const s = make(d)
  const u = make(job === 'S' ? columns * d : 1)
  const vt = make(job === 'S' ? d * rows : 1)
  const shape = [integer(columns), integer(rows)] as const
  const outputs = [s, u, integer(columns), vt, integer(job === 'S' ? d : 1)] as const
  const integers = new Int32Array(8 * d)
  const divideAndConquer = (work: FloatArray, length: number) => {
    const info = integer(0)
    const copy = length === -1 ? make(1) : a.slice()
    lapack.routines[`${prefix}gesdd_`](
      ...[option(job), ...shape, copy, integer(columns), ...outputs, work, integer(length), integers, info],
    )
    return info[0]!
  }
  const qrIteration = (work: FloatArray, length: number) => {
    const info = integer(0)
    const copy = length === -1 ? make(1) : a.slice()
    lapack.routines[`${prefix}gesvd_`](
      ...[
        option(job),
        option(job),
        ...shape,
        copy,
        integer(columns),
        ...outputs,
        work,
        integer(length),
        info,
      ],
    )
    return info[0]!
  }
  if (withWorkspace(divideAndConquer, make) !== 0 && withWorkspace(qrIteration, make) !== 0) {
    throw nonConvergence(rows, columns)
  }
  return { s, u, vt }
}

/** LAPACK's two-call habit: length -1 asks for the best workspace, the second call computes. */
function withWorkspace<A extends FloatArray>(
  call: (work: A, length: number) => number,
  make: (n: number) => A,
) {
  const query = make(1)
  call(query, -1)
  // A float32 answer may have been rounded down.
  const length = Math.ceil(query[0]! * (query instanceof Float32Array ? 1.000001 : 1)) + 1
  return call(make(length), length)
}

const makeDouble = (length: number) => new Float64Array(length)

function qr(lapack: LapackLibrary, a: Float64Array, rows: number, columns: number) {
  assertFinite(a, rows, columns)
  const d = Math.min(rows, columns)
  const factors = transpose(a, rows, columns)
  const tau = new Float64Array(d)
  const [m, n, inner] = [integer(rows), integer(columns), integer(d)]
  withWorkspace((work, length) => {
    const info = integer(0)
    lapack.routines.dgeqrf_(m, n, factors, m, tau, work, integer(length), info)
    return info[0]!
  }, makeDouble)
  const r = new Float64Array(d * columns)
  for (let i = 0; i < d; i++) for (let j = i; j < columns; j++) r[i * columns + j] = factors[j * rows + i]!
  withWorkspace((work, length) => {
    const info = integer(0)
    lapack.routines.dorgqr_(m, inner, inner, factors, m, tau, work, integer(length), info)
    return info[0]!
  }, makeDouble)
  return { q: transpose(factors.subarray(0, rows * d), d, rows), r }
}

/** Row-major C = A B is column-major Cᵀ = Bᵀ Aᵀ: the factors swap places. */
function multiply(lapack: LapackLibrary, left: Float64Array, right: Float64Array, shape: MultiplyShape) {
  const { rows, inner, columns, transposeLeft = false, transposeRight = false } = shape
  assertSize(left, rows, inner)
  assertSize(right, inner, columns)
  const product = new Float64Array(rows * columns)
  if (product.length === 0 || inner === 0) return product
  lapack.routines.dgemm_(
    ...[option(transposeRight ? 'T' : 'N'), option(transposeLeft ? 'T' : 'N')],
    ...[integer(columns), integer(rows), integer(inner), real(1)],
    ...[right, integer(transposeRight ? inner : columns), left, integer(transposeLeft ? rows : inner)],
    ...[real(0), product, integer(columns)],
  )
  return product
}

function gram(lapack: LapackLibrary, a: Float64Array, rows: number, columns: number) {
  assertSize(a, rows, columns)
  const product = new Float64Array(rows * rows)
  const [order, inner] = [integer(rows), integer(columns)]
  lapack.routines.dsyrk_(
    ...[option('U'), option('T'), order, inner, real(1), a, inner, real(0), product, order],
  )
  // Column-major upper is row-major lower.
  mirrorLower(product, rows)
  return product
}

/** Householder tridiagonalisation, then just the wanted end of the spectrum. */
function topEigen(lapack: LapackLibrary, symmetric: Float64Array, order: number, count: number) {
  assertFinite(symmetric, order, order)
  const n = integer(order)
  const lower = option('L')
  const reduced = symmetric.slice()
  const tridiagonal = { diagonal: new Float64Array(order), beside: new Float64Array(order) }
  const { diagonal, beside } = tridiagonal
  const tau = new Float64Array(order)
  withWorkspace((work, length) => {
    const info = integer(0)
    lapack.routines.dsytrd_(lower, n, reduced, n, diagonal, beside, tau, work, integer(length), info)
    return info[0]!
  }, makeDouble)
  const { values, vectors } =
    byInverseIteration(lapack, tridiagonal, count) ?? byRelativelyRobust(lapack, tridiagonal, count)
  withWorkspace((space, length) => {
    const status = integer(0)
    lapack.routines.dormtr_(
      ...[option('L'), lower, option('N'), n, integer(count), reduced, n, tau, vectors, n],
      ...[space, integer(length), status],
    )
    return status[0]!
  }, makeDouble)
  return descending(values, vectors, order)
}

interface Tridiagonal {
  readonly diagonal: Float64Array
  /** Off-diagonal, one shorter than its array. */
  readonly beside: Float64Array
}

/**
 * All eigenvalues by QL, then inverse iteration: half the time of MRRR for a tenth of the vectors, and more accurate.
 * Null where the matrix falls apart into blocks, which inverse iteration would have to be told, or fails.
 */
function byInverseIteration(lapack: LapackLibrary, { diagonal, beside }: Tridiagonal, count: number) {
  const order = diagonal.length
  for (let i = 0; i + 1 < order; i++) {
    const neighbours = Math.abs(diagonal[i]!) + Math.abs(diagonal[i + 1]!)
    if (Math.abs(beside[i]!) <= 2 ** -52 * neighbours) return null
  }
  const n = integer(order)
  const info = integer(0)
  const all = diagonal.slice()
  lapack.routines.dsterf_(n, all, beside.slice(), info)
  if (info[0] !== 0) return null
  const values = all.slice(order - count)
  const vectors = new Float64Array(order * count)
  lapack.routines.dstein_(
    ...[n, diagonal, beside, integer(count), values, new Int32Array(order).fill(1), n, vectors, n],
    ...[new Float64Array(5 * order), new Int32Array(order), new Int32Array(count), info],
  )
  return info[0] === 0 ? { values, vectors } : null
}

/** MRRR (Dhillon and Parlett), for any tridiagonal matrix. */
function byRelativelyRobust(lapack: LapackLibrary, { diagonal, beside }: Tridiagonal, count: number) {
  const order = diagonal.length
  const n = integer(order)
  const values = new Float64Array(order)
  const vectors = new Float64Array(order * count)
  const [work, integerWork] = [new Float64Array(18 * order), new Int32Array(10 * order)]
  const info = integer(0)
  lapack.routines.dstemr_(
    ...[option('V'), option('I'), n, diagonal, beside, real(0), real(0), integer(order - count + 1), n],
    ...[integer(0), values, vectors, n, integer(count), new Int32Array(2 * count), integer(1)],
    ...[work, integer(work.length), integerWork, integer(integerWork.length), info],
  )
  if (info[0] !== 0) throw nonConvergence(order, order)
  return { values: values.slice(0, count), vectors }
}

/** From ascending eigenpairs, vectors as rows, to descending ones, vectors as columns. */
function descending(values: Float64Array, vectorRows: Float64Array, order: number) {
  const count = values.length
  const vectors = new Float64Array(order * count)
  for (let k = 0; k < count; k++) {
    const source = (count - 1 - k) * order
    for (let i = 0; i < order; i++) vectors[i * count + k] = vectorRows[source + i]!
  }
  return { values: values.toReversed(), vectors }
}
