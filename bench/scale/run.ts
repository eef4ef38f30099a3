/** One run of the measurement `scale` in a process of its own: trains, and writes what its phases took and its peak. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type PhaseName, runConfigSchema, scalarNames } from '@rankscope/protocol'
import { openModelFolder } from '../../gpu-node/src/model/folder.ts'
import { Random } from '../../gpu-node/src/random.ts'
import { estimateMemory } from '../../gpu-node/src/run/memory.ts'
import { executeRun, RunControl } from '../../gpu-node/src/run/run.ts'
import type { ScaleRun } from './model.ts'

const { model, method, threads, steps, out, result } = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as {
  model: string
  method: string
  threads: number
  steps: number
  out: string
  result: string
}
const sequence = 512
const batch = 4
const data = join(out, 'tokens.jsonl')
const random = new Random(3)
const rows = Array.from({ length: batch * steps }, () => {
  const ids = Array.from({ length: sequence }, () => random.integer(3, 32_000))
  return JSON.stringify({ input_ids: ids, labels: ids })
})
writeFileSync(data, rows.join('\n'))
const devices = 4
const config = runConfigSchema.parse({
  model: { path: model },
  data: { source: { kind: 'tokens', path: data }, maxLength: sequence },
  method: method === 'hd-pissa' ? { name: method, rank: 16, aggregate: 'sum' } : { name: method, rank: 16 },
  parallel: { devices },
  optimizer: { learningRate: 1e-4 },
  training: { maxSteps: steps, globalBatchSize: batch, microBatchSize: 1 },
  evaluation: { atEnd: false },
  spectra: { everySteps: null, atEnd: true },
  export: { model: true },
})
const phases: Partial<Record<PhaseName, number>> = {}
let now: { phase: PhaseName; sinceMs: number } | null = null
const stepTimes: number[] = []
const enter = (phase: PhaseName | null) => {
  if (now) phases[now.phase] = (phases[now.phase] ?? 0) + (performance.now() - now.sinceMs) / 1000
  now = phase && { phase, sinceMs: performance.now() }
}
const outcome = await executeRun(config, {
  roots: { models: [], data: [], anywhere: true },
  folder: out,
  cacheFolder: null,
  threads,
  memoryBytes: null,
  checkpointFrom: null,
  control: new RunControl(),
  emit(body) {
    if (body.kind === 'phase') enter(body.phase)
    if (body.kind === 'scalars') stepTimes.push((body.values[scalarNames.stepTimeMs] ?? 0) / 1000)
  },
})
enter(null)
if (outcome.state !== 'finished') throw new Error(JSON.stringify(outcome))
const status = readFileSync('/proc/self/status', 'utf8')
const kibibytes = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? Number.NaN)
const estimate = estimateMemory(config, openModelFolder(model).config, sequence)
const measured: ScaleRun = {
  phases: phases as Record<string, number>,
  stepSeconds: stepTimes.toSorted((a, b) => a - b)[stepTimes.length >> 1]!,
  peakGib: (kibibytes('VmHWM') - kibibytes('RssFile')) / 2 ** 20,
  estimateGib: estimate.totalBytes / 2 ** 30,
}
writeFileSync(result, JSON.stringify(measured))
