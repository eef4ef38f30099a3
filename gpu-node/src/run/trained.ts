/**
 * What a checkpoint holds, as a model with its method attached: enough to look at ΔW and to write it, without data,
 * without a step. What it takes of a configuration the checkpoint itself says.
 */
import { type MemoryEstimate, RankscopeError, type RunConfig } from '@rankscope/protocol'
import { type SelectedBackend, selectBackend } from '../backends/select.ts'
import type { SpectrumSource } from '../linalg/index.ts'
import { attachMethod } from '../methods/index.ts'
import type { Adaptation, TargetModule } from '../methods/method.ts'
import { openModelFolder } from '../model/folder.ts'
import { loadModel, type Model } from '../model/model.ts'
import { MethodState } from '../optim/state.ts'
import { BaseWeights } from '../train/base-weights.ts'
import { openCheckpoint, readCheckpointConfig } from '../train/checkpoint.ts'
import { targetsOf } from '../train/targets.ts'
import type { Roots } from './environment.ts'
import { describeMemory, estimateMemory } from './memory.ts'
import { resolveModelPath } from './paths.ts'

/** The part of a run that exports look at. */
export interface Trained {
  readonly config: RunConfig
  readonly model: Model
  readonly modelFolder: string
  readonly targets: readonly TargetModule[]
  readonly adaptation: Adaptation
  readonly base: BaseWeights
}

export interface OpenedTrained extends Trained {
  /** Optimiser steps that are in it. */
  readonly step: number
  readonly backend: SelectedBackend
  dispose(): void
}

/**
 * `memoryBytes`: what may be taken, null for no check. Throws CHECKPOINT_BROKEN, OUT_OF_MEMORY, MODEL_NOT_FOUND, and what
 * loading a model throws.
 */
export async function openTrained(
  checkpoint: string,
  { roots, threads, memoryBytes }: { roots: Roots; threads: number; memoryBytes: number | null },
  warn: (message: string) => void,
  onLoading?: (done: number, total: number) => void,
): Promise<OpenedTrained> {
  const config = readCheckpointConfig(checkpoint)
  const { initial, progress } = openCheckpoint(checkpoint, config, warn)
  const modelFolder = resolveModelPath(config.model.path, roots)
  requireRoom(config, modelFolder, memoryBytes)
  const { backend } = config.resources
  // What trained on a GPU is written as well by a processor, whose memory a merged model needs anyway.
  const selected = await selectBackend(backend === 'cuda' || backend === 'webgpu' ? 'auto' : backend, {
    threads,
  })
  const model = loadModel(modelFolder, onLoading)
  const state = new MethodState(initial)
  const dispose = () => {
    state.dispose()
    model.dispose()
  }
  try {
    const targets = targetsOf(model, config)
    const adaptation = await attachMethod(config.method, {
      model,
      targets,
      devices: config.parallel.devices,
      seed: config.seed,
      optimizer: config.optimizer,
      state,
      // Whatever a method starts from, a checkpoint has.
      decompose: async (wanted) => {
        if (wanted.length > 0) throw new Error(`the checkpoint lacks the start of ${wanted[0]!.target.name}`)
        return new Map()
      },
      warn,
    })
    return {
      config,
      model,
      modelFolder,
      targets,
      adaptation,
      base: baseWeights(modelFolder),
      step: progress.step,
      backend: selected,
      dispose,
    }
  } catch (error) {
    dispose()
    throw error
  }
}

/** ΔW of a target such that the stored base and it give the merged model. */
export async function updateOf(
  { adaptation, base }: Pick<Trained, 'adaptation' | 'base'>,
  target: TargetModule,
): Promise<SpectrumSource> {
  if (adaptation.startsRounded) {
    const { rows, columns } = target
    const [after, before] = [await adaptation.merged(target), base.read(target)]
    return { kind: 'dense', rows, columns, after, before }
  }
  const [total] = await adaptation.delta(target, async () => base.read(target))
  return total!.source
}

/** W_0 read again from the model's folder whenever it is needed, rather than held twice. */
export function baseWeights(folder: string): BaseWeights {
  const opened = openModelFolder(folder)
  const specs = new Map(opened.specs.map((spec) => [spec.name, spec]))
  return new BaseWeights(({ name }) => opened.read(specs.get(`${name}.weight`)!))
}

/** Model and state, without gradients and activations. */
function requireRoom(config: RunConfig, modelFolder: string, memoryBytes: number | null): void {
  const estimate = estimateMemory(config, openModelFolder(modelFolder).config, 1)
  requireFree({ ...estimate, gradientBytes: 0, activationBytes: 0 }, memoryBytes)
}

/** A model alone, to be read. Throws OUT_OF_MEMORY. */
export function requireRoomForModel(
  config: RunConfig,
  modelFolder: string,
  memoryBytes: number | null,
): void {
  const estimate = estimateMemory(config, openModelFolder(modelFolder).config, 1)
  requireFree({ ...estimate, stateBytes: 0, baseBytes: 0, gradientBytes: 0, activationBytes: 0 }, memoryBytes)
}

function requireFree(estimate: MemoryEstimate, memoryBytes: number | null): void {
  if (memoryBytes === null) return
  const needed = { ...estimate, totalBytes: estimate.modelBytes + estimate.stateBytes + estimate.baseBytes }
  if (needed.totalBytes <= memoryBytes) return
  const gib = (bytes: number) => (bytes / 2 ** 30).toFixed(1)
  throw new RankscopeError(
    'OUT_OF_MEMORY',
    `needed are ${describeMemory(needed)}, and ${gib(memoryBytes)} GiB are free`,
    { hint: 'Wait until the runs beside it have ended, or take a machine with more memory.' },
  )
}
