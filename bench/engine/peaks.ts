/** What this machine can multiply at most, by several ways: the best of them is the peak that shares are of. */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { launchCommand } from '@rankscope/launch'
import { findBuiltLibrary } from '../../gpu-node/kernels/built-library.ts'
import { findCompiler } from '../../gpu-node/kernels/toolchain.ts'
import { prepareOpenblas } from '../../gpu-node/src/native-libraries/openblas-environment.ts'
import { productRates } from '../../gpu-node/src/native-libraries/product-rates.ts'
import { sgemmCandidates } from '../../gpu-node/src/native-libraries/tune-products.ts'
import { runJson } from './run-json.ts'

/** GFLOP/s over all threads, by the clock and by processor time. */
export interface Rate {
  readonly wall: number
  readonly processor: number
}
export type Peaks = Readonly<Record<string, Rate>>

const side = 1536
const rounds = 6

/** In turns: multiply-adds on registers, the built-in product, OpenBLAS, and torch's where Python is given. */
export async function measurePeaks(threads: number, python: string | null): Promise<Peaks> {
  const fma = await multiplyAdds(threads)
  const [program, ...args] = launchCommand(new URL('./peaks.ts', import.meta.url), String(threads))
  const products = runJson<Peaks>(program, args)
  const script = fileURLToPath(new URL('./product.py', import.meta.url))
  const torch = python && runJson<Rate>(python, [script, JSON.stringify({ side, rounds, threads })])
  return { ...(fma && { 'multiply-adds': fma }), ...products, ...(torch && { torch }) }
}

/** One process per thread, all at once, added up; null where there is no compiler. */
async function multiplyAdds(threads: number): Promise<Rate | null> {
  const compiler = findCompiler()
  if (!compiler) return null
  const folder = mkdtempSync(join(tmpdir(), 'rankscope-fma-'))
  try {
    const program = join(folder, 'fma')
    const source = fileURLToPath(new URL('./fma.c', import.meta.url))
    const flags = compiler.flags.filter((flag) => flag !== '-fopenmp')
    const { status } = spawnSync(compiler.command, [...flags, source, '-o', program])
    if (status !== 0) return null
    const each = await Promise.all(Array.from({ length: threads }, () => output(program)))
    const rates = each.map((text) => JSON.parse(text) as Rate)
    const sum = (by: keyof Rate) => rates.reduce((total, rate) => total + rate[by], 0)
    return { wall: sum('wall'), processor: sum('processor') }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function output(program: string): Promise<string> {
  const child = spawn(program, { stdio: ['ignore', 'pipe', 'inherit'] })
  return new Promise((resolve, reject) => {
    let text = ''
    child.stdout.on('data', (chunk) => {
      text += chunk
    })
    child.once('error', reject)
    child.once('close', (status) =>
      status === 0 ? resolve(text) : reject(new Error(`${program}: ${status}`)),
    )
  })
}

/** The built-in product with the best of its block sizes, and OpenBLAS with the kernels chosen for this processor. */
function products(threads: number): Peaks {
  const built = findBuiltLibrary()
  if ('missing' in built) throw new Error(built.missing)
  const objection = prepareOpenblas(built.openblas)
  if (objection) throw new Error(objection)
  const candidates = sgemmCandidates(built.openblas !== null)
  const shape = { m: side, n: side, k: side, turned: false }
  const { rates } = productRates(built.path, candidates, [shape], { rounds, threads })
  const best: Record<string, Rate> = {}
  for (const [index, { product }] of candidates.entries()) {
    const rate = rates[index]![0]!
    const before = best[product] ?? { wall: 0, processor: 0 }
    best[product] = {
      wall: Math.max(before.wall, rate.wall),
      processor: Math.max(before.processor, rate.processor),
    }
  }
  return best
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  console.log(JSON.stringify(products(Number(process.argv[2]))))
