/**
 * Measures, once per processor and build, which kernels multiply fastest here among those that compute right: OpenBLAS's
 * by processor type, and the built-in product by the size of its blocks against OpenBLAS. The set-up calls it as a process
 * of its own, after the kernels were built; about ten seconds of one core. With `--measure` it measures the products, in the
 * environment that was chosen for OpenBLAS, and prints the rates as JSON.
 */
import { spawnSync } from 'node:child_process'
import { basename } from 'node:path'
import { pathToFileURL } from 'node:url'
import { launchCommand } from '@rankscope/launch'
import { z } from 'zod'
import { findBuiltLibrary } from '../../kernels/built-library.ts'
import { readTuning, type SgemmChoice, sgemmText, writeTuning } from '../../kernels/sgemm-choice.ts'
import { prepareOpenblas, tuneOpenblas } from './openblas-environment.ts'
import { type ProductShape, productRates } from './product-rates.ts'

/**
 * Another than the one that holds where nothing was measured has to be faster by this factor. Blocks of another
 * depth round otherwise, so that two set-ups of one machine, one of them measured while it was busy, should choose alike.
 */
const worthChanging = 1.12

const blocks: readonly [depth: number, rows: number][] = [
  [768, 96],
  [512, 96],
  [384, 96],
  [256, 96],
  [192, 96],
  [384, 192],
  [256, 192],
  [1024, 48],
]

export function sgemmCandidates(hasOpenblas: boolean): SgemmChoice[] {
  const builtIn = blocks.map(([depth, rows]): SgemmChoice => ({ product: 'built-in', depth, rows }))
  return hasOpenblas ? [...builtIn, { product: 'openblas', depth: 0, rows: 0 }] : builtIn
}

/**
 * The fastest, or what `holds` anyway unless another is clearly faster: the built-in product with 512-bit registers,
 * elsewhere OpenBLAS. Rates in the order of the candidates. Pure.
 */
export function fastest(
  candidates: readonly SgemmChoice[],
  rates: readonly number[],
  holds: SgemmChoice['product'],
): SgemmChoice {
  const best = rates.indexOf(Math.max(...rates))
  const kept = candidates.findIndex(({ product }) => product === holds)
  return rates[best]! > worthChanging * rates[kept]! ? candidates[best]! : candidates[kept]!
}

const measuredSchema = z.object({
  rates: z.array(z.number()).min(1),
  holds: z.enum(['built-in', 'openblas']),
})

/** Measures what has not been measured yet and keeps it; returns a sentence for people. */
function tune(library: string, openblas: string | null): string {
  const blas = openblas === null ? '' : `OpenBLAS: ${tuneOpenblas(openblas)}; `
  const known = readTuning(basename(library))
  if (known) return `${blas}products: ${sgemmText(known.choice)}`
  const [program, ...args] = launchCommand(new URL('./tune-products.ts', import.meta.url), '--measure')
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: 120_000 })
  if (status !== 0) return `${blas}products were not measured: ${stderr.trim().split('\n').at(-1) ?? ''}`
  const candidates = sgemmCandidates(openblas !== null)
  const { rates, holds } = measuredSchema.parse(JSON.parse(stdout))
  const choice = fastest(candidates, rates, holds)
  const named = Object.fromEntries(
    candidates.map((candidate, index) => [sgemmText(candidate), Math.round(rates[index]! * 10) / 10]),
  )
  writeTuning({ library: basename(library), choice, rates: named })
  return `${blas}products: ${sgemmText(choice)}, ${Math.max(...rates).toFixed(0)} GFLOP/s a thread`
}

/** Rows, columns and depth as in a step: forward, backward to the input, gradient of the weight (A transposed). */
const shapes: readonly ProductShape[] = [
  { m: 512, n: 1024, k: 768, turned: false },
  { m: 512, n: 768, k: 2048, turned: false },
  { m: 768, n: 1024, k: 512, turned: true },
]
const rounds = 12

/**
 * GFLOP/s of each candidate: the best of some rounds per shape, in turns, then the geometric mean over the shapes. By
 * processor time: a set-up beside other work must not choose by which candidate was interrupted.
 */
function measure(library: string, hasOpenblas: boolean): z.infer<typeof measuredSchema> {
  const candidates = sgemmCandidates(hasOpenblas)
  const { rates, holds } = productRates(library, candidates, shapes, { rounds, threads: 1 })
  const means = rates.map((byShape) =>
    Math.exp(byShape.reduce((sum, { processor }) => sum + Math.log(processor), 0) / byShape.length),
  )
  return { rates: means, holds }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const built = findBuiltLibrary()
  if ('missing' in built) throw new Error(built.missing)
  if (process.argv.includes('--measure')) {
    const objection = prepareOpenblas(built.openblas)
    if (objection) throw new Error(objection)
    console.log(JSON.stringify(measure(built.path, built.openblas !== null)))
  } else console.log(`Native kernels: ${tune(built.path, built.openblas)}`)
}
