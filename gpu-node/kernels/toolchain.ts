/** Finds what the kernels are built with: a C compiler, OpenMP, OpenBLAS. */
import { spawnSync } from 'node:child_process'
import { existsSync, realpathSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Compiler {
  readonly command: string
  /** First line of `--version`. */
  readonly version: string
  readonly flags: readonly string[]
  readonly linkFlags: readonly string[]
}

export interface Openblas {
  readonly includeFolder: string
  readonly libraryFolder: string
  /** The file that is loaded at run time. */
  readonly library: string
}

/**
 * Optimisation without the part of -ffast-math that assumes that NaN and infinity never occur: a NaN loss must
 * arrive as NaN. Nothing may reorder sums either, beyond the loops that ask for it.
 */
const arithmeticFlags = ['-O3', '-fno-math-errno', '-fno-trapping-math', '-ffp-contract=fast']
const commonFlags = ['-std=gnu11', '-fPIC', '-fvisibility=hidden', '-Wall', '-Wextra']

/** The C compiler ($CC, else cc, gcc, clang), or undefined when none works. */
export function findCompiler(): Compiler | undefined {
  for (const command of [process.env['CC'], 'cc', 'gcc', 'clang']) {
    if (!command) continue
    const version = spawnSync(command, ['--version'], { encoding: 'utf8' })
    if (version.status !== 0) continue
    const optional = [['-march=native'], ['-mprefer-vector-width=512'], ['-fopenmp']].filter((flags) =>
      compiles(command, flags),
    )
    const flags = [...arithmeticFlags, ...commonFlags, ...optional.flat()]
    // nodelete: Node unloads libraries at exit, while OpenMP's threads still run their code.
    const stayLoaded = process.platform === 'linux' ? ['-Wl,-z,nodelete'] : []
    const linkFlags = ['-shared', ...(flags.includes('-fopenmp') ? ['-fopenmp'] : []), ...stayLoaded, '-lm']
    return { command, version: version.stdout.split('\n', 1)[0] ?? '', flags, linkFlags }
  }
  return undefined
}

function compiles(command: string, flags: readonly string[]): boolean {
  const output = join(tmpdir(), `rankscope-compiler-check-${process.pid}.so`)
  const source = 'int rs_check(int x) { return x; }\n'
  const result = spawnSync(command, [...flags, '-shared', '-fPIC', '-x', 'c', '-', '-o', output], {
    input: source,
  })
  if (result.status === 0) spawnSync('rm', ['-f', output])
  return result.status === 0
}

/** Folders in which distributions keep OpenBLAS, best first: attention calls it from inside OpenMP regions. */
function openblasFolders(): { include: string; library: string }[] {
  const triplet =
    { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' }[process.arch as string] ?? process.arch
  const debian = ['openblas-openmp', 'openblas-pthread', 'openblas-serial'].map((kind) => ({
    include: `/usr/include/${triplet}/${kind}`,
    library: `/usr/lib/${triplet}/${kind}`,
  }))
  return [
    ...debian,
    { include: '/usr/include/openblas', library: '/usr/lib64' },
    { include: '/usr/include', library: '/usr/lib' },
    { include: '/opt/homebrew/opt/openblas/include', library: '/opt/homebrew/opt/openblas/lib' },
    { include: '/usr/local/opt/openblas/include', library: '/usr/local/opt/openblas/lib' },
  ]
}

export function findOpenblas(): Openblas | undefined {
  for (const { include, library } of openblasFolders()) {
    if (!existsSync(join(include, 'cblas.h')) || !existsSync(join(include, 'openblas_config.h'))) continue
    for (const name of ['libopenblas.so.0', 'libopenblas.so', 'libopenblas.dylib']) {
      const path = join(library, name)
      if (existsSync(path) && existsSync(realpathSync(path)))
        return { includeFolder: include, libraryFolder: library, library: path }
    }
  }
  return undefined
}
