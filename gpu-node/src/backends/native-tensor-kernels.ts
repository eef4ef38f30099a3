/**
 * TensorFlow.js's own kernels on the native backend: a few that matter for speed run natively where the case is plain
 * (float32, equal shapes), all others and all other cases run as the cpu backend has them.
 */
import type { KernelFunc, TensorInfo } from '@tensorflow/tfjs-core'
import { getKernel, getKernelsForBackend, registerKernel, util } from '@tensorflow/tfjs-core'
import type { NativeBackend } from './native-backend.ts'

/** A native version of a kernel; undefined hands the case to the cpu backend's kernel. */
type Attempt = (
  inputs: Record<string, TensorInfo>,
  attributes: Record<string, unknown>,
  backend: NativeBackend,
) => TensorInfo | undefined

export function registerTensorKernels(backendName: string): void {
  for (const kernel of getKernelsForBackend('cpu')) {
    const attempt = attempts[kernel.kernelName]
    const kernelFunc = attempt ? withFallback(attempt, kernel.kernelFunc) : kernel.kernelFunc
    registerKernel({ ...kernel, backendName, kernelFunc })
  }
}

function withFallback(attempt: Attempt, fallback: KernelFunc): KernelFunc {
  return (call) =>
    attempt(call.inputs as Record<string, TensorInfo>, call.attrs ?? {}, call.backend as NativeBackend) ??
    fallback(call)
}

const elementwise =
  (name: 'add' | 'subtract' | 'multiply'): Attempt =>
  ({ a, b }, _, backend) => {
    if (!areFloats(a!, b!) || !util.arraysEqual(a!.shape, b!.shape)) return undefined
    const out = backend.allocate(a!.shape)
    const count = util.sizeFromShape(a!.shape)
    backend.library[name](backend.address(out), backend.address(a!), backend.address(b!), count)
    return out
  }

const batchMatMul: Attempt = ({ a, b }, { transposeA, transposeB }, backend) => {
  const [batch, rows, columns] = [a!.shape[0]!, a!.shape[1]!, a!.shape[2]!]
  const [batchB, rowsB, columnsB] = [b!.shape[0]!, b!.shape[1]!, b!.shape[2]!]
  const shared = batchB === 1 && batch > 1
  if (!areFloats(a!, b!) || a!.shape.length !== 3 || (batch !== batchB && !shared)) return undefined
  const [m, k] = transposeA ? [columns, rows] : [rows, columns]
  const n = transposeB ? rowsB : columnsB
  const out = backend.allocate([batch, m, n])
  backend.library.gemm(
    transposeA ? 1 : 0,
    transposeB ? 1 : 0,
    ...[m, n, k, 1],
    backend.address(a!),
    columns,
    backend.address(b!),
    columnsB,
    0,
    backend.address(out),
    ...[n, batch, rows * columns, shared ? 0 : rowsB * columnsB, m * n],
  )
  return out
}

/** Of a matrix; TensorFlow.js asks for it in gradients of products. */
const transpose: Attempt = ({ x }, { perm }, backend) => {
  const [rows, columns] = x!.shape
  if (!areFloats(x!) || x!.shape.length !== 2 || !util.arraysEqual(perm as number[], [1, 0])) return undefined
  const out = backend.allocate([columns!, rows!])
  backend.library.transpose(backend.address(out), backend.address(x!), rows!, columns!)
  return out
}

const attempts: Readonly<Record<string, Attempt>> = {
  Add: elementwise('add'),
  Sub: elementwise('subtract'),
  Multiply: elementwise('multiply'),
  BatchMatMul: batchMatMul,
  Transpose: transpose,
}

function areFloats(...tensors: TensorInfo[]): boolean {
  return tensors.every((tensor) => tensor.dtype === 'float32')
}

/** For the contract's check that nothing is missing. */
export function hasCpuKernel(name: string): boolean {
  return getKernel(name, 'cpu') !== undefined
}
