/**
 * The dense linear algebra that initialisation and rank analysis need: one interface, four siblings.
 *
 * `cuda.ts` computes on the GPU that the process trains on, `lapack.ts` calls a system BLAS/LAPACK, `tensorflow.ts` libtensorflow, `portable.ts` is plain TypeScript for machines
 * that have neither.
 * Matrices are row-major typed arrays; arguments are never modified; results are new arrays. `d` is
 * min(rows, columns) throughout. Singular values and eigenvalues are in descending order.
 * All calls block: run them on a worker thread (`pool.ts`).
 */

export type FloatArray = Float32Array | Float64Array

/** The thin decomposition a = u diag(s) vᵀ: u [rows, d], s [d], v [columns, d]; orthonormal columns. */
export interface ThinSvd<A extends FloatArray = Float64Array> {
  readonly u: A
  readonly s: A
  readonly v: A
}

export interface MultiplyShape {
  /** Rows of the product. */
  readonly rows: number
  /** Length of the sums. */
  readonly inner: number
  /** Columns of the product. */
  readonly columns: number
  /** The first factor is stored as [inner, rows]. */
  readonly transposeLeft?: boolean
  /** The second factor is stored as [columns, inner]. */
  readonly transposeRight?: boolean
}

export interface LinearAlgebra {
  readonly name: 'cuda' | 'lapack' | 'tensorflow' | 'portable'
  /** What runs underneath, for a person, e.g. 'OpenBLAS 0.3.21 (openmp, Cooperlake)'. */
  readonly description: string

  /** Threads that later calls from this JavaScript thread may use; returns what is in force. */
  setThreads(count: number): number

  /** Thin SVD in the precision of `a` [rows, columns]. Backward stable: errors are about eps * s[0]. */
  svd<A extends FloatArray>(a: A, rows: number, columns: number): ThinSvd<A>

  /** Singular values alone [d], float64, in the arithmetic of `a`'s type. */
  singularValues(a: FloatArray, rows: number, columns: number): Float64Array

  /** Thin Householder QR of `a` [rows, columns]: q [rows, d] orthonormal, r [d, columns] upper trapezoidal. */
  qr(a: Float64Array, rows: number, columns: number): { q: Float64Array; r: Float64Array }

  /** left * right, [rows, columns]. */
  multiply(left: Float64Array, right: Float64Array, shape: MultiplyShape): Float64Array

  /** a aᵀ [rows, rows]; both triangles are filled. */
  gram(a: Float64Array, rows: number, columns: number): Float64Array

  /**
   * The `count` largest eigenvalues of a symmetric positive semidefinite matrix [order, order] and their
   * orthonormal eigenvectors, one per column of `vectors` [order, count]. Errors are about eps * values[0].
   */
  topEigen(
    symmetric: Float64Array,
    order: number,
    count: number,
  ): { values: Float64Array; vectors: Float64Array }
}
