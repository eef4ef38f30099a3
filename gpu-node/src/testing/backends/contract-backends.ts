/** For tests: all backends, each started once, and why those that are missing here are skipped. */
import { dirname } from 'node:path'
import { RankscopeError } from '@rankscope/protocol'
import { type Backend, unavailable } from '../../backends/backend.ts'
import { cpuBackend } from '../../backends/cpu.ts'
import { cudaBackend } from '../../backends/cuda.ts'
import { nativeBackend } from '../../backends/native.ts'
import { tensorflowBackend } from '../../backends/tensorflow.ts'
import { findProductLibrary } from '../../backends/wasm/product-library.ts'
import { wasmAloneBackend, wasmBackend } from '../../backends/wasm.ts'
import { webgpuBackend } from '../../backends/webgpu.ts'

import { emulatedCuda, emulationMissing, onGpu } from '../cuda/emulation.ts'

export interface ContractBackend {
  readonly backend: Backend
  /** Why it cannot run here. */
  readonly missing: string | undefined
}

const wasmWithOpenblas: Backend = {
  name: 'wasm',
  async start(options) {
    const library = findProductLibrary()
    if ('missing' in library) throw unavailable('wasm', `with products by OpenBLAS: ${library.missing}`)
    return wasmBackend.start(options)
  },
}

/**
 * The CUDA build on the emulated driver (../cuda/emulation.ts): everything but the GPU. Where RANKSCOPE_TEST_GPU is set
 * (`npm run test:gpu`), on the GPU of this machine.
 */
export const emulatedCudaBackend: Backend = {
  name: 'cuda',
  async start(options) {
    if (onGpu) return cudaBackend.start(options)
    if (emulationMissing) throw unavailable('cuda', emulationMissing.replace('skipped: ', ''))
    const { driver, blas } = await emulatedCuda()
    process.env['RANKSCOPE_CUDA_DRIVER'] = driver
    process.env['RANKSCOPE_CUDA_LIBRARIES'] = dirname(blas)
    return cudaBackend.start(options)
  },
}

const candidates: readonly [title: string, Backend][] = [
  ['cpu', cpuBackend],
  ['wasm', wasmAloneBackend],
  ['wasm, products by OpenBLAS', wasmWithOpenblas],
  ['native', nativeBackend],
  [onGpu ? 'cuda' : 'cuda, emulated', emulatedCudaBackend],
  ['tensorflow', tensorflowBackend],
  ['webgpu', webgpuBackend],
]

/** By the title of its tests: the name, and the reason where it is skipped; RANKSCOPE_CONTRACT names one alone. */
export async function contractBackends(): Promise<[title: string, ContractBackend][]> {
  const found: [string, ContractBackend][] = []
  // One after the other: TensorFlow.js starts one backend at a time.
  const only = process.env['RANKSCOPE_CONTRACT']
  for (const [title, backend] of candidates.filter(([name]) => !only || name === only)) {
    const missing = await reasonMissing(title, backend)
    found.push([missing ? `skipped: ${missing}` : title, { backend, missing }])
  }
  return found
}

/**
 * A backend may be absent, for a reason that it names; one that fails otherwise is a fault, and so is one that is absent
 * where everything was set up for it.
 */
async function reasonMissing(title: string, backend: Backend): Promise<string | undefined> {
  try {
    await backend.start({ threads: 2 })
    return undefined
  } catch (error) {
    const absent = error instanceof RankscopeError && error.code === 'BACKEND_UNAVAILABLE'
    if (!absent || mustRun(title)) throw error
    return error.message
  }
}

/** `npm test` sets up compiler and OpenBLAS; on continuous integration that must have worked. */
function mustRun(title: string): boolean {
  return title === 'cpu' || title === 'wasm' || (process.env['CI'] === 'true' && setUpByTests.has(title))
}

const setUpByTests: ReadonlySet<string> = new Set([
  'wasm, products by OpenBLAS',
  'native',
  'cuda, emulated',
  'cuda',
])
