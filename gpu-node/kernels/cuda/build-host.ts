/** Builds the host side of the CUDA kernels: plain C that finds driver and cuBLAS when it is started. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { buildFolder } from '../built-library.ts'
import { hostLibraryPath, hostSources } from './host-library.ts'

const flags = [
  '-std=gnu11',
  '-O2',
  '-g',
  '-fPIC',
  '-fvisibility=hidden',
  '-Wall',
  '-Wextra',
  '-pthread',
  '-shared',
]

/** The library's path, built unless it is there; throws what the compiler said. */
export function buildHostLibrary(compiler: string): string {
  const path = hostLibraryPath()
  if (existsSync(path)) return path
  mkdirSync(buildFolder, { recursive: true })
  const aside = `${path}.${process.pid}`
  const { status, stderr } = spawnSync(compiler, [...flags, ...hostSources(), '-ldl', '-lm', '-o', aside], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`${compiler} refused the host side of the CUDA kernels: ${stderr.trim()}`)
  for (const name of readdirSync(buildFolder))
    if (/^cuda-host-[0-9a-f]+\.so$/.test(name)) rmSync(join(buildFolder, name))
  renameSync(aside, path)
  return path
}
