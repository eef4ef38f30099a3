/**
 * The evaluation before the first step, kept on disk: runs that differ only in what training does (learning rates,
 * schedules, batch sizes) start from the same weights, and scoring those takes longer than many a training run.
 */
import { join } from 'node:path'
import { type RecordBody, type RecordBodyOf, recordBodySchema } from '@rankscope/protocol'
import { z } from 'zod'
import { digestOf, readCacheFile, writeCacheFile } from '../disk-cache.ts'
import { folderIdentity } from '../model/folder-identity.ts'
import type { RunEnvironment } from './environment.ts'
import { type EvaluationSplit, evaluate, hasSplit } from './evaluation.ts'
import type { PreparedRun } from './prepare.ts'

/** Raised when the same weights would be given another score. */
const version = 1
const family = '.start-evaluation'
const limitBytes = 256 * 2 ** 20

/** What an evaluation tells, phases aside: samples, then the result. */
const toldSchema = z.array(recordBodySchema).min(1)

/** `evaluate` at step 0, by way of the cache; null where the run has no evaluation data. */
export async function evaluateStart(
  prepared: PreparedRun,
  split: EvaluationSplit,
  { emit, cacheFolder }: Pick<RunEnvironment, 'emit' | 'cacheFolder'>,
): Promise<RecordBodyOf<'evaluation'> | null> {
  if (cacheFolder === null || !hasSplit(prepared, split)) return evaluate(prepared, 0, split, emit)
  const file = join(cacheFolder, `${key(prepared, split)}${family}`)
  const known = toldSchema.safeParse(readCacheFile(file)?.header)
  if (known.success) return tellAgain(known.data, emit)
  const told: RecordBody[] = []
  const result = await evaluate(prepared, 0, split, (record) => {
    if (record.kind !== 'phase') told.push(record)
    emit(record)
  })
  // JSON has no NaN and no infinity: a model that scores them is scored each time.
  if (result && Number.isFinite(result.loss ?? 0)) {
    const problem = writeCacheFile({ folder: cacheFolder, limitBytes }, file, told, [], family)
    if (problem) emit({ kind: 'log', level: 'warning', message: problem })
  }
  return result
}

function tellAgain(
  told: readonly RecordBody[],
  emit: RunEnvironment['emit'],
): RecordBodyOf<'evaluation'> | null {
  const message =
    'step 0: an earlier run scored the same weights on the same examples; its result is taken over'
  emit({ kind: 'log', level: 'info', message })
  for (const record of told) emit(record)
  return told.find((record) => record.kind === 'evaluation') ?? null
}

/** Names all that decides the result: what is scored, how, and by which arithmetic. */
function key(
  { config, model, modelFolder, tokenizer, data, benchmarks, backend }: PreparedRun,
  split: EvaluationSplit,
): string {
  const { method, targetModules, parallel, seed, resources, evaluation, data: source } = config
  const { examples, answers } = data[split] ?? { examples: [], answers: [] }
  const parts = function* () {
    yield JSON.stringify([
      version,
      split,
      method,
      targetModules,
      parallel,
      seed,
      resources,
      evaluation,
      source,
    ])
    yield JSON.stringify([backend.name, backend.description, backend.threads, model.config])
    yield tokenizer?.fingerprint ?? ''
    yield folderIdentity(modelFolder)
    for (const { inputIds, labels } of examples) yield JSON.stringify([[...inputIds], [...labels]])
    for (const { name, records } of answers) yield JSON.stringify([name, records])
    if (split === 'test')
      for (const { protocol, items } of benchmarks) yield JSON.stringify([protocol, items])
  }
  return digestOf(parts()).slice(0, 32)
}
