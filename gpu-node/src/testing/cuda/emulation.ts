/**
 * For tests: the CUDA build without a GPU. What drives a GPU is the host library that the product loads; the driver,
 * cuBLAS and cuSOLVER under it are stand-ins (gpu-node/kernels/cuda/emulation), made of our kernels by g++. Built once
 * for each state of the sources.
 */
import { execFile, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { buildFolder } from '../../../kernels/built-library.ts'
import { buildHostLibrary } from '../../../kernels/cuda/build-host.ts'
import {
  cudaFolder,
  filesOf,
  hashOfFiles,
  hostSources,
  kernelSources,
} from '../../../kernels/cuda/host-library.ts'
import { findOpenblas } from '../../../kernels/toolchain.ts'

export interface EmulatedCuda {
  readonly host: string
  readonly driver: string
  /** cuBLAS; cuSOLVER lies beside it. */
  readonly blas: string
  /** Runs every kernel on odd shapes and prints a hash of each result (kernels/cuda/test/hashes.c). */
  readonly hashes: string
}

interface Variant {
  /** With ThreadSanitizer watching the kernels, each thread of a block one of its threads. */
  watched?: boolean
  /** Sources changed on the way to the compiler: a path below kernels/cuda, and another file in its place. */
  replaced?: ReadonlyMap<string, string>
  /** More flags of the compiler for the host side. */
  hostFlags?: readonly string[]
}

/** Tests of the CUDA build run on this machine's GPU instead. */
export const onGpu = process.env['RANKSCOPE_TEST_GPU'] === '1'

/** Why the emulation cannot be built here; null where it can. */
export const emulationMissing: string | null = reasonMissing()

function reasonMissing(): string | null {
  if (process.platform !== 'linux') return 'skipped: the emulated driver is for Linux'
  if (spawnSync('g++', ['--version']).status !== 0) return 'skipped: g++ is not installed (Debian: g++)'
  if (!findOpenblas()) return 'skipped: OpenBLAS is not installed (Debian: libopenblas-openmp-dev)'
  return null
}

const run = promisify(execFile)
const warnings = ['-Wall', '-Wextra', '-Wno-unknown-pragmas']
const shim = join(cudaFolder, 'emulation/shim.h')
const kernelFlags = [
  '-std=c++20',
  '-O2',
  '-g',
  ...warnings,
  '-fPIC',
  '-ffp-contract=fast',
  '-include',
  shim,
  '-x',
  'c++',
]

/** The emulation as the sources are. */
export async function emulatedCuda(): Promise<EmulatedCuda> {
  const folder = await kept('emulated', {})
  return { ...paths(folder), host: buildHostLibrary('cc') }
}

/** The same with races looked for; the host side is the watched one too. */
export async function watchedCuda(): Promise<EmulatedCuda> {
  return paths(await kept('watched', { watched: true }))
}

/** Built into `folder`, for experiments with changed sources; `from` has the parts that stay as they are. */
export async function changedCuda(
  folder: string,
  from: EmulatedCuda,
  variant: Variant,
): Promise<EmulatedCuda> {
  const replaced = variant.replaced ?? new Map<string, string>()
  const changesKernels = [...replaced.keys()].some((name) => name.endsWith('.cu'))
  mkdirSync(folder, { recursive: true })
  if (!changesKernels) {
    await buildHost(folder, variant)
    return { ...from, host: paths(folder).host }
  }
  await buildDriver(folder, variant, join(from.driver, '..'))
  await buildBlas(folder, false)
  return { ...paths(folder), host: from.host, hashes: from.hashes }
}

async function kept(name: string, variant: Variant): Promise<string> {
  const sources = [
    ...['emulation', 'host', 'test'].flatMap((folder) => filesOf(folder, '')),
    ...kernelSources(),
    join(cudaFolder, 'kernels.h'),
    join(cudaFolder, 'device.cuh'),
  ]
  const folder = join(buildFolder, `cuda-${name}-${hashOfFiles(sources)}`)
  if (existsSync(folder)) return folder
  mkdirSync(buildFolder, { recursive: true })
  for (const old of readdirSync(buildFolder))
    if (old.startsWith(`cuda-${name}-`)) rmSync(join(buildFolder, old), { recursive: true, force: true })
  const aside = mkdtempSync(join(buildFolder, 'making-'))
  await Promise.all([buildDriver(aside, variant), buildHost(aside, variant), buildHashes(aside, variant)])
  await buildBlas(aside, variant.watched ?? false)
  try {
    renameSync(aside, folder)
  } catch (error) {
    // Another process was quicker.
    if (!existsSync(folder)) throw error
    rmSync(aside, { recursive: true })
  }
  return folder
}

function paths(folder: string): EmulatedCuda {
  return {
    host: join(folder, 'host.so'),
    driver: join(folder, 'libcuda.so.1'),
    blas: join(folder, 'libcublas.so.13'),
    hashes: join(folder, 'hashes'),
  }
}

/** Kernels are watched, the emulator itself is not: it takes ThreadSanitizer's calls only. */
async function buildDriver(
  folder: string,
  { watched, replaced }: Variant,
  unchanged?: string,
): Promise<void> {
  const sanitizer = watched ? ['-fsanitize=thread'] : []
  const objects = kernelSources().map(async (source) => {
    const name = source.slice(cudaFolder.length + 1)
    const object = `${name.replace('.cu', '')}.o`
    const other = replaced?.get(name)
    if (unchanged && !other) return join(unchanged, object)
    const out = join(folder, object)
    await run('g++', [...kernelFlags, ...sanitizer, `-I${cudaFolder}`, '-c', other ?? source, '-o', out])
    return out
  })
  const own = ['-std=c++20', '-O2', '-g', '-fPIC', ...warnings, ...(watched ? ['-DRS_TSAN'] : [])]
  const emulator = ['memory', 'blocks', 'driver'].map(async (name) => {
    const object = join(unchanged ?? folder, `emulated-${name}.o`)
    const source = join(cudaFolder, `emulation/${name}.cpp`)
    if (!unchanged) await run('g++', [...own, '-c', source, '-o', object])
    return object
  })
  const parts = await Promise.all([...objects, ...emulator])
  const named = ['-shared', '-Wl,-soname,libcuda.so.1']
  await run('g++', [...named, ...sanitizer, ...parts, '-o', join(folder, 'libcuda.so.1')])
}

async function buildBlas(folder: string, watched: boolean): Promise<void> {
  const { library, libraryFolder, includeFolder } = findOpenblas()!
  const build = (source: string, name: string) =>
    run('g++', [
      ...['-shared', '-std=c++20', '-O2', '-g', '-fPIC', ...warnings, ...(watched ? ['-DRS_TSAN'] : [])],
      ...[`-I${includeFolder}`, join(cudaFolder, 'emulation', source), library],
      ...[`-Wl,-rpath,${libraryFolder}`, join(folder, 'libcuda.so.1'), '-Wl,-rpath,$ORIGIN'],
      ...['-o', join(folder, name)],
    ])
  await Promise.all([build('blas.cpp', 'libcublas.so.13'), build('solver.cpp', 'libcusolver.so.12')])
}

async function buildHost(folder: string, { replaced, hostFlags = [] }: Variant): Promise<void> {
  const sources = hostSources().map((source) => replaced?.get(source.slice(cudaFolder.length + 1)) ?? source)
  await run('cc', [
    ...[
      '-std=gnu11',
      '-O2',
      '-g',
      '-fPIC',
      '-fvisibility=hidden',
      '-pthread',
      '-shared',
      `-I${join(cudaFolder, 'host')}`,
    ],
    ...[...hostFlags, ...sources, '-ldl', '-lm', '-o', join(folder, 'host.so')],
  ])
}

async function buildHashes(folder: string, { watched }: Variant): Promise<void> {
  const sanitizer = watched ? ['-fsanitize=thread'] : []
  const source = join(cudaFolder, 'test/hashes.c')
  await run('cc', ['-std=gnu11', '-O1', '-g', ...sanitizer, source, '-ldl', '-o', join(folder, 'hashes')])
}
