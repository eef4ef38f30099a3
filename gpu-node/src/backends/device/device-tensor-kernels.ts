/**
 * TensorFlow.js's own kernels on the device backend: a few that matter for speed run on the device where the case is plain
 * (float32, equal shapes), all others and all other cases run as the cpu backend has them.
 */
import type { KernelFunc, TensorInfo } from '@tensorflow/tfjs-core'
import { getKernelsForBackend, registerKernel, util } from '@tensorflow/tfjs-core'
import type { DeviceBackend } from './device-backend.ts'

/** The device's version of a kernel; undefined hands the case to the cpu backend's kernel. */
type Attempt = (
  inputs: Record<string, TensorInfo>,
  attributes: Record<string, unknown>,
  backend: DeviceBackend,
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
    attempt(call.inputs as Record<string, TensorInfo>, call.attrs ?? {}, call.backend as DeviceBackend) ??
    fallback(call)
}

const elementwise =
  (name: 'add' | 'subtract' | 'multiply' | 'divide' | 'maximum'): Attempt =>
  ({ a, b }, _, backend) => {
    if (!areFloats(a!, b!) || !util.arraysEqual(a!.shape, b!.shape)) return undefined
    const out = backend.allocate(a!.shape)
    const count = util.sizeFromShape(a!.shape)
    backend.library[name](backend.address(out), backend.address(a!), backend.address(b!), count)
    return out
  }

/** A matrix plus the same row for each of its rows. */
const plusRow: Attempt = ({ a, b }, _, backend) => {
  const [rows, width] = a!.shape as [number, number]
  if (!areFloats(a!, b!) || a!.shape.length !== 2 || !util.arraysEqual(b!.shape, [width])) return undefined
  const out = backend.allocate(a!.shape)
  backend.library.add_row(backend.address(out), backend.address(a!), backend.address(b!), rows, width)
  return out
}

const squareRoot: Attempt = ({ x }, _, backend) => {
  if (!areFloats(x!)) return undefined
  const out = backend.allocate(x!.shape)
  backend.library.square_root(backend.address(out), backend.address(x!), util.sizeFromShape(x!.shape))
  return out
}

/** A tensor times a number. */
const scaled: Attempt = ({ a, b }, _, backend) => {
  if (!areFloats(a!, b!) || b!.shape.length !== 0) return undefined
  const out = backend.allocate(a!.shape)
  const [factor] = backend.readSync(b!.dataId) as Float32Array
  backend.library.scale(backend.address(out), backend.address(a!), factor!, util.sizeFromShape(a!.shape))
  return out
}

/** Matrices, or batches of them where one side may be a single matrix for all. */
const batchMatMul: Attempt = ({ a, b }, { transposeA, transposeB }, backend) => {
  const [outerA, outerB] = [a!.shape.slice(0, -2), b!.shape.slice(0, -2)]
  const [countA, countB] = [util.sizeFromShape(outerA), util.sizeFromShape(outerB)]
  if (!areFloats(a!, b!) || (!util.arraysEqual(outerA, outerB) && countB !== 1)) return undefined
  const [rowsA, columnsA] = a!.shape.slice(-2) as [number, number]
  const [rowsB, columnsB] = b!.shape.slice(-2) as [number, number]
  const [m, k] = transposeA ? [columnsA, rowsA] : [rowsA, columnsA]
  const n = transposeB ? rowsB : columnsB
  const out = backend.allocate([...(outerA.length >= outerB.length ? outerA : outerB), m, n])
  backend.library.gemm(
    transposeA ? 1 : 0,
    transposeB ? 1 : 0,
    ...([m, n, k, 1] as const),
    ...([backend.address(a!), columnsA, backend.address(b!), columnsB] as const),
    ...([0, backend.address(out), n, countA] as const),
    ...([rowsA * columnsA, countB === 1 ? 0 : rowsB * columnsB, m * n] as const),
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
  Add: (...call) => elementwise('add')(...call) ?? plusRow(...call),
  Sub: elementwise('subtract'),
  Multiply: (...call) => elementwise('multiply')(...call) ?? scaled(...call),
  RealDiv: elementwise('divide'),
  Maximum: elementwise('maximum'),
  Sqrt: squareRoot,
  BatchMatMul: batchMatMul,
  Transpose: transpose,
}

function areFloats(...tensors: TensorInfo[]): boolean {
  return tensors.every((tensor) => tensor.dtype === 'float32')
}
