/**
 * Builds the native kernels into gpu-node/kernels/build/:
 *
 *     node launch/launch.mjs gpu-node/kernels/build.ts [--without-openblas]
 *
 * Does nothing when the library is up to date. Without a C compiler it says what to install and exits with 1; the
 * node then trains on the wasm backend. Without OpenBLAS the built-in sgemm is used.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import {
  type BuildRecord,
  buildFolder,
  cSources,
  hashSources,
  processor,
  readBuildRecord,
  sourceFolder,
} from './built-library.ts'
import { buildHostLibrary } from './cuda/build-host.ts'
import { type Compiler, findCompiler, findOpenblas, type Openblas } from './toolchain.ts'

const run = promisify(execFile)

export type BuildResult =
  | { kind: 'built' | 'upToDate'; path: string; compiler: string; openblas: string | null }
  | { kind: 'failed'; reason: string; hint: string }

/** Builds the library unless it is there already. */
export async function buildKernels(options: { withoutOpenblas: boolean }): Promise<BuildResult> {
  const compiler = findCompiler()
  if (!compiler)
    return {
      kind: 'failed',
      reason: 'no C compiler was found',
      hint: 'On Debian: apt-get install gcc libc6-dev',
    }
  const openblas = options.withoutOpenblas ? undefined : findOpenblas()
  const recipe = [
    compiler.version,
    ...compiler.flags,
    ...compiler.linkFlags,
    openblas?.library ?? 'built-in',
  ].join(' ')
  const key = createHash('sha256')
    .update(`${hashSources()} ${processor()} ${recipe}`)
    .digest('hex')
    .slice(0, 12)
  const record: BuildRecord = {
    sources: hashSources(),
    processor: processor(),
    recipe,
    file: `librankscope-${key}.so`,
    openblas: openblas?.library ?? null,
  }
  const result = {
    path: join(buildFolder, record.file),
    compiler: compiler.version,
    openblas: record.openblas,
  }
  if (existsSync(result.path) && readBuildRecord()?.file === record.file)
    return { kind: 'upToDate', ...result }
  try {
    await compileAndLink(compiler, openblas, record)
  } catch (error) {
    const output = (error as { stderr?: string }).stderr ?? String(error)
    return {
      kind: 'failed',
      reason: `the C compiler refused: ${output.trim()}`,
      hint: 'See the message above',
    }
  }
  return { kind: 'built', ...result }
}

/** Objects and the library come into being in a folder of their own, so that two builds at once do no harm. */
async function compileAndLink(
  compiler: Compiler,
  openblas: Openblas | undefined,
  record: BuildRecord,
): Promise<void> {
  mkdirSync(buildFolder, { recursive: true })
  const folder = mkdtempSync(join(buildFolder, 'making-'))
  try {
    const include = openblas ? ['-DRS_OPENBLAS', `-I${openblas.includeFolder}`] : []
    const waiting = cSources()
    const compileNext = async (): Promise<void> => {
      for (let name = waiting.pop(); name; name = waiting.pop())
        await run(compiler.command, [
          ...compiler.flags,
          ...include,
          '-c',
          join(sourceFolder, name),
          '-o',
          join(folder, `${name}.o`),
        ])
    }
    await Promise.all(Array.from({ length: availableParallelism() }, compileNext))
    const objects = readdirSync(folder).map((name) => join(folder, name))
    const blas = openblas ? [openblas.library, `-Wl,-rpath,${openblas.libraryFolder}`] : []
    const library = join(folder, record.file)
    await run(compiler.command, [...objects, ...blas, ...compiler.linkFlags, '-o', library])
    renameSync(library, join(buildFolder, record.file))
    writeFileSync(join(folder, 'library.json'), `${JSON.stringify(record, null, 2)}\n`)
    renameSync(join(folder, 'library.json'), join(buildFolder, 'library.json'))
    removeOldLibraries(record.file)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function removeOldLibraries(keep: string): void {
  for (const name of readdirSync(buildFolder))
    if (/^librankscope-.*\.so$/.test(name) && name !== keep) rmSync(join(buildFolder, name))
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const result = await buildKernels({ withoutOpenblas: process.argv.includes('--without-openblas') })
  if (result.kind === 'failed') {
    console.error(`Native kernels: ${result.reason}.\n${result.hint}`)
    process.exitCode = 1
  } else {
    const done = result.kind === 'built' ? 'built' : 'up to date'
    console.log(`Native kernels: ${done} (${result.compiler}; ${result.openblas ?? 'built-in sgemm'})`)
    if (process.platform === 'linux') buildHostLibrary(findCompiler()!.command)
    if (!result.openblas)
      console.log(
        'OpenBLAS would bring the LAPACK that spectra are fastest with; on Debian: apt-get install libopenblas-openmp-dev',
      )
  }
}
