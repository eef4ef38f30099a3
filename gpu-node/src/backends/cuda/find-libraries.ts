/**
 * Where NVIDIA's driver and cuBLAS may lie. The driver comes with the GPU; cuBLAS with the CUDA toolkit, a conda
 * environment or a package of pip, of CUDA 13 or 12. Nothing of it is part of this program.
 *
 * RANKSCOPE_CUDA_DRIVER names the driver's file; RANKSCOPE_CUDA_LIBRARIES a folder that is looked into before all others.
 */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/** Newest first. A cuBLAS newer than the driver does not start, so the one before it is tried next. */
const cublasNames = ['libcublas.so.13', 'libcublas.so.12']
/** Of CUDA 13 and 12, in that order. */
const cusolverNames = ['libcusolver.so.12', 'libcusolver.so.11']

/** The driver to open: a file, or the name by which the dynamic linker knows it. */
export function driverCandidates(environment = process.env): string[] {
  const named = environment['RANKSCOPE_CUDA_DRIVER']
  if (named) return [named]
  const folders = ['/usr/local/nvidia/lib64', '/usr/lib/wsl/lib']
  return [
    'libcuda.so.1',
    ...folders.map((folder) => join(folder, 'libcuda.so.1')).filter((file) => existsSync(file)),
  ]
}

/** Files of cuBLAS that exist, then its names for the dynamic linker; best first. */
export const cublasCandidates = (environment = process.env): string[] => candidates(cublasNames, environment)

/** The same of cuSOLVER, which computes spectra and starts; without it they are the CPU's. */
export const cusolverCandidates = (environment = process.env): string[] =>
  candidates(cusolverNames, environment)

function candidates(names: readonly string[], environment: NodeJS.ProcessEnv): string[] {
  const named = environment['RANKSCOPE_CUDA_LIBRARIES']
  const folders = [...(named ? [named] : []), ...toolkitFolders(environment), ...pipFolders(environment)]
  const files = names.flatMap((name) =>
    folders.map((folder) => join(folder, name)).filter((file) => existsSync(file)),
  )
  const own = named ? files.filter((file) => file.startsWith(named)) : []
  return [...new Set([...own, ...names, ...files])]
}

function toolkitFolders(environment: NodeJS.ProcessEnv): string[] {
  const roots = [
    environment['CUDA_HOME'],
    environment['CUDA_PATH'],
    '/usr/local/cuda',
    ...children('/usr/local').filter((path) => path.includes('/cuda-')),
    '/opt/cuda',
  ]
  const conda = environment['CONDA_PREFIX']
  const present = roots.filter((root) => root !== undefined)
  return [
    ...present.flatMap((root) => [join(root, 'lib64'), join(root, 'lib')]),
    ...(conda ? [join(conda, 'lib')] : []),
  ]
}

/** `pip install nvidia-cublas` puts it into nvidia/cu13/lib, packages of CUDA 12 into folders of their own. */
function pipFolders(environment: NodeJS.ProcessEnv): string[] {
  const environments = [
    environment['VIRTUAL_ENV'],
    ...children('/opt').flatMap((path) => [join(path, '.venv'), join(path, 'venv')]),
    '/usr',
    '/usr/local',
    join(environment['HOME'] ?? '/root', '.local'),
  ].filter((path) => path !== undefined)
  const sites = environments.flatMap((root) =>
    children(join(root, 'lib'))
      .filter((path) => /\/python3[^/]*$/.test(path))
      .flatMap((path) => [join(path, 'site-packages'), join(path, 'dist-packages')]),
  )
  const folders = ['cu13', 'cublas', 'cusolver'].map((name) => `nvidia/${name}/lib`)
  return sites.flatMap((site) => folders.map((folder) => join(site, folder)))
}

function children(folder: string): string[] {
  try {
    return readdirSync(folder).map((name) => join(folder, name))
  } catch {
    return []
  }
}
