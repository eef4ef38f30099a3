/** For tests: all backends, each started once, and why those that are missing here are skipped. */
import type { Backend } from './backend.ts'
import { cpuBackend } from './cpu.ts'
import { nativeBackend } from './native.ts'
import { tensorflowBackend } from './tensorflow.ts'
import { wasmBackend } from './wasm.ts'
import { webgpuBackend } from './webgpu.ts'

export interface ContractBackend {
  readonly backend: Backend
  /** Why it cannot run here. */
  readonly missing: string | undefined
}

/** By the title of its tests: the name, and the reason where it is skipped. */
export async function contractBackends(): Promise<[title: string, ContractBackend][]> {
  const found: [string, ContractBackend][] = []
  // One after the other: TensorFlow.js starts one backend at a time.
  for (const backend of [cpuBackend, wasmBackend, nativeBackend, tensorflowBackend, webgpuBackend]) {
    const missing = await reasonMissing(backend)
    found.push([missing ? `skipped: ${missing}` : backend.name, { backend, missing }])
  }
  return found
}

async function reasonMissing(backend: Backend): Promise<string | undefined> {
  try {
    await backend.start({ threads: 2 })
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}
