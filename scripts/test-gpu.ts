/**
 * `npm run test:gpu`: everything that needs a GPU, in about ten minutes of it, on the machine that has one. What each part
 * printed is kept under gpu-report/, a file each, whether it passed or not; the last lines say which did.
 *
 * Options: --only bits,contract (parts, in their order here), --out FOLDER.
 *
 * Needs a driver, cuBLAS, a C compiler and g++; where they are missing compute-sanitizer, PyTorch or the golden cases are
 * left out, which is said. Speed comes last, since it may be cut short.
 */
import { spawn, spawnSync } from 'node:child_process'
import { createWriteStream, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { brotliDecompressSync } from 'node:zlib'
import { buildHostLibrary } from '../gpu-node/kernels/cuda/build-host.ts'
import { cudaFolder } from '../gpu-node/kernels/cuda/host-library.ts'
import { cublasCandidates, driverCandidates } from '../gpu-node/src/backends/cuda/find-libraries.ts'

interface Part {
  readonly name: string
  readonly minutes: number
  /** The command lines, or why there is nothing to run here. */
  prepare(folder: string): Command[] | string
}
type Command = readonly [program: string, ...args: string[]]

const node = process.execPath
const launched = (file: string, ...args: string[]): Command => [node, 'launch/launch.mjs', file, ...args]
const bench = (...args: string[]): Command => launched('bench/cli.ts', ...args)
/** RANKSCOPE_TEST_GPU: what tests start as `cuda` is the GPU, and not the emulated driver. */
const onGpu = { RANKSCOPE_TEST_GPU: '1', CI: 'true' }
const precisions = ['PRODUCTS=0', 'PRODUCTS=1', 'PRODUCTS=3', 'OPERANDS=2']

const parts: readonly Part[] = [
  {
    name: 'machine',
    minutes: 1,
    prepare: () => [
      ...(found('nvidia-smi') ? [['nvidia-smi'] as const] : []),
      launched('gpu-node/src/testing/cuda/start-probe.ts'),
      launched('gpu-node/src/testing/cuda/spectrum-probe.ts'),
    ],
  },
  {
    name: 'bits',
    minutes: 1,
    prepare: (folder) => [['sh', '-c', bitsScript(folder)]],
  },
  {
    name: 'sanitizers',
    minutes: 2,
    prepare: (folder) =>
      found('compute-sanitizer')
        ? ['memcheck', 'racecheck', 'initcheck', 'synccheck'].map(
            (tool): Command => [
              'compute-sanitizer',
              '--error-exitcode',
              '1',
              '--tool',
              tool,
              ...hashes(folder),
            ],
          )
        : 'compute-sanitizer is not installed (it comes with the CUDA toolkit)',
  },
  {
    name: 'contract',
    minutes: 3,
    prepare: () => [
      [
        node,
        ...['node_modules/vitest/vitest.mjs', 'run', '--reporter=verbose'],
        ...['contract', 'contract-precisions', 'cuda'].map((name) => `gpu-node/src/backends/${name}.test.ts`),
        ...['contract', 'cuda'].map((name) => `gpu-node/src/linalg/${name}.test.ts`),
        'gpu-node/src/ops/compute-dtype.test.ts',
      ],
    ],
  },
  {
    name: 'goldens',
    minutes: 2,
    prepare: (folder) => [
      bench('goldens', '--backend', 'cuda', '--cases', 'hd_', '--out', join(folder, 'goldens.md')),
    ],
  },
  {
    name: 'speed',
    minutes: 6,
    prepare: () =>
      [
        ['--sizes', '1.1B', '--products', 'TF32', '--methods', 'lora,hd-pissa'],
        ['--sizes', '1.1B', '--compute-dtype', 'bfloat16', '--methods', 'hd-pissa', '--python', 'none'],
        ['--sizes', '7B', '--products', 'TF32', '--methods', 'hd-pissa', '--python', 'none'],
      ].map((options) => bench('engine', '--backend', 'cuda', '--rounds', '1', '--steps', '5', ...options)),
  },
]

const found = (program: string): boolean =>
  spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0

/** The program that runs every kernel on odd shapes, with what it takes. */
function hashes(folder: string): [string, ...string[]] {
  const [program, image] = [join(folder, 'hashes'), join(folder, 'kernels.ptx')]
  writeFileSync(image, brotliDecompressSync(readFileSync(join(cudaFolder, 'kernels.ptx.br'))))
  const source = join(cudaFolder, 'test/hashes.c')
  const built = spawnSync('cc', ['-std=gnu11', '-O1', source, '-ldl', '-o', program], { encoding: 'utf8' })
  if (built.status !== 0) throw new Error(built.stderr)
  const blas = cublasCandidates().join('\n')
  return [program, buildHostLibrary('cc'), driverCandidates()[0]!, blas, image]
}

/** In each precision twice: the same bits, and no precision those of another. The first run has the driver compile. */
function bitsScript(folder: string): string {
  const quoted = hashes(folder)
    .map((argument) => `'${argument}'`)
    .join(' ')
  const twice = precisions.map((precision, i) => {
    const [a, b] = [join(folder, `bits-${i}-a.txt`), join(folder, `bits-${i}-b.txt`)]
    return `date; ${precision} ${quoted} > '${a}'; date; ${precision} ${quoted} > '${b}'; cmp '${a}' '${b}'; cat '${a}'`
  })
  const different = `test $(cat '${folder}'/bits-?-a.txt | grep 'cross entropy dx' | sort -u | wc -l) = ${precisions.length}`
  return ['set -e', ...twice, different].join('\n')
}

/** Runs what a part consists of; resolves to how it went. */
async function runPart(part: Part, folder: string): Promise<string> {
  const commands = part.prepare(folder)
  if (typeof commands === 'string') return `left out: ${commands}`
  const file = join(folder, `${part.name}.log`)
  const log = createWriteStream(file)
  const deadline = Date.now() + part.minutes * 60_000
  let outcome = 'passed'
  for (const [program, ...args] of commands) {
    const left = deadline - Date.now()
    if (left <= 0) {
      outcome = `cut short after ${part.minutes} minutes`
      break
    }
    log.write(`$ ${[program, ...args].join(' ')}\n`)
    const child = spawn(program, args, {
      env: { ...process.env, ...onGpu },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: left,
    })
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => {
        log.write(chunk)
        process.stdout.write(chunk)
      })
    const code = await new Promise<string>((settle) => {
      child.on('error', (error) => settle(error.message))
      child.on('close', (status, signal) => settle(signal ?? String(status)))
    })
    if (code !== '0') outcome = `FAILED (${code})`
  }
  await new Promise((settle) => log.end(settle))
  return `${outcome}; ${file}`
}

const { values } = parseArgs({
  options: { only: { type: 'string' }, out: { type: 'string', default: 'gpu-report' } },
})
const folder = resolve(values.out)
mkdirSync(folder, { recursive: true })
const only = values.only?.split(',')
const unknown = only?.find((name) => !parts.some((part) => part.name === name))
if (unknown !== undefined)
  throw new Error(`there is no part ${unknown}; known: ${parts.map(({ name }) => name).join(', ')}`)
const outcomes: string[] = []
for (const part of parts.filter(({ name }) => !only || only.includes(name))) {
  const started = Date.now()
  const outcome = await runPart(part, folder)
  outcomes.push(`${part.name}, ${((Date.now() - started) / 1000).toFixed(0)} s: ${outcome}`)
}
console.log(`\n${outcomes.join('\n')}`)
writeFileSync(join(folder, 'summary.txt'), `${outcomes.join('\n')}\n`)
if (outcomes.some((line) => line.includes('FAILED'))) process.exitCode = 1
