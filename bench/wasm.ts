/**
 * `npm run bench -- wasm`: training steps where no native kernels can be built.
 *
 * Options: --size demo (sizes.ts), --rank 16, --rounds 5, --threads (all), --docs docs.
 *
 * The methods of the built-in comparison live in one process and take turns, a step by the module's own products and
 * one by OpenBLAS, so that what else the machine does disturbs all alike. A stopwatch around the module's matMul tells
 * how much of a step are products: the share of the speed that they alone would allow. Writes the section "Without
 * native kernels" of docs/benchmarks.md.
 */
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type MethodConfig, methodConfigSchema, methodLabels } from '@rankscope/protocol'
import { BatchMatMul, getKernel, registerKernel, unregisterKernel } from '@tensorflow/tfjs-core'
import { wasmAloneBackend, wasmBackend } from '../gpu-node/src/backends/wasm.ts'
import { median } from './engine/report.ts'
import { sizes } from './engine/sizes.ts'
import { syntheticTraining } from './engine/synthetic.ts'
import { StepByStep } from './methods/step-by-step.ts'
import { machineLine } from './output/machine.ts'
import { markdownTable, percent, replaceSection } from './output/markdown.ts'

const warmUpRounds = 1

interface Contestant {
  readonly label: string
  readonly run: StepByStep
  readonly rounds: { aloneMs: number; productMs: number; openblasMs: number }[]
}

async function benchWasm(): Promise<void> {
  const { values: options } = parseArgs({
    options: {
      size: { type: 'string', default: 'demo' },
      rank: { type: 'string', default: '16' },
      rounds: { type: 'string', default: '5' },
      threads: { type: 'string', default: String(availableParallelism()) },
      docs: { type: 'string', default: join(import.meta.dirname, '../docs') },
    },
  })
  const size = sizes[options.size]
  if (!size) throw new Error(`there is no size ${options.size}; known: ${Object.keys(sizes).join(', ')}`)
  const [rank, rounds, threads] = [options.rank, options.rounds, options.threads].map(Number) as [
    number,
    number,
    number,
  ]
  const { description: alone } = await wasmAloneBackend.start({ threads })
  const { description: withOpenblas } = await wasmBackend.start({ threads })
  if (withOpenblas === alone) throw new Error('there is no OpenBLAS to compare with')

  const contestants: Contestant[] = []
  for (const { label, method, devices } of comparison(rank)) {
    const training = await syntheticTraining(size, method, devices, 2 * (warmUpRounds + rounds))
    contestants.push({ label, run: new StepByStep(training), rounds: [] })
  }
  for (let round = 1 - warmUpRounds; round <= rounds; round++) {
    for (const contestant of contestants) {
      const taken = await stepBothWays(contestant.run, threads)
      if (round > 0) contestant.rounds.push(taken)
    }
    if (round > 0) console.error(`round ${round} of ${rounds}`)
  }

  const tokens = size.batch * size.sequence
  const machine = machineLine(`${withOpenblas}, ${threads} threads for OpenBLAS, one for all else`)
  const setting = `hidden ${size.hidden}, mlp ${size.mlp}, ${size.layers} layers, ${size.batch} x ${size.sequence} tokens a step`
  const caption = `${machine} Size ${size.name} (${setting}), rank ${rank}, optimizer included; medians of ${rounds} rounds.`
  const table = wasmTable(contestants, tokens)
  replaceSection(join(options.docs, 'benchmarks.md'), 'wasm', `${caption}\n\n${table}`)
  console.log(`${caption}\n\n${table}`)
}

function comparison(rank: number): { label: string; method: MethodConfig; devices: number }[] {
  const ranked = (name: 'lora' | 'pissa' | 'hd-pissa') => methodConfigSchema.parse({ name, rank })
  return [
    { label: methodLabels.lora, method: ranked('lora'), devices: 1 },
    { label: methodLabels.pissa, method: ranked('pissa'), devices: 1 },
    { label: `${methodLabels['hd-pissa']} K=4`, method: ranked('hd-pissa'), devices: 4 },
    { label: methodLabels.full, method: methodConfigSchema.parse({ name: 'full' }), devices: 1 },
  ]
}

async function stepBothWays(run: StepByStep, threads: number): Promise<Contestant['rounds'][number]> {
  await wasmAloneBackend.start({ threads })
  const products = timeProducts()
  const aloneMs = await timed(() => run.step())
  await wasmBackend.start({ threads }) // puts another kernel in place of the timed one
  return { aloneMs, productMs: products.ms, openblasMs: await timed(() => run.step()) }
}

/** Puts a stopwatch around the products of the active backend, until it is started again. */
function timeProducts(): { ms: number } {
  const products = { ms: 0 }
  const kernel = getKernel(BatchMatMul, 'wasm')!
  unregisterKernel(BatchMatMul, 'wasm')
  registerKernel({
    ...kernel,
    kernelFunc: (call) => {
      const start = performance.now()
      const result = kernel.kernelFunc(call)
      products.ms += performance.now() - start
      return result
    },
  })
  return products
}

async function timed(work: () => Promise<void>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

function wasmTable(contestants: readonly Contestant[], tokens: number): string {
  const header = [
    'method',
    'own products: step ms',
    'tokens/s',
    'of the step in products',
    'OpenBLAS: step ms',
    'tokens/s',
    'times as fast',
  ]
  const rows = contestants.map(({ label, rounds }) => {
    const [alone, openblas] = [
      median(rounds.map(({ aloneMs }) => aloneMs)),
      median(rounds.map(({ openblasMs }) => openblasMs)),
    ]
    return [
      label,
      alone.toFixed(0),
      ((tokens / alone) * 1000).toFixed(0),
      percent(median(rounds.map(({ aloneMs, productMs }) => productMs / aloneMs))),
      openblas.toFixed(0),
      ((tokens / openblas) * 1000).toFixed(0),
      median(rounds.map(({ aloneMs, openblasMs }) => aloneMs / openblasMs)).toFixed(2),
    ]
  })
  return markdownTable(header, rows)
}

await benchWasm()
