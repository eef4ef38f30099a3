/**
 * Where the built kernels lie and whether they still fit: the build writes a record beside the library, the
 * loader reads it. A library built from other sources or for another processor is not loaded.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const kernelsFolder = dirname(fileURLToPath(import.meta.url))
export const sourceFolder = join(kernelsFolder, 'cpu')
export const buildFolder = join(kernelsFolder, 'build')
export const buildCommand = 'node launch/launch.mjs gpu-node/kernels/build.ts'

/** What the build leaves in build/library.json. */
export interface BuildRecord {
  /** Hash of all C sources and headers. */
  readonly sources: string
  /** Processor that the code was compiled for. */
  readonly processor: string
  /** Compiler, flags and OpenBLAS: a change of any makes the library out of date for the build, not for the loader. */
  readonly recipe: string
  /** File name inside the build folder. */
  readonly file: string
  /** Path of the OpenBLAS that it is linked with; null for the built-in sgemm. */
  readonly openblas: string | null
}

/** The library to load, or the reason why there is none. */
export function findBuiltLibrary(): { path: string; openblas: string | null } | { missing: string } {
  const record = readBuildRecord()
  if (!record) return { missing: `the native kernels are not built (${buildCommand} builds them)` }
  if (record.sources !== hashSources())
    return { missing: `the native kernels are older than their sources (${buildCommand} builds them anew)` }
  if (record.processor !== processor())
    return {
      missing: `the native kernels were built for another processor (${buildCommand} builds them anew)`,
    }
  return { path: join(buildFolder, record.file), openblas: record.openblas }
}

export function readBuildRecord(): BuildRecord | undefined {
  try {
    return JSON.parse(readFileSync(join(buildFolder, 'library.json'), 'utf8')) as BuildRecord
  } catch {
    return undefined
  }
}

export function cSources(): string[] {
  return readdirSync(sourceFolder)
    .filter((name) => name.endsWith('.c'))
    .sort()
}

export function hashSources(): string {
  const hash = createHash('sha256').update(readFileSync(join(kernelsFolder, 'rankscope.h')))
  for (const name of readdirSync(sourceFolder).sort())
    hash
      .update(name)
      .update('\0')
      .update(readFileSync(join(sourceFolder, name)))
  return hash.digest('hex').slice(0, 16)
}

/** The kernels are compiled for the processor at hand, so another model needs another build. */
export function processor(): string {
  return `${process.platform} ${process.arch} ${processorFlags() ?? cpus()[0]?.model ?? 'unknown'}`
}

/** A hash of the instruction sets that Linux lists; the model's name alone does not tell them in a container. */
function processorFlags(): string | undefined {
  try {
    const flags = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]
    return flags && createHash('sha256').update(flags).digest('hex').slice(0, 16)
  } catch {
    return undefined
  }
}
