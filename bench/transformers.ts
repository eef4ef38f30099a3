/**
 * `npm run bench -- transformers`: holds models of every supported shape, trained and exported here, to what transformers makes of the exports.
 *
 * Options: --python python3 (one that has torch and transformers; without them the check says so and does nothing).
 *
 * The shapes are those of gpu-node/src/model/reference.jsonl: biases, norms of queries and keys, windows, ways of
 * scaling positions. Each is trained for three steps, by LoRA, HD-PiSSA or full in turn, and exported as float32. The
 * loss of the export must agree to 1e-5 between our forward pass and transformers'.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runConfigSchema, targetModuleNames } from '@rankscope/protocol'
import { evaluationBatch } from '../gpu-node/src/data/batch.ts'
import { loss } from '../gpu-node/src/model/llama.ts'
import { loadModel } from '../gpu-node/src/model/model.ts'
import { executeRun, RunControl } from '../gpu-node/src/run/run.ts'
import { writeReferenceModel } from '../gpu-node/src/testing/reference-model.ts'
import { markdownTable, scientific } from './output/markdown.ts'

interface Shape {
  readonly name: string
  readonly config: object
  readonly ids: readonly number[]
}

const methods = [
  { name: 'lora', rank: 2 },
  { name: 'hd-pissa', rank: 1 },
  { name: 'full', scope: 'all' },
]
const tolerance = 1e-5

async function benchTransformers(): Promise<void> {
  const { values } = parseArgs({ options: { python: { type: 'string', default: 'python3' } } })
  const probe = spawnSync(
    values.python,
    ['-c', 'import torch, transformers; print(transformers.__version__)'],
    {
      encoding: 'utf8',
    },
  )
  if (probe.status !== 0) {
    console.log(
      `skipped: ${values.python} has no torch and transformers (pip install torch transformers): ${probe.error?.message ?? probe.stderr.trim().split('\n').at(-1)}`,
    )
    return
  }
  const folder = mkdtempSync(join(tmpdir(), 'rankscope-transformers-'))
  try {
    const ours = await exportAll(folder)
    const theirs = lossesOfTransformers(values.python, join(folder, 'exports'))
    const rows = ours.map(({ name, method, value }, index) => {
      const other = theirs.get(String(index).padStart(2, '0'))!
      return { name, method, value, other, distance: Math.abs(value - other) }
    })
    const header = ['shape', 'method', 'loss here', `transformers ${probe.stdout.trim()}`, 'difference']
    console.log(
      markdownTable(
        header,
        rows.map(({ name, method, value, other, distance }) => [
          ...[name, method, value.toFixed(6), other.toFixed(6)],
          scientific(distance),
        ]),
      ),
    )
    const worst = Math.max(...rows.map(({ distance }) => distance))
    const verdict = worst <= tolerance ? 'all agree' : 'NOT all agree'
    console.log(`\n${verdict} to ${tolerance}: ${rows.length} models, at most ${scientific(worst)} apart`)
    if (worst > tolerance) process.exitCode = 1
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Trains and exports every shape into `folder`/exports/NN; the losses of the exports by our own forward pass. */
async function exportAll(folder: string) {
  const file = join(import.meta.dirname, '../gpu-node/src/model/reference.jsonl')
  const shapes = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Shape)
  mkdirSync(join(folder, 'exports'))
  const losses: { name: string; method: string; value: number }[] = []
  for (const [index, { name, config, ids }] of shapes.entries()) {
    const number = String(index).padStart(2, '0')
    const model = await writeReferenceModel(join(folder, number), config)
    const data = join(folder, `${number}.jsonl`)
    writeFileSync(data, `${JSON.stringify({ input_ids: ids, labels: ids })}\n`.repeat(2))
    const method = methods[index % methods.length]!
    await train(model, data, method, join(folder, 'run'))
    const exported = join(folder, 'exports', number)
    renameSync(join(folder, 'run', 'model'), exported)
    writeFileSync(join(exported, 'expected.json'), JSON.stringify({ ids }))
    losses.push({ name, method: method.name, value: await lossOf(exported, ids) })
  }
  return losses
}

async function train(model: string, data: string, method: { name: string }, folder: string): Promise<void> {
  const config = runConfigSchema.parse({
    model: { path: model },
    data: { source: { kind: 'tokens', path: data }, maxLength: 64 },
    method,
    targetModules: [...targetModuleNames],
    parallel: { devices: method.name === 'hd-pissa' ? 2 : 1 },
    optimizer: { learningRate: 0.01 },
    training: { globalBatchSize: 2, microBatchSize: 1, maxSteps: 3, epochs: 9 },
    evaluation: { atEnd: false },
    spectra: { everySteps: null, atEnd: false },
    export: { model: true },
  })
  const outcome = await executeRun(config, {
    roots: { models: [], data: [], anywhere: true },
    folder,
    cacheFolder: null,
    threads: 1,
    memoryBytes: null,
    checkpointFrom: null,
    control: new RunControl(),
    emit: () => {},
  })
  if (outcome.state !== 'finished') throw new Error(JSON.stringify(outcome))
}

async function lossOf(folder: string, ids: readonly number[]): Promise<number> {
  const model = loadModel(folder)
  const tokens = Int32Array.from(ids)
  const result = loss(model, evaluationBatch([{ inputIds: tokens, labels: tokens }], 0))
  const [value] = await result.loss.data()
  model.dispose()
  return value!
}

function lossesOfTransformers(python: string, exports: string): ReadonlyMap<string, number> {
  const script = join(import.meta.dirname, 'reference', 'transformers_models.py')
  const { status, stdout, stderr } = spawnSync(python, [script, '--exports', exports], { encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
  const lines = stdout.trim().split('\n')
  return new Map(
    lines.map((line) => {
      const { name, loss: value } = JSON.parse(line) as { name: string; loss: number }
      return [name, value]
    }),
  )
}

await benchTransformers()
