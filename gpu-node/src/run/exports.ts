/** What a finished run leaves behind, where its configuration asks for it: model, adapters, ΔW itself. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { writeLoraAdapter } from '../export/adapter.ts'
import { type ModuleDelta, writeDelta } from '../export/delta.ts'
import { exportMergedModel } from '../export/merge.ts'
import { type TruncatedPair, truncatedAdapter, truncatedPair } from '../export/truncated.ts'
import { topSvd } from '../linalg/index.ts'
import { selectLinearAlgebra } from '../linalg/select.ts'
import { denseUpdate } from '../linalg/spectrum.ts'
import { writeJsonFile } from '../model/save.ts'
import { roomOnDisk, whenThereIsRoom } from './disk-room.ts'
import type { RunEnvironment } from './environment.ts'
import type { PreparedRun } from './prepare.ts'

export async function exportArtifacts(prepared: PreparedRun, environment: RunEnvironment): Promise<void> {
  const { config, model, targets, adaptation } = prepared
  const { emit, folder } = environment
  const room = roomOnDisk(environment)
  const phase = (detail: string) => emit({ kind: 'phase', phase: 'exporting', progress: null, detail })
  const done = (artifact: 'model' | 'adapter' | 'delta' | 'lora', path: string) =>
    emit({ kind: 'artifact', artifact, path, bytes: folderBytes(path) })
  if (config.export.model) {
    phase('model')
    const path = join(folder, 'model')
    const byName = new Map(targets.map((target) => [target.name, target]))
    await whenThereIsRoom(room, () =>
      exportMergedModel(path, model, [...byName.keys()], (name) => adaptation.merged(byName.get(name)!)),
    )
    done('model', path)
  }
  if (config.export.adapter && adaptation.adapter) {
    phase('adapter')
    const path = join(folder, 'adapter')
    const adapter = await adaptation.adapter()
    await whenThereIsRoom(room, () => writeLoraAdapter(path, adapter, config.model.path))
    done('adapter', path)
  }
  if (config.export.delta) {
    phase('ΔW')
    const path = join(folder, 'delta')
    await whenThereIsRoom(room, () => writeDelta(path, updates(prepared)))
    done('delta', path)
  }
  if (config.export.loraRank !== null) {
    phase(`LoRA of rank ${config.export.loraRank}`)
    const path = join(folder, 'lora')
    await exportTruncated(path, config.export.loraRank, prepared, environment)
    done('lora', path)
  }
}

/** ΔW of every target module, made when it is asked for: the stored base and it give the merged model. */
function updates({ adaptation, base, targets }: PreparedRun): ModuleDelta[] {
  const { algebra } = selectLinearAlgebra()
  return targets.map((target) => ({
    module: target.name,
    rows: target.rows,
    columns: target.columns,
    async delta() {
      if (adaptation.startsRounded) {
        const { rows, columns } = target
        const [after, before] = [await adaptation.merged(target), base.read(target)]
        return denseUpdate(algebra, { kind: 'dense', rows, columns, after, before })
      }
      const [total] = await adaptation.delta(target, async () => base.read(target))
      return denseUpdate(algebra, total!.source)
    },
  }))
}

/** The best adapter of that rank, and beside it `truncation.json` with what it leaves out of each module. */
async function exportTruncated(
  path: string,
  rank: number,
  prepared: PreparedRun,
  environment: RunEnvironment,
): Promise<void> {
  const { emit, threads } = environment
  const room = roomOnDisk(environment)
  const { algebra } = selectLinearAlgebra()
  const pairs: TruncatedPair[] = []
  for (const { module, rows, columns, delta: make } of updates(prepared)) {
    const delta = await make()
    const kept = Math.min(rank, rows, columns)
    const top = await topSvd(Float32Array.from(delta), rows, columns, kept, { kind: 'full', threads })
    pairs.push(truncatedPair(algebra, module, { rows, columns, delta }, top, rank))
  }
  const adapter = truncatedAdapter(rank, pairs)
  await whenThereIsRoom(room, () => writeLoraAdapter(path, adapter, prepared.config.model.path))
  const byModule = pairs.map(
    ({ module, error, relativeError }) => [module, { error, relativeError }] as const,
  )
  const truncation = { rank, modules: Object.fromEntries(byModule) }
  await whenThereIsRoom(room, () => writeJsonFile(join(path, 'truncation.json'), truncation))
  const worst = pairs.reduce((most, pair) => (pair.relativeError > most.relativeError ? pair : most))
  const share = worst.relativeError.toExponential(1)
  const message = `LoRA of rank ${rank}: at most ${share} of ‖ΔW‖_F is left out (${worst.module}); truncation.json has every module`
  emit({ kind: 'log', level: 'info', message })
}

function folderBytes(folder: string): number {
  return readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)
}
