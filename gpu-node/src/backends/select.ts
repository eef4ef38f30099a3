/**
 * Chooses the backend of this process: loads candidates in order of expected speed, takes the first that passes the
 * numeric self-check, and says why the ones before it were not taken.
 */
import { RankscopeError } from '@rankscope/protocol'
import type { Backend, BackendName, BackendOptions, StartedBackend } from './backend.ts'
import { unavailable } from './backend.ts'
import { selfCheck } from './self-check.ts'

export interface SelectedBackend extends StartedBackend {
  name: BackendName
  /** What the self-check measured, one line. */
  selfCheck: string
  /** The candidates before it, and why each was not taken. */
  rejected: { name: BackendName; reason: string }[]
}

/** Modules are loaded only when a backend is tried: a missing optional package concerns nobody else. */
const backends: Record<BackendName, () => Promise<Backend>> = {
  tensorflow: async () => (await import('./tensorflow.ts')).tensorflowBackend,
  cuda: async () => (await import('./cuda.ts')).cudaBackend,
  webgpu: async () => (await import('./webgpu.ts')).webgpuBackend,
  native: async () => (await import('./native.ts')).nativeBackend,
  wasm: async () => (await import('./wasm.ts')).wasmBackend,
  cpu: async () => (await import('./cpu.ts')).cpuBackend,
}

/**
 * `auto`, fastest first. A library that can drive a GPU is worth it only with one: without, our own kernels are about
 * twice as fast as libtensorflow, and a software renderer is slower than anything.
 */
const automatic: readonly { name: BackendName; onlyWithGpu: boolean }[] = [
  { name: 'cuda', onlyWithGpu: true },
  { name: 'tensorflow', onlyWithGpu: true },
  { name: 'webgpu', onlyWithGpu: true },
  { name: 'native', onlyWithGpu: false },
  { name: 'tensorflow', onlyWithGpu: false },
  { name: 'wasm', onlyWithGpu: false },
  { name: 'cpu', onlyWithGpu: false },
]

/**
 * Starts the requested backend, or the best for `auto`, and leaves it active. Throws BACKEND_UNAVAILABLE where the
 * requested one cannot run or computes wrong numbers.
 */
export async function selectBackend(
  request: BackendName | 'auto',
  options: BackendOptions,
): Promise<SelectedBackend> {
  if (request !== 'auto') return { ...(await tryBackend(request, options)), rejected: [] }

  const rejected: SelectedBackend['rejected'] = []
  for (const { name, onlyWithGpu } of automatic) {
    try {
      const started = await tryBackend(name, options, onlyWithGpu)
      return { ...started, rejected: rejected.filter((candidate) => candidate.name !== name) }
    } catch (error) {
      if (!(error instanceof RankscopeError)) throw error
      if (!rejected.some((candidate) => candidate.name === name))
        rejected.push({ name, reason: error.message.replace(`${name}: `, '') })
    }
  }
  const reasons = rejected.map(({ name, reason }) => `${name} (${reason})`).join('; ')
  throw new RankscopeError('BACKEND_UNAVAILABLE', `no backend can run on this machine: ${reasons}`)
}

async function tryBackend(name: BackendName, options: BackendOptions, onlyWithGpu = false) {
  const backend = await backends[name]()
  const started = await backend.start({ ...options, onlyWithGpu })
  if (onlyWithGpu && !started.gpu) throw unavailable(name, `there is no GPU for it (${started.description})`)
  const { passed, detail } = await selfCheck()
  if (!passed) throw unavailable(name, `failed the numeric self-check: ${detail}`)
  return { name, ...started, selfCheck: detail }
}
