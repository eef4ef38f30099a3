/** What a bundle of the node consists of, laid out in a folder as it will lie where it is unpacked. */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { commitFile, sourceCommit } from '@rankscope/launch'
import { RankscopeError } from '@rankscope/protocol'
import { buildFolder } from '../../gpu-node/kernels/built-library.ts'
import { hostLibraryPath } from '../../gpu-node/kernels/cuda/host-library.ts'
import { prepare } from '../../launch/bundle.mjs'
import { productionPackages } from './production-packages.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The commands that a bundle has, each a program of gpu-node. */
export const commands = ['node', 'train', 'sweep', 'evaluate', 'export', 'spectra', 'fetch'] as const

/** What is run beside the commands: the set-up of the kernels. */
export const kernelPrograms = {
  build: 'gpu-node/kernels/build.ts',
  tune: 'gpu-node/src/native-libraries/tune-products.ts',
} as const

/** Puts everything but the shell script into `folder`, which is empty. */
export async function layOut(folder: string): Promise<void> {
  const put = (path: string, take: (path: string) => boolean = () => true) =>
    cpSync(join(root, path), join(folder, path), {
      recursive: true,
      dereference: true,
      filter: (source) => take(relative(root, source)),
    })
  await programs(folder)
  for (const name of ['launch.mjs', 'prepared.mjs', 'source-lines.mjs', 'stamp.mjs']) put(`launch/${name}`)
  writeFileSync(join(folder, 'launch', commitFile), sourceCommit() ?? '')
  // Node has to know that what lies here are modules; the version is told from there.
  for (const path of ['package.json', 'gpu-node/package.json', 'models', 'LICENSE']) put(path)
  put('gpu-node/kernels', (path) => !/\/(build|emulation|test)$|\.ts$/.test(path))
  builtKernels(folder)
  for (const path of productionPackages(root, 'gpu-node'))
    put(path, (file) => isLoaded(file.slice(path.length + 1)))
  takeNode(join(folder, 'bin/node'))
}

/** The commands, and every program that one of them starts as a process or a thread of its own. */
async function programs(folder: string): Promise<void> {
  const prepared = join(folder, 'launch/prepared')
  let entries = [...commands.map((name) => `gpu-node/src/cli/${name}.ts`), ...Object.values(kernelPrograms)]
  for (;;) {
    const sources = await prepare(root, entries, prepared)
    const all = new Set([...entries, ...sources.flatMap(startedBy)])
    if (all.size === entries.length) return
    entries = [...all].sort()
  }
}

/** Modules that a source names by their place. */
function startedBy(source: string): string[] {
  const text = readFileSync(join(root, source), 'utf8')
  return [...text.matchAll(/new URL\('(\.{1,2}\/[^']+\.ts)', import\.meta\.url\)/g)].map(([, path]) =>
    join(dirname(source), path!),
  )
}

/** As built here: taken there where the processor is the same, else built anew. */
function builtKernels(folder: string): void {
  const to = join(folder, relative(root, buildFolder))
  mkdirSync(to, { recursive: true })
  const isWanted = (name: string) =>
    /^librankscope-.*\.so$|^library\.json$|^(sgemm|openblas-[0-9a-f]+)\.json$/.test(name) ||
    name === basename(hostLibraryPath())
  for (const name of readdirSync(buildFolder).filter(isWanted))
    cpSync(join(buildFolder, name), join(to, name))
}

/** Of a package's files those that Node may load. TensorFlow.js comes in seven forms, of which one is for Node. */
function isLoaded(file: string): boolean {
  if (/\.(map|md|markdown|ts|mts|cts|flow)$/.test(file)) return false
  return !/(^|\/)dist\/tf[^/]*\.js$/.test(file) || file.endsWith('.node.js')
}

function takeNode(to: string): void {
  const from = process.execPath
  mkdirSync(dirname(to), { recursive: true })
  cpSync(from, to, { dereference: true })
  // Symbols are a sixth of it; without binutils it stays as it is.
  spawnSync('strip', [to])
  const { status } = spawnSync(to, ['--version'], { env: {} })
  const linked = spawnSync('ldd', [to], { encoding: 'utf8' }).stdout ?? ''
  if (status !== 0 || linked.includes('libnode'))
    throw new RankscopeError('SETUP_MISSING', `${from} does not run without libraries of this system`, {
      hint: 'Make the bundle with a Node from nodejs.org.',
    })
}
