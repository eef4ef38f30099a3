/** Everything that has to be there before the first step: backend, data, model, method, and the record that says so. */
import { existsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import {
  RankscopeError,
  type RecordBodyOf,
  type RunConfig,
  requireConsistent,
  requiredBackend,
} from '@rankscope/protocol'
import { type SelectedBackend, selectBackend } from '../backends/select.ts'
import { listCheckpoints } from '../checkpoint-folders.ts'
import { type Collective, gatherNumbers } from '../collectives/collective.ts'
import { ChatTemplate } from '../data/chat-template.ts'
import type { TokenExample } from '../data/examples.ts'
import { topSvdAll } from '../linalg/index.ts'
import type { AttachContext } from '../methods/method.ts'
import { openModelFolder } from '../model/folder.ts'
import { loadModel, type Model } from '../model/model.ts'
import { parameterCount } from '../model/parameters.ts'
import { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import type { BaseWeights } from '../train/base-weights.ts'
import { type OpenedCheckpoint, openNewestCheckpoint, type Progress } from '../train/checkpoint.ts'
import { requireFiniteWeights } from '../train/not-finite.ts'
import { assembleTraining, samplerOf, type TrainingSession } from '../train/session.ts'
import { watchedTargets } from '../train/targets.ts'
import { type LoadedBenchmark, loadBenchmarks } from './benchmarks.ts'
import { contextWarnings } from './context-length.ts'
import type { RunEnvironment } from './environment.ts'
import { type LoadedData, loadData } from './load-data.ts'
import { describeMemory, estimateMemory, requireMemory } from './memory.ts'
import { resolveDataPath, resolveModelPath } from './paths.ts'
import { baseWeights } from './trained.ts'
import { loadUntouchedText } from './untouched-text.ts'

export interface PreparedRun extends TrainingSession {
  readonly config: RunConfig
  readonly backend: SelectedBackend
  readonly model: Model
  readonly modelFolder: string
  /** Null where the data are tokens already, and the folder has none. */
  readonly tokenizer: TextTokenizer | null
  /** Fills rows up to a common length; such positions are never looked at. */
  readonly padTokenId: number
  readonly data: LoadedData
  /** Scored with the test split. */
  readonly benchmarks: readonly LoadedBenchmark[]
  /** The text for forgetting; null where none is asked for. */
  readonly untouched: readonly TokenExample[] | null
  readonly base: BaseWeights
  /** Where the run starts: at zero, or where its checkpoint was taken. */
  readonly progress: Progress
  readonly start: RecordBodyOf<'start'>
}

/** Between two words about how much of a model has been read. */
const loadingToldEveryMs = 2000

export async function prepareRun(config: RunConfig, environment: RunEnvironment): Promise<PreparedRun> {
  const { emit, roots, cacheFolder, collective } = environment
  const warnings = requireConsistent(config).map(({ path, message }) => `${path}: ${message}`)
  // Ranks of a job share the threads that the configuration names.
  const threads = collective ? environment.threads : (config.resources.threads ?? environment.threads)

  const folder = resolveModelPath(config.model.path, roots)
  const { config: modelConfig, notes, stopTokenIds } = openModelFolder(folder)
  emit({ kind: 'phase', phase: 'loading-data', progress: null, detail: null })
  const tokenizer = loadTokenizer(config, folder, modelConfig.vocabularySize, warnings)
  const data = await loadData(config.data, config.seed, {
    tokenizer,
    vocabularySize: modelConfig.vocabularySize,
    evaluationExamples: config.evaluation.examples,
    resolvePath: (path) => resolveDataPath(path, roots),
    chatTemplate: () => ChatTemplate.load(folder),
    cacheFolder,
  })
  // Rank 0 alone evaluates: no other host needs these files.
  const leads = (collective?.rank ?? 0) === 0
  const dataPath = (path: string) => resolveDataPath(path, roots)
  const benchmarks = leads ? await loadBenchmarks(config.evaluation, dataPath) : []
  const untouched = leads ? await loadUntouchedText(config, tokenizer, dataPath) : null
  warnings.push(...notes, ...(tokenizer?.notes ?? []), ...data.notes)
  warnings.push(...contextWarnings(modelConfig, data, config.evaluation))
  if (tokenizer && !stopTokenIds.includes(tokenizer.endTokenId))
    warnings.push(
      `examples end with ${tokenizer.endToken} (${tokenizer.endTokenId}), which neither config.json nor generation_config.json names as eos_token_id: other programs will not stop there`,
    )
  const padTokenId = tokenizer?.padTokenId ?? 0
  const { totalSteps } = samplerOf(config, data.train.length)

  const longest = data.train.reduce((length, { inputIds }) => Math.max(length, inputIds.length), 1)
  const checkpoint = newestCheckpoint(config, environment)
  const progress = checkpoint?.progress ?? firstProgress
  if (collective) await requireOneStart(collective, progress.step)

  emit({ kind: 'phase', phase: 'loading-model', progress: null, detail: basename(folder) })
  const backend = await selectBackend(requiredBackend(config), { threads })
  tellBackend(backend, emit)
  warnings.push(...(backend.notes ?? []), ...otherMachine(checkpoint, backend))
  const gpuBytes = backend.freeMemoryBytes
  const oneDevice = collective !== undefined
  const place = gpuBytes === undefined ? 'host' : 'gpu'
  const memory = estimateMemory(config, modelConfig, longest, { oneDevice, place })
  if (gpuBytes === undefined) requireMemory(memory, environment.memoryBytes)
  else requireMemory(memory, gpuBytes, 'free on the GPU are')
  emit({ kind: 'log', level: 'info', message: `memory: ${describeMemory(memory)}` })
  let toldMs = performance.now()
  const model = loadModel(folder, (done, total) => {
    // Nothing else gets a turn while weights are read: whoever waits is told now and then.
    if (performance.now() - toldMs < loadingToldEveryMs) return
    toldMs = performance.now()
    emit({ kind: 'phase', phase: 'loading-model', progress: done / total, detail: basename(folder) })
  })
  await requireFiniteWeights(model).catch((error: unknown) => {
    model.dispose()
    throw error
  })
  emit({ kind: 'phase', phase: 'initialising', progress: null, detail: config.method.name })
  const session = await assembleTraining({
    config,
    model,
    examples: data.train,
    padTokenId,
    decompose: decomposition(emit, cacheFolder, config.seed, threads, warnings),
    warn: (message) => warnings.push(message),
    initial: checkpoint?.initial ?? null,
    collective,
    watch: (targets) => watchedTargets(targets, modelConfig.layers, config.spectra.modules),
  })
  const start: RecordBodyOf<'start'> = {
    kind: 'start',
    backend: backend.name,
    computedBy: computedBy(backend),
    threads: backend.threads,
    totalSteps,
    startStep: progress.step,
    trainableParameters: session.adaptation.trainableParameters,
    totalParameters: parameterCount(modelConfig),
    modules: session.targets.map(({ name, rows, columns }) => ({ name, rows, columns })),
    warnings,
    data: [...data.counts],
  }
  const base = baseWeights(folder)
  const surroundings = {
    config,
    backend,
    model,
    modelFolder: folder,
    tokenizer,
    padTokenId,
    data,
    benchmarks,
    untouched,
    base,
  }
  return { ...session, ...surroundings, progress, start }
}

const firstProgress: Progress = {
  step: 0,
  tokens: 0,
  trainingSeconds: 0,
  baseAccuracy: null,
  baseUntouchedLoss: null,
  skippedSpectra: {},
}

/** Ranks that went on from different checkpoints would train something that no one asked for. */
async function requireOneStart(collective: Collective, own: number): Promise<void> {
  const steps = (await gatherNumbers(collective, [own])).map(([step]) => step!)
  if (steps.some((step) => step !== own))
    throw new RankscopeError('CHECKPOINT_BROKEN', `the ranks would go on from steps ${steps.join(', ')}`, {
      hint: 'Compare the checkpoints in the folders of the run on its hosts, or start it afresh.',
    })
}

/** Data that are tokens already need no tokenizer, and one that cannot be read does not stop them. */
function loadTokenizer(
  { data: { source }, evaluation }: RunConfig,
  folder: string,
  vocabularySize: number,
  warnings: string[],
): TextTokenizer | null {
  const sources = source.kind === 'mix' ? source.sources.map((one) => one.source) : [source]
  if (sources.some(({ kind }) => kind !== 'tokens') || evaluation.benchmarks.length > 0)
    return TextTokenizer.load(folder, vocabularySize)
  if (!existsSync(join(folder, 'tokenizer.json'))) return null
  try {
    return TextTokenizer.load(folder, vocabularySize)
  } catch (error) {
    if (!(error instanceof RankscopeError)) throw error
    warnings.push(`the tokenizer is not used: ${error.message}`)
    return null
  }
}

/** What the bits of a run depend on beside its configuration, e.g. `cuda: NVIDIA H200 (9.0), CUDA driver 13.0, cuBLAS 13.1.1`. */
export function computedBy({ name, description }: SelectedBackend): string {
  return `${name}: ${description}`
}

/** Steps have the same bits again on the same card with the same libraries, and elsewhere only nearly. */
function otherMachine(checkpoint: OpenedCheckpoint | null, backend: SelectedBackend): string[] {
  const [before, now] = [checkpoint?.computedBy ?? '', computedBy(backend)]
  if (before === '' || before === now) return []
  return [
    `the checkpoint was computed by ${before}, and the run goes on with ${now}: results differ in their last digits from those of a run that never moved`,
  ]
}

function tellBackend(backend: SelectedBackend, emit: RunEnvironment['emit']): void {
  const { name, description, threads, selfCheck, rejected } = backend
  const message = `backend ${name} (${description}, ${threads} threads): ${selfCheck}`
  emit({ kind: 'log', level: 'info', message })
  for (const { name: other, reason } of rejected)
    emit({ kind: 'log', level: 'debug', message: `backend ${other} was not taken: ${reason}` })
}

/** Singular value decompositions with progress, on all threads of the run. */
function decomposition(
  emit: RunEnvironment['emit'],
  cacheFolder: string | null,
  seed: number,
  threads: number,
  warnings: string[],
): AttachContext['decompose'] {
  return async (wanted, { svd, svdIterations }) => {
    if (wanted.length === 0) return new Map()
    const tell = (done: number, detail: string) =>
      emit({ kind: 'phase', phase: 'decomposing', progress: done / wanted.length, detail })
    tell(0, `${wanted.length} weights`)
    const entries = wanted.map(({ target: { name, rows, columns, weight }, rank }) => {
      return { name, rows, columns, rank, w: () => weight.dataSync() as Float32Array }
    })
    return topSvdAll(entries, {
      kind: svd,
      ...(svd === 'randomized' && { iterations: svdIterations, seed }),
      ...(cacheFolder !== null && { cacheFolder }),
      threads,
      onProgress({ done, name, fromCache, cacheProblem }) {
        tell(done, fromCache ? `${name} (known)` : name)
        if (cacheProblem && !warnings.includes(cacheProblem)) warnings.push(cacheProblem)
      },
    })
  }
}

/** The checkpoint that the run was given, or the newest one before it that is whole; null where it was given none. */
export function newestCheckpoint(
  config: RunConfig,
  environment: Pick<RunEnvironment, 'checkpointFrom' | 'formerPlaces' | 'emit'>,
): OpenedCheckpoint | null {
  const { checkpointFrom, formerPlaces = [], emit } = environment
  if (checkpointFrom === null) return null
  const places = new Set([...formerPlaces, dirname(checkpointFrom)])
  const known = listCheckpoints([...places]).map(({ path }) => path)
  const older = known.includes(checkpointFrom) ? known.slice(known.indexOf(checkpointFrom) + 1) : []
  return openNewestCheckpoint([checkpointFrom, ...older], config, (message) =>
    emit({ kind: 'log', level: 'warning', message }),
  )
}
