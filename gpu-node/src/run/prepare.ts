/** Everything that has to be there before the first step: backend, data, model, method, and the record that says so. */
import { basename } from 'node:path'
import { accumulationSteps, type RecordBodyOf, type RunConfig, requireConsistent } from '@rankscope/protocol'
import { type SelectedBackend, selectBackend } from '../backends/select.ts'
import { ChatTemplate } from '../data/chat-template.ts'
import { createSampler, type Sampler } from '../data/sampler.ts'
import { topSvdAll } from '../linalg/index.ts'
import { attachMethod } from '../methods/index.ts'
import type { Adaptation, AttachContext, TargetModule } from '../methods/method.ts'
import { openModelFolder, readConfig } from '../model/folder.ts'
import { loadModel, type Model } from '../model/model.ts'
import { parameterCount } from '../model/parameters.ts'
import { MethodState } from '../optim/state.ts'
import { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { BaseWeights } from '../train/base-weights.ts'
import { openCheckpoint, type Progress } from '../train/checkpoint.ts'
import { requireFiniteWeights } from '../train/not-finite.ts'
import { learningRateSchedule } from '../train/schedule.ts'
import { targetsOf, watchedTargets } from '../train/targets.ts'
import type { Training } from '../train/trainer.ts'
import type { RunEnvironment } from './environment.ts'
import { type LoadedData, loadData } from './load-data.ts'
import { describeMemory, estimateMemory, requireMemory } from './memory.ts'
import { resolveDataPath, resolveModelPath } from './paths.ts'

export interface PreparedRun {
  readonly config: RunConfig
  readonly backend: SelectedBackend
  readonly model: Model
  readonly modelFolder: string
  readonly tokenizer: TextTokenizer
  readonly data: LoadedData
  readonly targets: readonly TargetModule[]
  readonly watched: readonly TargetModule[]
  readonly adaptation: Adaptation
  readonly state: MethodState
  readonly base: BaseWeights
  readonly sampler: Sampler
  readonly training: Training
  /** Where the run starts: at zero, or where its checkpoint was taken. */
  readonly progress: Progress
  readonly start: RecordBodyOf<'start'>
  dispose(): void
}

export async function prepareRun(config: RunConfig, environment: RunEnvironment): Promise<PreparedRun> {
  const { emit, roots, cacheFolder, collective } = environment
  const warnings = requireConsistent(config).map(({ path, message }) => `${path}: ${message}`)
  // Ranks of a job share the threads that the configuration names.
  const threads = collective ? environment.threads : (config.resources.threads ?? environment.threads)

  const folder = resolveModelPath(config.model.path, roots)
  const modelConfig = readConfig(folder)
  emit({ kind: 'phase', phase: 'loading-data', progress: null, detail: null })
  const tokenizer = TextTokenizer.load(folder, modelConfig.vocabularySize)
  const data = await loadData(config.data, config.seed, {
    tokenizer,
    vocabularySize: modelConfig.vocabularySize,
    evaluationExamples: config.evaluation.examples,
    resolvePath: (path) => resolveDataPath(path, roots),
    chatTemplate: () => ChatTemplate.load(folder),
    cacheFolder,
  })
  warnings.push(...tokenizer.notes, ...data.notes)
  const sampler = createSampler({
    ...config.data,
    ...config.training,
    examples: data.train.length,
    devices: config.parallel.devices,
    accumulation: accumulationSteps(config),
    seed: config.seed,
  })

  const longest = data.train.reduce((length, { inputIds }) => Math.max(length, inputIds.length), 1)
  const memory = estimateMemory(config, modelConfig, longest, collective !== undefined)
  requireMemory(memory, environment.memoryBytes)
  emit({ kind: 'log', level: 'info', message: `memory: ${describeMemory(memory)}` })
  const checkpoint =
    environment.checkpointFrom === null ? null : openCheckpoint(environment.checkpointFrom, config)

  emit({ kind: 'phase', phase: 'loading-model', progress: null, detail: basename(folder) })
  const backend = await selectBackend(config.resources.backend, { threads })
  tellBackend(backend, emit)
  const model = loadModel(folder)
  const state = new MethodState(checkpoint?.initial ?? null, collective ?? null)
  const dispose = () => {
    state.dispose()
    model.dispose()
  }
  try {
    await requireFiniteWeights(model)
    const targets = targetsOf(model, config)
    const watched = watchedTargets(targets, modelConfig.layers, config.spectra.modules)
    emit({ kind: 'phase', phase: 'initialising', progress: null, detail: config.method.name })
    const context: AttachContext = {
      model,
      targets,
      devices: config.parallel.devices,
      regatherAdapters: config.parallel.regatherAdapters,
      seed: config.seed,
      optimizer: config.optimizer,
      state,
      decompose: decomposition(emit, cacheFolder, config.seed, threads, warnings),
      warn: (message) => warnings.push(message),
    }
    const adaptation = await attachMethod(config.method, context)
    const training: Training = {
      ...(collective && { collective }),
      model,
      adaptation,
      state,
      epsilon: config.optimizer.epsilon,
      examples: data.train,
      sampler,
      schedule: learningRateSchedule(config.schedule, config.optimizer.learningRate, sampler),
      devices: config.parallel.devices,
      padTokenId: tokenizer.padTokenId,
      lossReduction: config.training.lossReduction,
      computeDtype: config.training.computeDtype,
      maxGradNorm: config.optimizer.maxGradNorm,
      checkpointBlocks: config.resources.gradientCheckpointing,
      watched: new Set(watched.map(({ name }) => name)),
    }
    const progress = checkpoint?.progress ?? { step: 0, tokens: 0, trainingSeconds: 0, baseAccuracy: null }
    const start: RecordBodyOf<'start'> = {
      kind: 'start',
      backend: backend.name,
      threads: backend.threads,
      totalSteps: sampler.totalSteps,
      startStep: progress.step,
      trainableParameters: adaptation.trainableParameters,
      totalParameters: parameterCount(modelConfig),
      modules: targets.map(({ name, rows, columns }) => ({ name, rows, columns })),
      warnings,
      data: [...data.counts],
    }
    const base = baseWeights(folder)
    const prepared = {
      config,
      backend,
      model,
      modelFolder: folder,
      tokenizer,
      data,
      targets,
      watched,
      adaptation,
      state,
      base,
      sampler,
    }
    return { ...prepared, training, progress, start, dispose }
  } catch (error) {
    dispose()
    throw error
  }
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

/** W_0 read again from the model's folder whenever it is needed, rather than held twice. */
function baseWeights(folder: string): BaseWeights {
  const opened = openModelFolder(folder)
  const specs = new Map(opened.specs.map((spec) => [spec.name, spec]))
  return new BaseWeights(({ name }) => opened.read(specs.get(`${name}.weight`)!))
}
