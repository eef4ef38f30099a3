/**
 * Compiles the CUDA kernels to PTX, for whoever changed them and has nvcc:
 *
 *     node launch/launch.mjs gpu-node/kernels/cuda/build-ptx.ts
 *
 * kernels.ptx.br is part of the repository, so that a machine with a GPU needs a driver and nothing to compile. One text
 * for all chips from compute capability 8.0 on; its version is set back to 7.0, of which our kernels use nothing newer,
 * so that every driver since 450 takes it.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib'
import { cudaFolder, hashOfKernels, kernelSources } from './host-library.ts'

const ptxFile = join(cudaFolder, 'kernels.ptx.br')

/** `release 13.0, V13.0.88` of nvcc, or null where there is none. */
export function nvccRelease(): string | null {
  const { status, stdout } = spawnSync('nvcc', ['--version'], { encoding: 'utf8' })
  return status === 0 ? (/release .*/.exec(stdout)?.[0] ?? null) : null
}

/** The text as nvcc makes it now, under lines that say from which sources and by which release. */
export function compilePtx(release: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'rankscope-ptx-'))
  try {
    const source = join(folder, 'kernels.cu')
    writeFileSync(
      source,
      kernelSources()
        .map((file) => readFileSync(file, 'utf8'))
        .join('\n'),
    )
    const options = [
      '-std=c++17',
      '-O3',
      `-I${cudaFolder}`,
      '-ptx',
      '-arch=compute_80',
      'kernels.cu',
      '-o',
      'kernels.ptx',
    ]
    execFileSync('nvcc', options, { cwd: folder })
    const text = readFileSync(join(folder, 'kernels.ptx'), 'utf8').replace(/^\.version .*/m, '.version 7.0')
    return `// sources ${hashOfKernels()}\n// nvcc ${release}\n${text}`
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** The text in the repository. */
export function storedPtx(): string {
  return brotliDecompressSync(readFileSync(ptxFile)).toString('utf8')
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const release = nvccRelease()
  if (release === null) {
    console.error('nvcc was not found: install the CUDA toolkit, or its packages of pip.')
    process.exit(1)
  }
  const text = compilePtx(release)
  const parameters = { [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_SIZE_HINT]: text.length }
  writeFileSync(ptxFile, brotliCompressSync(text, { params: parameters }))
  console.log(`${ptxFile}: ${readFileSync(ptxFile).length} bytes, ${release}`)
}
