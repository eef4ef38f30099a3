/**
 * `wasm`: TensorFlow.js's WebAssembly backend, the one to fall back to where the native kernels cannot be built.
 *
 * Its matrix product (XNNPACK with SIMD) is good, its other kernels take more time than the products that they stand
 * between, and its OneHot is wrong for float32. So products go to the backend, or to OpenBLAS where there is one
 * (wasm/product-library.ts), and everything else runs as loops over the module's heap. TensorFlow.js switches its threads off
 * under Node: one thread, but for OpenBLAS. RANKSCOPE_WASM_PRODUCTS=own leaves OpenBLAS alone.
 *
 * XNNPACK packs the right operand of a product once and keeps the packed copy for as long as its tensor id lives: a
 * parameter that was written to in place gets a new id, or the next product would use the old values.
 */
import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm'
import '@tensorflow/tfjs-backend-wasm'
import { RankscopeError } from '@rankscope/protocol'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import {
  BatchMatMul,
  backend,
  engine,
  env,
  getKernel,
  Identity,
  registerKernel,
  setBackend,
  unregisterKernel,
} from '@tensorflow/tfjs-core'
import { registryName } from '../ops/registry.ts'
import type { Backend } from './backend.ts'
import { unavailable } from './backend.ts'
import { registerHostKernels } from './wasm/kernels/index.ts'
import type { HostMemory, Matrix } from './wasm/kernels/memory.ts'
import { findProductLibrary, multiplyWith, type ProductLibrary } from './wasm/product-library.ts'

export const wasmBackend: Backend = {
  name: 'wasm',
  start: ({ threads }) =>
    start(threads, process.env['RANKSCOPE_WASM_PRODUCTS'] === 'own' ? ownProducts : findProductLibrary()),
}

/** For tests: the same as on a machine without OpenBLAS. */
export const wasmAloneBackend: Backend = {
  name: 'wasm',
  start: ({ threads }) => start(threads, ownProducts),
}

const ownProducts = { missing: 'OpenBLAS is not to be used' } as const

/** Who multiplies; changes only where one process starts the backend both ways. */
let products: ProductLibrary | null = null

async function start(threads: number, library: ProductLibrary | { readonly missing: string }) {
  env().set('PROD', true) // no banner that recommends other packages
  const started = await setBackend('wasm').catch((cause: unknown) => {
    throw unavailable('wasm', 'the WebAssembly module did not start', { cause })
  })
  if (!started) throw unavailable('wasm', 'the WebAssembly module did not start')
  if (!getKernel(registryName('linear'), 'wasm')) {
    const wasm = backend() as BackendWasm
    refuseFullHeap(wasm as unknown as WasmInternals)
    shareClones()
    registerHostKernels('wasm', heapOf(wasm))
  }
  products = 'missing' in library ? null : library
  multiplyWith(products)
  const simd = await env().getAsync('WASM_HAS_SIMD_SUPPORT')
  const description = simd ? 'WebAssembly with SIMD' : 'WebAssembly'
  return products
    ? {
        threads: products.setThreads(threads),
        gpu: false,
        description: `${description}, products by ${products.description}`,
      }
    : { threads: 1, gpu: false, description }
}

interface DataOnHeap {
  id: number
  /** Address of the first value. */
  memoryOffset: number
  shape: number[]
  dtype: 'float32'
  refCount: number
  /** The values, once they were asked for; of length 0 when the heap has grown since. */
  view?: Float32Array
}

/** The bookkeeping of the backend between tensors and the module's ids for them. */
interface WasmInternals {
  dataIdNextNumber: number
  dataIdMap: {
    get(dataId: object): DataOnHeap
    set(dataId: object, data: DataOnHeap): void
    delete(dataId: object): void
  }
  wasm: {
    _malloc(bytes: number): number
    _free(address: number): void
    tfjs: {
      disposeData(id: number): void
      registerTensor(id: number, size: number, memoryOffset: number): void
    }
  }
}

