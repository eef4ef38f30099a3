/**
 * `npm run bench -- engine`: training steps of every method against the machine's matrix products and PyTorch.
 *
 * Options: --sizes A,C (or demo, V), --steps 5, --rounds 3, --threads (all), --backend native, --rank 16,
 * --python python3 (one that has torch, transformers and peft; none: no comparison).
 * On a GPU: --backend cuda, --sizes 160M,1.1B,7B (NAME-16k: 16,384 tokens a step), --products float32 (3xTF32, TF32),
 * --compute-dtype float32 (bfloat16), --methods lora,hd-pissa (all); PyTorch runs on the same GPU, eager and compiled.
 *
 * Every case runs in a process of its own, all cases take turns for a number of rounds, and medians over all rounds are
 * shown, so that what else the machine does disturbs all alike. Processor time tells what a busy machine would do idle.
 */

import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism, totalmem } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { launchCommand } from '@rankscope/launch'
import { trainingSchema } from '@rankscope/protocol'
import { measurePeaks, type Peaks } from './engine/peaks.ts'
import { processorName } from './engine/processor.ts'
import { type Measured, renderReport } from './engine/report.ts'
import { runJson } from './engine/run-json.ts'
import { type CaseResult, caseName, type MethodKind, type StepCase, sizes } from './engine/sizes.ts'

const methods: { method: MethodKind; devices: number }[] = [
  { method: 'full', devices: 1 },
  { method: 'lora', devices: 1 },
  { method: 'pissa', devices: 1 },
  ...[1, 4, 8].map((devices) => ({ method: 'hd-pissa' as const, devices })),
]
/** PyTorch computes HD-PiSSA with a process per device; eight would not fit most machines. */
const peerDevicesAtMost = 4

async function benchEngine(): Promise<void> {
  const options = readOptions()
  const measured: Measured[] = []
  const peaks: Peaks[] = []
  for (const name of options.sizes) {
    const size = sizes[name]
    if (!size) throw new Error(`there is no size ${name}; known: ${Object.keys(sizes).join(', ')}`)
    // A device needs at least one sequence of its own.
    const cases = methods
      .filter(({ method, devices }) => size.batch % devices === 0 && options.methods.includes(method))
      .map((method): StepCase => ({ size, ...method, ...options }))
    measured.push(...(await takeTurns(cases, options, peaks)))
  }
  const { text, markdown } = renderReport(measured, peaks, {
    processor: processorName(),
    cores: availableParallelism(),
    memoryGigabytes: Math.round(totalmem() / 1e9),
    date: new Date().toISOString().slice(0, 10),
    ...options,
  })
  console.log(text)
  save(measured, peaks, markdown)
}

type Options = ReturnType<typeof readOptions>

function readOptions() {
  const { values } = parseArgs({
    options: {
      sizes: { type: 'string', default: 'A,C' },
      steps: { type: 'string', default: '5' },
      rounds: { type: 'string', default: '3' },
      threads: { type: 'string', default: String(availableParallelism()) },
      rank: { type: 'string', default: '16' },
      backend: { type: 'string', default: 'native' },
      products: { type: 'string', default: 'float32' },
      'compute-dtype': { type: 'string', default: 'float32' },
      methods: { type: 'string', default: 'full,lora,pissa,hd-pissa' },
      python: { type: 'string', default: 'python3' },
    },
  })
  const count = (name: 'steps' | 'rounds' | 'threads' | 'rank') => {
    const number = Number(values[name])
    if (!Number.isInteger(number) || number < 1)
      throw new Error(`--${name} takes a number from 1, not ${values[name]}`)
    return number
  }
  return {
    sizes: values.sizes.split(','),
    ...{ steps: count('steps'), rounds: count('rounds'), threads: count('threads'), rank: count('rank') },
    ...trainingSchema.pick({ products: true, computeDtype: true }).parse({
      products: values.products,
      computeDtype: values['compute-dtype'],
    }),
    methods: values.methods.split(','),
    ...{ backend: values.backend, python: values.python === 'none' ? null : findPython(values.python) },
  }
}

function findPython(command: string): string | null {
  const found =
    spawnSync(command, ['-c', 'import torch, transformers, peft'], { stdio: 'ignore' }).status === 0
  if (!found) console.error(`${command} has no torch, transformers and peft: no comparison with them.`)
  return found ? command : null
}

async function takeTurns(
  cases: readonly StepCase[],
  { rounds, python, threads, backend }: Pick<Options, 'rounds' | 'python' | 'threads' | 'backend'>,
  peaks: Peaks[],
): Promise<Measured[]> {
  const measured = cases.map((stepCase): Measured => ({ stepCase, ours: [], peer: [], compiled: [] }))
  for (let round = 1; round <= rounds; round++) {
    if (backend !== 'cuda') peaks.push(await measurePeaks(threads, python))
    for (const { stepCase, ours, peer, compiled } of measured) {
      console.error(`size ${stepCase.size.name}, round ${round} of ${rounds}: ${caseName(stepCase)}`)
      const json = JSON.stringify(stepCase)
      const [program, ...args] = launchCommand(new URL('./engine/case.ts', import.meta.url), json)
      ours.push(runJson<CaseResult>(program, args))
      const peers = fileURLToPath(new URL('./engine/peers.py', import.meta.url))
      // Ranks of one GPU would wait for one another: there the official computation of one rank is compared.
      const onGpu = stepCase.backend === 'cuda'
      if (python && stepCase.devices <= (onGpu ? 1 : peerDevicesAtMost))
        peer.push(...runPeer(python, [peers, json]))
      if (python && onGpu && stepCase.method === 'lora')
        compiled.push(...runPeer(python, [peers, JSON.stringify({ ...stepCase, compiled: true })]))
    }
  }
  return measured
}

/** A comparison that fails, say for want of memory, leaves its place in the table empty. */
function runPeer(command: string, args: string[]): CaseResult[] {
  try {
    return [runJson<CaseResult>(command, args)]
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    return []
  }
}

function save(measured: Measured[], peaks: Peaks[], markdown: string): void {
  const folder = fileURLToPath(new URL('./results/', import.meta.url))
  mkdirSync(folder, { recursive: true })
  writeFileSync(
    join(folder, 'engine.json'),
    `${JSON.stringify({ date: new Date().toISOString(), peaks, measured }, null, 2)}\n`,
  )
  writeFileSync(join(folder, 'engine.md'), markdown)
  console.log(`\nSaved as engine.json and engine.md in ${folder}`)
}

await benchEngine()
