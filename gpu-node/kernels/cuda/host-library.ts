/** Where the built host side of the CUDA kernels lies. It needs a C compiler and nothing of NVIDIA's: see host/. */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildCommand, buildFolder } from '../built-library.ts'

export const cudaFolder = dirname(fileURLToPath(import.meta.url))
export const hostSources = (): string[] => filesOf('host', '.c')
export const kernelSources = (): string[] =>
  ['pointwise.cu', 'rows.cu', 'attention.cu'].map((name) => join(cudaFolder, name))

/** Named by its sources, so that one of other sources is not found. */
export function hostLibraryPath(): string {
  const headers = [
    join(cudaFolder, '../rankscope.h'),
    join(cudaFolder, 'kernels.h'),
    ...filesOf('host', '.h'),
  ]
  return join(buildFolder, `cuda-host-${hashOfFiles([...headers, ...hostSources()])}.so`)
}

/** The library to load, or why there is none. */
export function findHostLibrary(): { path: string } | { missing: string } {
  const path = hostLibraryPath()
  if (existsSync(path)) return { path }
  return { missing: `the host side of the CUDA kernels is not built (${buildCommand} builds it)` }
}

/** Of everything that the compiled kernels (kernels.ptx.br) depend on. */
export function hashOfKernels(): string {
  const headers = ['kernels.h', 'device.cuh'].map((name) => join(cudaFolder, name))
  return hashOfFiles([...headers, ...kernelSources()])
}

export function hashOfFiles(files: readonly string[]): string {
  const hash = createHash('sha256')
  for (const file of files) hash.update(file.slice(cudaFolder.length)).update('\0').update(readFileSync(file))
  return hash.digest('hex').slice(0, 16)
}

export function filesOf(folder: string, ending: string): string[] {
  return readdirSync(join(cudaFolder, folder))
    .filter((name) => name.endsWith(ending))
    .sort()
    .map((name) => join(cudaFolder, folder, name))
}
