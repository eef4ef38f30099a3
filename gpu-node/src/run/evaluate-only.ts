/**
 * An evaluation without training: a model's folder, or what a run left on this node, is scored by benchmarks, and every item
 * is told. It counts as one step, so that an attempt that is begun again takes back what the one before it said; items that it
 * answered are kept in its folder and taken over.
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import {
  RankscopeError,
  type RecordBodyOf,
  type RunConfig,
  requireConsistent,
  scalarNames,
} from '@rankscope/protocol'
import { type SelectedBackend, selectBackend } from '../backends/select.ts'
import { type BenchmarkScore, evaluateBenchmark } from '../benchmarks/evaluate-benchmark.ts'
import type { Adaptation } from '../methods/method.ts'
import { openModelFolder } from '../model/folder.ts'
import { folderIdentity } from '../model/folder-identity.ts'
import type { LinearHook } from '../model/llama.ts'
import { loadModel, type Model } from '../model/model.ts'
import { parameterCount } from '../model/parameters.ts'
import { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { type LoadedBenchmark, loadBenchmarks } from './benchmarks.ts'
import type { RunEnvironment, RunOutcome } from './environment.ts'
import { protocolOf, scoresOf, sharesOf } from './evaluation.ts'
import { resolveDataPath, resolveModelPath } from './paths.ts'
import { computedBy } from './prepare.ts'
import { timeLeft } from './time-left.ts'
import { openTrained, requireRoomForModel } from './trained.ts'

/** What is evaluated, loaded. */
interface Subject {
  readonly model: Model
  readonly modelFolder: string
  readonly backend: SelectedBackend
  /** Null: the model's own linear layers. */
  readonly adaptation: Adaptation | null
  /** Names the weights. */
  readonly identity: string
  readonly warnings: readonly string[]
  dispose(): void
}

/** The step that everything of an evaluation is told at. */
const onlyStep = 1

/** Throws the coded errors of its files before the model is loaded. */
export async function evaluateOnly(config: RunConfig, environment: RunEnvironment): Promise<RunOutcome> {
  const { emit, roots, control, folder } = environment
  const warnings = requireConsistent(config).map(({ path, message }) => `${path}: ${message}`)
  emit({ kind: 'phase', phase: 'loading-data', progress: null, detail: null })
  const benchmarks = await loadBenchmarks(config.evaluation, (path) => resolveDataPath(path, roots))
  const subject = await load(config, environment)
  const inference = subject.adaptation?.inference()
  try {
    const { model, backend } = subject
    const tokenizer = TextTokenizer.load(subject.modelFolder, model.config.vocabularySize)
    emit({
      kind: 'start',
      backend: backend.name,
      computedBy: computedBy(backend),
      threads: backend.threads,
      totalSteps: onlyStep,
      startStep: 0,
      trainableParameters: 0,
      totalParameters: parameterCount(model.config),
      modules: [],
      warnings: [...warnings, ...subject.warnings, ...tokenizer.notes],
      data: [],
    })
    const startMs = performance.now()
    const items = join(folder, 'items')
    takeOver(environment, items)
    const scored = await scoreAll(config, environment, {
      subject,
      tokenizer,
      benchmarks,
      items,
      ...(inference && { hook: inference.linear }),
    })
    // What was answered is kept for an attempt that goes on; a score of a part would be another score.
    if (control.leave === 'pause') return { state: 'paused', steps: 0, checkpoint: items }
    if (control.leave === 'stop') return { state: 'stopped', steps: 0 }
    return tell(scored, performance.now() - startMs, emit)
  } finally {
    inference?.dispose()
    subject.dispose()
  }
}

async function load(config: RunConfig, environment: RunEnvironment): Promise<Subject> {
  const { emit, roots, memoryBytes, checkpointFrom } = environment
  const threads = config.resources.threads ?? environment.threads
  const of = config.job.kind === 'evaluation' ? config.job.of : null
  const onLoading = (done: number, total: number) =>
    emit({ kind: 'phase', phase: 'loading-model', progress: done / total, detail: config.model.path })
  emit({ kind: 'phase', phase: 'loading-model', progress: null, detail: config.model.path })
  if (of?.what === 'checkpoint') {
    // Never the base model in its place.
    if (checkpointFrom === null)
      throw new RankscopeError('CHECKPOINT_BROKEN', `there is no checkpoint at ${of.path} on this node`)
    const warnings: string[] = []
    const warn = (message: string) => warnings.push(message)
    const trained = await openTrained(checkpointFrom, { roots, threads, memoryBytes }, warn, onLoading)
    return { ...trained, identity: folderIdentity(checkpointFrom), warnings }
  }
  const modelFolder = resolveModelPath(of?.path ?? config.model.path, roots)
  const { notes } = openModelFolder(modelFolder)
  requireRoomForModel(config, modelFolder, memoryBytes)
  const backend = await selectBackend(config.resources.backend, { threads })
  const model = loadModel(modelFolder, onLoading)
  const identity = folderIdentity(modelFolder)
  return {
    model,
    modelFolder,
    backend,
    adaptation: null,
    identity,
    warnings: notes,
    dispose: () => model.dispose(),
  }
}

