/**
 * `npm run bench -- methods`: step time of each method relative to LoRA.
 *
 * Options: --size A (sizes.ts), --rank 16, --devices 4, --rounds 15, --threads (all), --backend native, --docs docs,
 * --only TEXT (labels that hold it, beside LoRA; the page is then left as it is).
 *
 * All methods live in one process and take turns, one optimiser step each, so that what else the machine does disturbs
 * all alike; shown are medians, and the median over rounds of the ratio to LoRA's step of the same round. Writes the
 * section "Methods" of docs/benchmarks.md.
 */
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type MethodConfig, methodConfigSchema, methodLabels } from '@rankscope/protocol'
import { memory } from '@tensorflow/tfjs-core'
import { selectBackend } from '../gpu-node/src/backends/select.ts'
import { median } from './engine/report.ts'
import { type ModelSize, sizes } from './engine/sizes.ts'
import { syntheticTraining } from './engine/synthetic.ts'
import { StepByStep } from './methods/step-by-step.ts'
import { machineLine } from './output/machine.ts'
import { markdownTable, replaceSection } from './output/markdown.ts'

const warmUpRounds = 3

interface Contestant {
  readonly label: string
  readonly trainable: number
  readonly megabytes: number
  readonly run: StepByStep
  readonly times: Times[]
}

interface Times {
  readonly wallMs: number
  readonly processorMs: number
}

async function benchMethods(): Promise<void> {
  const { values: options } = parseArgs({
    options: {
      size: { type: 'string', default: 'A' },
      rank: { type: 'string', default: '16' },
      devices: { type: 'string', default: '4' },
      rounds: { type: 'string', default: '15' },
      threads: { type: 'string', default: String(availableParallelism()) },
      backend: { type: 'string', default: 'native' },
      docs: { type: 'string', default: join(import.meta.dirname, '../docs') },
      only: { type: 'string' },
    },
  })
  const { only } = options
  const size = sizes[options.size]
  if (!size) throw new Error(`there is no size ${options.size}; known: ${Object.keys(sizes).join(', ')}`)
  const [rank, devices, rounds, threads] = [
    options.rank,
    options.devices,
    options.rounds,
    options.threads,
  ].map(Number) as [number, number, number, number]
  const backend = await selectBackend(options.backend as 'native', { threads })
  const contestants: Contestant[] = []
  for (const candidate of candidates(rank, devices))
    if (only === undefined || candidate.label === methodLabels.lora || candidate.label.includes(only))
      contestants.push(await prepare(size, candidate, warmUpRounds + rounds))
  for (let round = 1 - warmUpRounds; round <= rounds; round++) {
    // Each round starts with another method, so that none always follows the same one.
    for (let turn = 0; turn < contestants.length; turn++) {
      const { run, times } = contestants[(turn + round + warmUpRounds) % contestants.length]!
      const taken = await timed(() => run.step())
      if (round > 0) times.push(taken)
    }
    if (round > 0) console.error(`round ${round} of ${rounds}`)
  }
  const table = methodTable(contestants)
  const setting = `hidden ${size.hidden}, mlp ${size.mlp}, ${size.layers} layers, ${size.batch} x ${size.sequence} tokens a step`
  const machine = machineLine(`backend ${backend.name} (${backend.description}), ${threads} threads`)
  const caption = `${machine} Size ${size.name} (${setting}), rank ${rank}, K = ${devices} virtual devices where no other number is named, optimizer included; medians of ${rounds} rounds.`
  if (only === undefined)
    replaceSection(join(options.docs, 'benchmarks.md'), 'methods', `${caption}\n\n${table}`)
  console.log(`${caption}\n\n${table}`)
}

interface Candidate {
  readonly label: string
  readonly method: MethodConfig
  readonly devices: number
}

/** All nine methods, LoRA first; HD-PiSSA with other numbers of devices and with attribution, MoRA in both types. */
function candidates(rank: number, devices: number): Candidate[] {
  const candidate = (
    label: string,
    method: Parameters<typeof methodConfigSchema.parse>[0],
    ownDevices = devices,
  ): Candidate => ({ label, method: methodConfigSchema.parse(method), devices: ownDevices })
  const hdPissa = (of: number) =>
    candidate(`${methodLabels['hd-pissa']}, K = ${of}`, { name: 'hd-pissa', rank }, of)
  return [
    candidate(methodLabels.lora, { name: 'lora', rank }),
    candidate(`${methodLabels.lora}, dropout`, { name: 'lora', rank, dropout: 0.05 }),
    candidate(methodLabels.pissa, { name: 'pissa', rank }),
    ...[...new Set([1, devices, 8])].sort((left, right) => left - right).map(hdPissa),
    candidate(`${methodLabels['hd-pissa']}, attribution`, { name: 'hd-pissa', rank, attribution: true }),
    candidate(methodLabels.full, { name: 'full' }),
    candidate(methodLabels.dora, { name: 'dora', rank }),
    candidate(`${methodLabels.dora}, dropout`, { name: 'dora', rank, dropout: 0.05 }),
    candidate(`${methodLabels.dora}, norm not detached`, { name: 'dora', rank, detachNorm: false }),
    candidate(`${methodLabels.mora} type 1`, { name: 'mora', rank, type: 1 }),
    candidate(`${methodLabels.mora} type 6`, { name: 'mora', rank, type: 6 }),
    candidate(methodLabels.hira, { name: 'hira', rank }),
    candidate(`${methodLabels.hira}, dropout`, { name: 'hira', rank, dropout: 0.05 }),
    candidate(methodLabels['lora-dwu'], { name: 'lora-dwu', rank }),
    candidate(methodLabels.intermediate, { name: 'intermediate', rank }),
  ]
}

async function prepare(
  size: ModelSize,
  { label, method, devices }: Candidate,
  steps: number,
): Promise<Contestant> {
  const before = memory().numBytes
  const training = await syntheticTraining(size, method, devices, steps)
  const megabytes = (memory().numBytes - before) / 1e6
  const trainable = training.adaptation.trainableParameters
  return { label, trainable, megabytes, run: new StepByStep(training), times: [] }
}

async function timed(work: () => Promise<void>): Promise<Times> {
  const start = performance.now()
  const used = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(used)
  return { wallMs: performance.now() - start, processorMs: (user + system) / 1000 }
}

function methodTable(contestants: readonly Contestant[]): string {
  const lora = contestants[0]!.times
  const header = [
    'method',
    'step ms',
    'relative to LoRA',
    'by processor time',
    'trainable',
    'weights and states MB',
  ]
  const rows = contestants.map(({ label, times, trainable, megabytes }) => {
    const ratio = (kind: keyof Times) =>
      median(times.map((time, i) => time[kind] / lora[i]![kind])).toFixed(2)
    return [
      label,
      median(times.map(({ wallMs }) => wallMs)).toFixed(0),
      ratio('wallMs'),
      ratio('processorMs'),
      trainable.toLocaleString('en'),
      megabytes.toFixed(0),
    ]
  })
  return markdownTable(header, rows)
}

await benchMethods()
