/** Runs one golden case of the shared material with our own training loop, for tests and for the table in the docs. */
import { readFileSync } from 'node:fs'
import { type RunConfig, type RunConfigInput, runConfigSchema } from '@rankscope/protocol'
import { readTokenFile } from '../../data/token-file.ts'
import { selectLinearAlgebra } from '../../linalg/select.ts'
import type { SpectrumSource } from '../../linalg/spectrum.ts'
import { topSvd } from '../../linalg/top-svd.ts'
import type { Triplets } from '../../methods/method.ts'
import { loadModel } from '../../model/model.ts'
import { transpose } from '../../model/parameters.ts'
import { openSafetensors, readFloat32 } from '../../model/safetensors.ts'
import type { InitialValues } from '../../optim/state.ts'
import { assembleTraining } from '../../train/session.ts'
import { targetsOf } from '../../train/targets.ts'
import { type StepReport, train } from '../../train/trainer.ts'
import { sharedPath } from '../shared-material.ts'

/** config.json of a case, as far as it decides what is computed. */
export interface GoldenConfig {
  readonly case: string
  readonly kind: 'hd_pissa' | 'fine_tuning'
  readonly model: string
  readonly data_path: string
  readonly pad_token_id: number
  readonly method?: string
  readonly devices_K?: number
  readonly rank_per_device_r?: number
  readonly rank_r?: number | null
  readonly alpha: number | null
  readonly aggregate?: 'sum' | 'mean'
  readonly adapters?: 'fixed' | 'evolving'
  readonly adapter_slices?: 'contiguous' | 'shared-top'
  readonly second_order_term?: boolean
  readonly micro_batch_examples?: number
  readonly micro_batch_examples_per_device?: number
  readonly accumulation_micro_batches?: number
  readonly accumulation_micro_batches_per_device?: number
  readonly epochs?: number
  readonly learning_rate_peak: number
  readonly schedule: 'cosine' | 'linear'
  readonly warmup_ratio?: number
  readonly warmup_steps: number
  readonly schedule_total_steps: number
  readonly optimizer_steps_done: number
  readonly max_grad_norm: number | null
}

export interface GoldenRun {
  readonly steps: readonly StepReport[]
  /** ‖ΔW‖_F after each step, for the modules that the case follows. */
  readonly frobenius: Readonly<Record<string, readonly number[]>>
  /** Final ΔW [m, n] by module, float64. */
  readonly deltas: ReadonlyMap<string, { rows: number; columns: number; values: Float64Array }>
  /** Modules whose W differed in any bit from the base after the first step. */
  readonly movedAfterFirstStep: readonly string[]
}

export function readGoldenConfig(name: string): GoldenConfig {
  return JSON.parse(readFileSync(sharedPath('golden/cases', name, 'config.json'), 'utf8')) as GoldenConfig
}

/** The case as a run configuration of ours. */
export function goldenRunConfig(golden: GoldenConfig): RunConfig {
  const devices = golden.devices_K ?? 1
  const microBatchSize = golden.micro_batch_examples_per_device ?? golden.micro_batch_examples!
  const accumulation = golden.accumulation_micro_batches_per_device ?? golden.accumulation_micro_batches!
  const distributed = golden.kind === 'hd_pissa'
  return runConfigSchema.parse({
    seed: 0,
    data: {
      source: { kind: 'tokens', path: sharedPath('golden/cases', golden.case, golden.data_path) },
      shuffle: false,
      sampling: distributed ? 'distributed' : 'sequential',
      remainder: 'leak',
    },
    method: goldenMethod(golden),
    parallel: { devices },
    optimizer: { learningRate: golden.learning_rate_peak, maxGradNorm: golden.max_grad_norm },
    schedule: distributed
      ? { kind: golden.schedule, warmupRatio: golden.warmup_ratio!, legacyTotalSteps: true }
      : {
          kind: golden.schedule,
          warmupSteps: golden.warmup_steps,
          totalSteps: golden.schedule_total_steps,
        },
    training: {
      epochs: golden.epochs ?? 1,
      maxSteps: distributed ? null : golden.optimizer_steps_done,
      microBatchSize,
      globalBatchSize: microBatchSize * accumulation * devices,
    },
  } satisfies RunConfigInput)
}