interface Scoring {
  readonly subject: Subject
  readonly tokenizer: TextTokenizer
  readonly benchmarks: readonly LoadedBenchmark[]
  /** Folder of the answers, a file for each benchmark. */
  readonly items: string
  readonly hook?: LinearHook
}

type Scored = { readonly benchmark: LoadedBenchmark; readonly score: BenchmarkScore }

async function scoreAll(
  { evaluation }: RunConfig,
  { emit, control }: RunEnvironment,
  { subject, tokenizer, benchmarks, items, hook }: Scoring,
): Promise<Scored[]> {
  const scored: Scored[] = []
  let index = 0
  for (const [at, loaded] of benchmarks.entries()) {
    if (control.leave !== null) break
    const { benchmark, title, sampling, ks } = loaded
    const startMs = performance.now()
    const score = await evaluateBenchmark(subject.model, tokenizer, benchmark, loaded.items, {
      itemsFile: join(items, `${benchmark.protocol.name}-${benchmark.name}.jsonl`),
      modelIdentity: subject.identity,
      backend: computedBy(subject.backend),
      batchSize: evaluation.batchSize,
      maxNewTokens: null,
      sampling,
      ks,
      isInterrupted: () => control.leave !== null,
      onProgress(done, total, correct) {
        if (control.takeCheckpointRequest())
          emit({
            kind: 'log',
            level: 'info',
            message: `the ${done} answers so far are on disk, as each new one is`,
          })
        const left = timeLeft(done / total, performance.now() - startMs)
        const detail = `${title}, ${done} of ${total}, ${correct} right${left === null ? '' : `, ${left}`}`
        emit({
          kind: 'phase',
          phase: 'evaluating',
          progress: (at + done / total) / benchmarks.length,
          detail,
        })
      },
      onItem({ id, sample, prompt, completion, reference, correct, extracted, reason }) {
        const item = { benchmark: title, id, sample, extracted, reason }
        emit({
          kind: 'sample',
          step: onlyStep,
          index: index++,
          prompt,
          completion,
          expected: reference,
          correct,
          item,
        })
      },
      ...(hook && { hook }),
    })
    scored.push({ benchmark: loaded, score })
  }
  return scored
}

function tell(scored: readonly Scored[], elapsedMs: number, emit: RunEnvironment['emit']): RunOutcome {
  const groups = scored.map(({ benchmark: { title: name }, score }) => ({ name, result: sharesOf(score) }))
  const protocols = Object.fromEntries(
    scored.map(({ benchmark, score }) => [benchmark.title, protocolOf(benchmark, score)]),
  )
  const record: RecordBodyOf<'evaluation'> = {
    kind: 'evaluation',
    step: onlyStep,
    loss: null,
    ...scoresOf(groups, protocols),
    elapsedMs,
  }
  emit(record)
  const { accuracy, meanAccuracy } = record
  const values = {
    ...(accuracy !== null && { [scalarNames.accuracy]: accuracy }),
    ...(meanAccuracy !== undefined && { [scalarNames.meanAccuracy]: meanAccuracy }),
  }
  emit({ kind: 'scalars', step: onlyStep, values })
  const summary: RecordBodyOf<'summary'> = {
    kind: 'summary',
    steps: 0,
    finalLoss: null,
    evaluationLoss: null,
    accuracy,
    ...(meanAccuracy !== undefined && { meanAccuracy }),
    baseAccuracy: null,
    effectiveRank: null,
    stableRank: null,
    numericalRank: null,
    frobenius: null,
    trainableParameters: 0,
    tokens: 0,
    tokensPerSecond: null,
    trainingSeconds: 0,
  }
  emit(summary)
  return { state: 'finished', steps: 0, summary }
}

/** Answers of the newest earlier attempt that has any. */
function takeOver({ formerPlaces = [] }: RunEnvironment, items: string): void {
  mkdirSync(items, { recursive: true })
  const former = formerPlaces.map((place) => join(dirname(place), 'items')).findLast(existsSync)
  if (former === undefined) return
  for (const name of readdirSync(former)) copyFileSync(join(former, name), join(items, name))
}
