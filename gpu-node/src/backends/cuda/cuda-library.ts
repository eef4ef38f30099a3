/**
 * The CUDA build of the kernels: its host library, started once per process on one GPU, as the device backend wants it.
 * The kernels come as PTX, which the driver compiles for its GPU the first time and keeps.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliDecompressSync } from 'node:zlib'
import koffi, { type LibraryHandle } from 'koffi'
import { cudaFolder, findHostLibrary } from '../../../kernels/cuda/host-library.ts'
import { setCEnvironment } from '../../native-libraries/openblas-environment.ts'
import { bindDeviceCalls } from '../device/device-calls.ts'
import type { DeviceLibrary } from '../device/device-library.ts'
import { cublasCandidates, cusolverCandidates, driverCandidates } from './find-libraries.ts'

export interface CudaUnavailable {
  readonly unavailable: string
  readonly hint?: string
}

/** With what its start has to tell. */
export interface CudaLibrary extends DeviceLibrary {
  readonly notes: readonly string[]
  /** Of the GPU, now. */
  freeMemoryBytes(): number
}

/** Statuses of rs_start (kernels/cuda/host/device.h): what is missing, and what to do about it. */
const reasons: Readonly<Record<number, { what: string; hint: string }>> = {
  10: {
    what: 'no NVIDIA driver',
    hint: 'Install the driver of the GPU, or name its file in RANKSCOPE_CUDA_DRIVER.',
  },
  11: {
    what: 'no GPU',
    hint: 'nvidia-smi shows what the driver sees; a container needs the GPU handed to it.',
  },
  12: {
    what: 'the GPU is too old',
    hint: 'Compute capability 8.0 or later is needed: Ampere, Ada, Hopper, Blackwell.',
  },
  13: {
    what: 'no cuBLAS',
    hint: 'pip install nvidia-cublas (nvidia-cublas-cu12 for a driver of CUDA 12), or name its folder in RANKSCOPE_CUDA_LIBRARIES.',
  },
  14: { what: 'the kernels were refused', hint: 'The driver may be older than 450: update it.' },
}

/**
 * Variables by which the precision of products could be changed from outside without a trace; they are taken out of
 * the environment before cuBLAS is loaded.
 */
const precisionVariables = [
  'NVIDIA_TF32_OVERRIDE',
  'CUBLAS_EMULATE_SINGLE_PRECISION',
  'CUBLAS_EMULATION_STRATEGY',
]

let loaded: CudaLibrary | undefined

/** The library on GPU `number`, or what is missing. What is missing may be there at the next call. */
export function loadCudaLibrary(number = 0): CudaLibrary | CudaUnavailable {
  if (loaded) return loaded
  const found = findHostLibrary()
  if ('missing' in found) return { unavailable: found.missing }
  let failure: CudaUnavailable = { unavailable: 'no NVIDIA driver' }
  for (const driver of driverCandidates()) {
    const result = start(found.path, driver, number)
    if ('name' in result) {
      loaded = result
      return result
    }
    failure = result
  }
  return failure
}

function start(path: string, driver: string, number: number): CudaLibrary | CudaUnavailable {
  const cleared = precisionVariables.filter((name) => process.env[name] !== undefined)
  setCEnvironment(Object.fromEntries(cleared.map((name) => [name, null])))
  const library = koffi.load(path)
  const begin = library.func(
    'int rs_start(const char *driver, const char *blas, const void *image, int number)',
  )
  const status = begin(driver, cublasCandidates().join('\n'), kernelsImage(), number) as number
  if (status !== 0) {
    const words = library.func('const char *rs_last_error()')() as string
    const reason = reasons[status]
    return reason ? { unavailable: `${reason.what} (${words})`, hint: reason.hint } : { unavailable: words }
  }
  library.func('int rs_name_cusolver(const char *paths)')(cusolverCandidates().join('\n'))
  const calls = bindDeviceCalls(library)
  return {
    ...calls,
    ...reading(library),
    name: 'cuda',
    notes: cleared.map(
      (name) => `${name} is set: it would change the precision of products, and is not heeded`,
    ),
    freeMemoryBytes() {
      const [free, all] = [new BigInt64Array(1), new BigInt64Array(1)]
      library.func('rs_memory', 'int', ['void *', 'void *'])(free, all)
      return Number(free[0])
    },
    narrow: narrowing(library),
    whenShort: asking(library),
    pooled: process.env['RANKSCOPE_CUDA_POOL'] !== 'off',
    logitsAtOnce: 64 * 2 ** 20,
  }
}

/** PTX with the zero at its end that the driver asks for. */
function kernelsImage(): Buffer {
  const text = brotliDecompressSync(readFileSync(join(cudaFolder, 'kernels.ptx.br')))
  return Buffer.concat([text, Buffer.alloc(1)])
}

/** bfloat16 copies that products take in place of floats. */
function narrowing(library: LibraryHandle): NonNullable<DeviceLibrary['narrow']> {
  const keep = library.func('int rs_keep_bfloat16(void *x, int64_t count, void *copy)')
  const forget = library.func('int rs_forget_bfloat16(void *x)')
  return {
    keep(floats, count, copy) {
      if (keep(floats, count, copy) !== 0) throw new Error(library.func('const char *rs_last_error()')())
    },
    forget: (floats) => forget(floats),
  }
}

/** Whoever has memory to give back is asked within the call that finds none. */
function asking(library: LibraryHandle): NonNullable<DeviceLibrary['whenShort']> {
  const type = koffi.pointer(koffi.proto('int rs_give_back()'))
  const set = library.func('rs_when_short', 'int', [type])
  return (giveBack) => {
    set(koffi.register(() => (giveBack() ? 1 : 0), type))
  }
}

/** Reading without waiting: the device copies to pinned memory, JavaScript looks now and then whether it has arrived. */
function reading(library: LibraryHandle): Pick<DeviceLibrary, 'downloadLater' | 'sumOfSquares'> {
  const lastError = library.func('const char *rs_last_error()') as () => string
  const begin = library.func('void *rs_begin_download(void *from, int64_t bytes)') as (
    from: bigint,
    bytes: number,
  ) => bigint | null
  const ready = library.func('int rs_ready(void *reading)') as (reading: bigint) => number
  const end = library.func('int rs_end_download(void *to, void *reading, int64_t bytes)') as (
    to: Float32Array | Float64Array | null,
    reading: bigint,
    bytes: number,
  ) => number
  const squares = library.func('void *rs_squares(void *x, void *counts, int64_t tensors)') as (
    addresses: BigInt64Array,
    sizes: BigInt64Array,
    tensors: number,
  ) => bigint | null

  async function later<T extends Float32Array | Float64Array>(from: bigint, values: T): Promise<T> {
    if (values.length === 0) return values
    const under = begin(from, values.byteLength)
    if (!under) throw new Error(`rs_begin_download: ${lastError()}`)
    let state = ready(under)
    for (let tries = 0; state === 0; tries++) {
      await new Promise((resolve) => (tries < 20 ? setImmediate(resolve) : setTimeout(resolve, 1)))
      state = ready(under)
    }
    const failure = state < 0 ? lastError() : null
    end(failure === null ? values : null, under, values.byteLength)
    if (failure !== null) throw new Error(failure)
    return values
  }

  return {
    downloadLater: (from, count) => later(from, new Float32Array(count)),
    async sumOfSquares(addresses, sizes) {
      const sum = squares(addresses, sizes, addresses.length)
      if (!sum) throw new Error(`rs_squares: ${lastError()}`)
      return (await later(sum, new Float64Array(1)))[0]!
    },
  }
}
