/** Where a system keeps OpenBLAS, which of several libraries may be used, and how its threads are counted. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import koffi, { type LibraryHandle } from 'koffi'
import { prepareOpenblas } from './openblas-environment.ts'

const multiarch: Partial<Record<NodeJS.Architecture, string>> = {
  x64: 'x86_64-linux-gnu',
  arm64: 'aarch64-linux-gnu',
}

const folders = [`/usr/lib/${multiarch[process.arch] ?? ''}`, '/usr/lib64', '/usr/lib']

/** The files that exist, best first: one for OpenMP, one for pthreads, whatever OpenBLAS the system prefers. */
export function openblasFiles(): string[] {
  return ['openblas-openmp/libopenblas.so.0', 'openblas-pthread/libopenblas.so.0', 'libopenblas.so.0']
    .flatMap((name) => folders.map((folder) => join(folder, name)))
    .filter((file) => existsSync(file))
}

/** What `bind` makes of the first library that computes right and that it does not throw for, or why there is none. */
export function firstUsable<T>(
  paths: readonly string[],
  bind: (path: string) => T,
): T | { readonly missing: string } {
  const reasons: string[] = []
  for (const path of paths) {
    const objection = prepareOpenblas(path.startsWith('/') ? path : null)
    if (objection) {
      reasons.push(objection)
      continue
    }
    try {
      return bind(path)
    } catch (error) {
      reasons.push(`${path}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  return { missing: reasons.join('; ') || 'no OpenBLAS was found' }
}

export interface OpenblasControls {
  /** E.g. `OpenBLAS 0.3.21 (openmp, Cooperlake)`. */
  readonly description: string
  /** Threads for later calls from this JavaScript thread; returns what is in force. */
  setThreads(count: number): number
}

/**
 * An OpenMP build asks OpenMP for its thread count on each call, and OpenMP keeps that count per calling thread:
 * a worker set to one thread leaves the training thread's BLAS alone. A pthreads build has one count for the
 * whole process, so that only its `owner`, the thread that trains, may touch it.
 */
export function openblasControls(library: LibraryHandle, owner = false): OpenblasControls {
  const config = library.func('openblas_get_config', 'str', [])() as string
  const core = library.func('openblas_get_corename', 'str', [])() as string
  const version = config.split(' ')[1] ?? ''
  if (!config.includes('USE_OPENMP')) {
    const inForce = library.func('openblas_get_num_threads', 'int', []) as () => number
    const set = library.func('openblas_set_num_threads', 'void', ['int'])
    return {
      description: `OpenBLAS ${version} (pthreads, ${core})`,
      setThreads(count: number): number {
        if (owner) set(count)
        return inForce()
      },
    }
  }
  const openmp = koffi.load('libgomp.so.1')
  const set = openmp.func('omp_set_num_threads', 'void', ['int'])
  return {
    description: `OpenBLAS ${version} (openmp, ${core})`,
    setThreads(count: number): number {
      set(count)
      return count
    },
  }
}
