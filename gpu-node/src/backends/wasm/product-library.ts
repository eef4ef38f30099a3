/**
 * OpenBLAS as the matrix product of the wasm backend, for a machine that has the library but no compiler for the
 * native kernels: many threads and wider registers than WebAssembly has.
 *
 * The operands lie in the module's heap, and OpenBLAS gets the addresses of views of it: nothing is copied, neither
 * transposed operands nor slices. A view is good until the heap grows, which only an allocation can bring about; so
 * the output is allocated first, then the views are taken.
 */
import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm'
import type { KernelConfig, KernelFunc, TensorInfo } from '@tensorflow/tfjs-core'
import { BatchMatMul, getKernel, registerKernel, unregisterKernel } from '@tensorflow/tfjs-core'
import koffi from 'koffi'
import { firstUsable, openblasControls, openblasFiles } from '../../native-libraries/openblas-library.ts'

export interface ProductLibrary {
  /** E.g. `OpenBLAS 0.3.21 (openmp, Cooperlake)`. */
  readonly description: string
  setThreads(count: number): number
  /** c[m,n] = op(a) op(b), each contiguous and row-major; inner length k. */
  multiply(
    a: Float32Array,
    b: Float32Array,
    c: Float32Array,
    shape: { m: number; n: number; k: number; transposeA: boolean; transposeB: boolean },
  ): void
}

let found: ProductLibrary | { readonly missing: string } | undefined

/** The first OpenBLAS that loads and computes right, looked for once per thread, or the reason why there is none. */
export function findProductLibrary(): ProductLibrary | { readonly missing: string } {
  found ??= firstUsable(openblasFiles(), bind)
  return found
}

const [rowMajor, plain, transposed] = [101, 111, 112]

function bind(path: string): ProductLibrary {
  const library = koffi.load(path)
  const sgemm = library.func('cblas_sgemm', 'void', [
    ...Array<string>(6).fill('int'),
    ...['float', 'void *', 'int', 'void *', 'int'],
    ...['float', 'void *', 'int'],
  ])
  return {
    ...openblasControls(library, true),
    multiply(a, b, c, { m, n, k, transposeA, transposeB }) {
      const orders = [transposeA ? transposed : plain, transposeB ? transposed : plain]
      const [rowOfA, rowOfB] = [transposeA ? m : k, transposeB ? k : n]
      sgemm(rowMajor, ...orders, m, n, k, 1, a, rowOfA, b, rowOfB, 0, c, n)
    },
  }
}

/** TensorFlow.js's own kernel, while OpenBLAS stands in for it. */
let own: KernelConfig | undefined

/** Lets `library` compute the matMul of the wasm backend, or null: the module itself. */
export function multiplyWith(library: ProductLibrary | null): void {
  own ??= getKernel(BatchMatMul, 'wasm')!
  const kernel = library ? { ...own, kernelFunc: productKernel(library, own.kernelFunc) } : own
  unregisterKernel(BatchMatMul, 'wasm')
  registerKernel(kernel)
}

function productKernel(library: ProductLibrary, fallback: KernelFunc): KernelFunc {
  return (call) => {
    const { a, b } = call.inputs as { a: TensorInfo; b: TensorInfo }
    const { transposeA, transposeB } = call.attrs as { transposeA: boolean; transposeB: boolean }
    const outer = a.shape.slice(0, -2)
    const alike = outer.length === b.shape.length - 2 && outer.every((length, i) => length === b.shape[i])
    // Slices that repeat, and other types, are the module's business.
    if (!alike || a.dtype !== 'float32' || b.dtype !== 'float32') return fallback(call)

    const [m, k] = lastTwo(a.shape, transposeA)
    const [, n] = lastTwo(b.shape, transposeB)
    const wasm = call.backend as BackendWasm
    const out = wasm.makeOutput([...outer, m, n], 'float32')
    const [left, right, product] = [a, b, out].map((t) => wasm.typedArrayFromHeap(t) as Float32Array)
    if (k === 0) product!.fill(0)
    if (m * n * k === 0) return out
    for (let slice = 0; slice * m * n < product!.length; slice++)
      library.multiply(
        left!.subarray(slice * m * k, (slice + 1) * m * k),
        right!.subarray(slice * k * n, (slice + 1) * k * n),
        product!.subarray(slice * m * n, (slice + 1) * m * n),
        { m, n, k, transposeA, transposeB },
      )
    return out
  }
}

/** Rows and columns of a matrix as the product reads it. */
function lastTwo(shape: readonly number[], turned: boolean): [rows: number, columns: number] {
  const [rows, columns] = shape.slice(-2) as [number, number]
  return turned ? [columns, rows] : [rows, columns]
}