function goldenMethod(golden: GoldenConfig): RunConfigInput['method'] {
  if (golden.kind === 'hd_pissa')
    return {
      name: 'hd-pissa',
      rank: golden.rank_per_device_r!,
      alpha: golden.alpha,
      aggregate: golden.aggregate!,
      adapters: golden.adapters!,
      slices: golden.adapter_slices!,
      secondOrder: golden.second_order_term!,
      legacyFloorAlpha: true,
    }
  const rank = golden.rank_r ?? 1
  const { alpha } = golden
  const method = golden.method ?? ''
  if (method === 'LoRA') return { name: 'lora', rank, alpha }
  if (method === 'rsLoRA') return { name: 'lora', rank, alpha, rankStabilized: true }
  if (method.startsWith('PiSSA')) return { name: 'pissa', rank, alpha }
  if (method.startsWith('DoRA')) return { name: 'dora', rank, alpha }
  if (method.startsWith('HiRA')) return { name: 'hira', rank }
  if (method.startsWith('MoRA')) return { name: 'mora', rank, type: method.endsWith('6') ? 6 : 1 }
  if (method.startsWith('full')) return { name: 'full' }
  throw new Error(`golden case ${golden.case}: unknown method ${method}`)
}

/** Trains the case on the active backend. */
export async function runGolden(golden: GoldenConfig, followed: readonly string[]): Promise<GoldenRun> {
  const config = goldenRunConfig(golden)
  const { source } = config.data
  if (source.kind !== 'tokens') throw new Error('golden cases are pre-tokenised')
  const model = loadModel(sharedPath('data/models', golden.model))
  const { vocabularySize } = model.config
  const { examples } = await readTokenFile(source.path, { vocabularySize, maxLength: 512 })
  const base = new Map(
    targetsOf(model, config).map(({ name, weight }) => [name, (weight.dataSync() as Float32Array).slice()]),
  )
  const { targets, adaptation, training, dispose } = await assembleTraining({
    config,
    model,
    examples,
    padTokenId: golden.pad_token_id,
    decompose: async (wanted) =>
      new Map(
        wanted.map(({ target, rank }): [string, Triplets] => {
          const w = base.get(target.name)!
          return [
            target.name,
            topSvd(selectLinearAlgebra().algebra, w, { ...target, rank }, { kind: 'full' }),
          ]
        }),
      ),
    warn: () => undefined,
    initial: initialAdapters(golden),
  })
  try {
    const delta = async (name: string) => {
      const target = targets.find((candidate) => candidate.name === name)!
      const [total] = await adaptation.delta(target, async () => base.get(name)!)
      return { rows: target.rows, columns: target.columns, values: denseDelta(total!.source) }
    }

    const steps: StepReport[] = []
    const frobenius: Record<string, number[]> = Object.fromEntries(followed.map((name) => [name, []]))
    let moved: string[] = []
    await train(training, 0, async (report) => {
      steps.push(report)
      for (const name of followed) frobenius[name]!.push(norm((await delta(name)).values))
      if (report.step === 1)
        moved = targets
          .filter(({ name, weight }) => !sameBits(weight.dataSync() as Float32Array, base.get(name)!))
          .map(({ name }) => name)
      return 'continue'
    })
    const deltas: [string, Awaited<ReturnType<typeof delta>>][] = []
    for (const { name } of targets) deltas.push([name, await delta(name)])
    return { steps, frobenius, deltas: new Map(deltas), movedAfterFirstStep: moved }
  } finally {
    dispose()
  }
}

/** Initial A of the case's LoRA-like methods, [m, r] from Hugging Face's [r, m]; PiSSA decomposes by itself. */
function initialAdapters(golden: GoldenConfig): InitialValues | null {
  if (golden.kind !== 'fine_tuning' || golden.method?.startsWith('PiSSA')) return null
  const { tensors } = openSafetensors(sharedPath('golden/cases', golden.case, 'tensors.safetensors'))
  return {
    complete: false,
    read(name) {
      const info = name.endsWith('.A') ? tensors.get(`init.${name.slice(0, -2)}.lora_A`) : undefined
      if (!info) return null
      const [rank = 0, inputs = 0] = info.shape
      return transpose(readFloat32(info), rank, inputs)
    },
  }
}

/** ΔW [rows, columns] in float64. */
export function denseDelta(source: SpectrumSource): Float64Array {
  if (source.kind === 'dense') {
    const { after, before } = source
    return Float64Array.from(after, (value, i) => value - (before ? before[i]! : 0))
  }
  const { rows, columns, terms } = source
  const sum = new Float64Array(rows * columns)
  for (const { left, right, inner, factor } of terms)
    for (let i = 0; i < rows; i++)
      for (let k = 0; k < inner; k++) {
        const weight = factor * left[i * inner + k]!
        for (let j = 0; j < columns; j++) sum[i * columns + j]! += weight * right[k * columns + j]!
      }
  return sum
}

export function norm(values: Float64Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0))
}

function sameBits(a: Float32Array, b: Float32Array): boolean {
  const words = (values: Float32Array) => new Uint32Array(values.buffer, values.byteOffset, values.length)
  const other = words(b)
  return words(a).every((word, index) => word === other[index])
}