/** The heap ends at 4 GiB; TensorFlow.js would take the null that malloc then returns for an address. */
function refuseFullHeap({ wasm }: WasmInternals): void {
  wasm._free(wasm._malloc(8)) // the first call puts the module's own function in place of a stub
  const allocate = wasm._malloc
  wasm._malloc = (bytes) => {
    const address = allocate(bytes)
    if (address === 0 && bytes > 0)
      throw new RankscopeError(
        'OUT_OF_MEMORY',
        `wasm: no room for another ${(bytes / 2 ** 20).toFixed(0)} MiB in the 4 GiB that WebAssembly can address`,
        { hint: 'Lower the micro-batch or the maximum length, or take a backend without this limit.' },
      )
    return address
  }
}

/** TensorFlow.js's kernel copies, and so doubles what the tape keeps for the backward pass. */
function shareClones(): void {
  unregisterKernel(Identity, 'wasm')
  registerKernel({
    kernelName: Identity,
    backendName: 'wasm',
    kernelFunc: ({ inputs, backend: wasm }) => {
      const { dataId, shape, dtype } = inputs['x'] as TensorInfo
      ;(wasm as BackendWasm).incRef(dataId)
      return { dataId, shape, dtype }
    },
  })
}

function heapOf(wasm: BackendWasm): HostMemory {
  const internals = wasm as unknown as WasmInternals
  const { dataIdMap } = internals
  const register = (data: DataOnHeap, size: number) => {
    data.id = internals.dataIdNextNumber++
    internals.wasm.tfjs.registerTensor(data.id, size, data.memoryOffset)
  }

  /** The matrix under an id of its own, or under its tensor's where it is all of that. */
  const open = ({ tensor, start, rows, columns }: Matrix): TensorInfo => {
    const shape = [rows, columns]
    if (tensor.size === rows * columns) return { dataId: tensor.dataId, shape, dtype: 'float32' }
    const dataId = {}
    const memoryOffset = dataIdMap.get(tensor.dataId).memoryOffset + 4 * start
    const data: DataOnHeap = { id: 0, memoryOffset, shape, dtype: 'float32', refCount: 1 }
    register(data, rows * columns)
    dataIdMap.set(dataId, data)
    return { dataId, shape, dtype: 'float32' }
  }
  /** Forgets the id, and with it what the module has made of the matrix; the values stay with their tensor. */
  const close = ({ dataId }: TensorInfo, { tensor }: Matrix): void => {
    if (dataId === tensor.dataId) return
    internals.wasm.tfjs.disposeData(dataIdMap.get(dataId).id)
    dataIdMap.delete(dataId)
  }

  return {
    allocate: (shape) => engine().makeTensorFromTensorInfo(wasm.makeOutput([...shape], 'float32'), wasm),
    floats: (tensor) => {
      const data = dataIdMap.get(tensor.dataId)
      if (data.view?.length !== tensor.size) data.view = wasm.typedArrayFromHeap(tensor) as Float32Array
      return data.view
    },
    changed: ({ dataId, size }) => {
      const data = dataIdMap.get(dataId)
      internals.wasm.tfjs.disposeData(data.id)
      register(data, size)
    },
    integers: (tensor) => wasm.typedArrayFromHeap(tensor) as Int32Array,
    multiply: (a, b) => {
      const [left, right] = [open(a), open(b)]
      const attrs = { transposeA: false, transposeB: false }
      try {
        const { kernelFunc } = getKernel(BatchMatMul, 'wasm')!
        const out = kernelFunc({ inputs: { a: left, b: right }, attrs, backend: wasm })
        return engine().makeTensorFromTensorInfo(out as TensorInfo, wasm)
      } finally {
        close(left, a)
        close(right, b)
      }
    },
    takesAnyLayout: () => products !== null,
  }
}
