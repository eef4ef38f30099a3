/**
 * One place that writes what was trained, in whatever form is asked for: at the end of a run where its configuration names
 * it (exports.ts), and after the fact from a checkpoint (execute-export.ts).
 */
import { join } from 'node:path'
import {
  type ExportRequest,
  type ExportRequestOf,
  RankscopeError,
  type storedDtypes,
} from '@rankscope/protocol'
import type { RoomOnDisk } from '../durable-files.ts'
import { type LoraAdapter, writeLoraAdapter } from '../export/adapter.ts'
import { type ModuleDelta, writeDelta } from '../export/delta.ts'
import { exportMergedModel } from '../export/merge.ts'
import { type TruncatedPair, truncatedAdapter, truncatedPair } from '../export/truncated.ts'
import { withFullSvd } from '../linalg/index.ts'
import { selectLinearAlgebra } from '../linalg/select.ts'
import { denseUpdate } from '../linalg/spectrum.ts'
import { type StoredDtype, writeJsonFile } from '../model/save.ts'
import { whenThereIsRoom } from './disk-room.ts'
import { singularValuesOf, smallestRank } from './export-outlook.ts'
import { type Trained, updateOf } from './trained.ts'

export interface ExportTools {
  readonly threads: number
  readonly room: RoomOnDisk
  progress(share: number | null, detail: string | null): void
}

const dtypes: Record<(typeof storedDtypes)[number], StoredDtype> = {
  float32: 'F32',
  bfloat16: 'BF16',
  float16: 'F16',
}

/** Writes into `folder`. Returns what is to be known of the result. Throws CONFIG_INVALID where the method has no such form. */
export async function writeExport(
  trained: Trained,
  request: Exclude<ExportRequest, { as: 'outlook' }>,
  folder: string,
  tools: ExportTools,
): Promise<string[]> {
  switch (request.as) {
    case 'model':
      return writeModel(trained, request, folder, tools)
    case 'adapter':
      return writeAdapter(trained, request, folder, tools)
    case 'lora':
      return writeTruncated(trained, request, folder, tools)
    case 'delta': {
      const deltas = updates(trained).map((one, index, all) => ({
        ...one,
        delta() {
          tools.progress(index / all.length, one.module)
          return one.delta()
        },
      }))
      await whenThereIsRoom(tools.room, () => writeDelta(folder, deltas))
      return []
    }
    default:
      return request satisfies never
  }
}

async function writeModel(
  { model, targets, adaptation }: Trained,
  { dtype, shardGib }: ExportRequestOf<'model'>,
  folder: string,
  { room, progress }: ExportTools,
): Promise<string[]> {
  const byName = new Map(targets.map((target) => [target.name, target]))
  const options = {
    dtype: dtypes[dtype],
    ...(shardGib !== null && { shardBytes: shardGib * 2 ** 30 }),
    onProgress: (done: number, total: number) => progress(done / total, `${done} of ${total} tensors`),
  }
  await whenThereIsRoom(room, () =>
    exportMergedModel(
      folder,
      model,
      [...byName.keys()],
      (name) => adaptation.merged(byName.get(name)!),
      options,
    ),
  )
  return []
}

async function writeAdapter(
  trained: Trained,
  { baseModel }: ExportRequestOf<'adapter'>,
  folder: string,
  { room, progress }: ExportTools,
): Promise<string[]> {
  const { adaptation, config, modelFolder } = trained
  if (!adaptation.adapter)
    throw new RankscopeError('CONFIG_INVALID', `${config.method.name} has no adapter that PEFT loads`, {
      hint:
        config.method.name === 'hd-pissa'
          ? 'Its first-order part is kept with method.attribution only. Export a truncated SVD of ΔW, or the merged model.'
          : 'Export a truncated SVD of ΔW as LoRA, or the merged model.',
    })
  progress(null, null)
  const adapter = await adaptation.adapter()
  await whenThereIsRoom(room, () => writeLoraAdapter(folder, adapter, baseModel ?? modelFolder))
  if (config.method.name !== 'hd-pissa') return []
  const errors = await errorsOf(trained, adapter, progress)
  await whenThereIsRoom(room, () => writeTruncation(folder, adapter.rank, errors))
  return [`the first-order part as LoRA of rank ${adapter.rank}: ${worstOf(errors)}`]
}

type ModuleError = Pick<TruncatedPair, 'module' | 'error' | 'relativeError'>

/** What an adapter leaves out of ΔW, module by module. */
async function errorsOf(
  trained: Trained,
  adapter: LoraAdapter,
  progress: ExportTools['progress'],
): Promise<ModuleError[]> {
  const { algebra } = selectLinearAlgebra()
  const pairs = new Map(adapter.pairs.map((pair) => [pair.module, pair]))
  const scale = adapter.alpha / adapter.rank
  const errors: ModuleError[] = []
  for (const { module, rows, columns, delta: make } of updates(trained)) {
    progress(errors.length / trained.targets.length, module)
    const { a, b } = pairs.get(module)!
    const shape = { rows, inner: adapter.rank, columns }
    const product = algebra.multiply(Float64Array.from(a), Float64Array.from(b), shape)
    const delta = await make()
    const size = Math.sqrt(delta.reduce((sum, value) => sum + value * value, 0))
    const left = Math.sqrt(delta.reduce((sum, value, i) => sum + (value - scale * product[i]!) ** 2, 0))
    errors.push({ module, error: left, relativeError: size === 0 ? 0 : left / size })
  }
  return errors
}

/** The best adapter of that rank, and beside it `truncation.json` with what it leaves out of each module. */
async function writeTruncated(
  trained: Trained,
  { rank: wanted, energy, baseModel }: ExportRequestOf<'lora'>,
  folder: string,
  { room, threads, progress }: ExportTools,
): Promise<string[]> {
  const { algebra } = selectLinearAlgebra()
  const count = trained.targets.length
  // By energy there are two passes: the rank has to be known before factors are kept.
  const [start, length] = wanted === null ? [0.3, 0.7] : [0, 1]
  const rank =
    wanted ??
    smallestRank(
      (await singularValuesOf(trained, (done, module) => progress((start * done) / count, module))).map(
        ({ singularValues }) => singularValues,
      ),
      energy!,
    )
  const pairs = await withFullSvd(threads, async (topOf) => {
    const found: TruncatedPair[] = []
    for (const { module, rows, columns, delta: make } of updates(trained)) {
      progress(start + (length * found.length) / count, module)
      const delta = await make()
      const top = await topOf(Float32Array.from(delta), rows, columns, Math.min(rank, rows, columns))
      found.push(truncatedPair(algebra, module, { rows, columns, delta }, top, rank))
    }
    return found
  })
  const adapter = truncatedAdapter(rank, pairs)
  await whenThereIsRoom(room, () => writeLoraAdapter(folder, adapter, baseModel ?? trained.modelFolder))
  await whenThereIsRoom(room, () => writeTruncation(folder, rank, pairs))
  return [`LoRA of rank ${rank}: ${worstOf(pairs)}`]
}

function writeTruncation(folder: string, rank: number, errors: readonly ModuleError[]): void {
  const byModule = errors.map(
    ({ module, error, relativeError }) => [module, { error, relativeError }] as const,
  )
  writeJsonFile(join(folder, 'truncation.json'), { rank, modules: Object.fromEntries(byModule) })
}

function worstOf(errors: readonly ModuleError[]): string {
  const worst = errors.reduce((most, one) => (one.relativeError > most.relativeError ? one : most))
  const share = worst.relativeError.toExponential(1)
  return `at most ${share} of ‖ΔW‖_F is left out (${worst.module}); truncation.json has every module`
}

/** ΔW of every target module, made when it is asked for. */
function updates(trained: Trained): ModuleDelta[] {
  const { algebra } = selectLinearAlgebra()
  return trained.targets.map((target) => ({
    module: target.name,
    rows: target.rows,
    columns: target.columns,
    delta: async () => denseUpdate(algebra, await updateOf(trained, target)),
  }))
}
