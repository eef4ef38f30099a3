/** What a finished run leaves behind, where its configuration asks for it: the merged model, the adapter. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { writeLoraAdapter } from '../export/adapter.ts'
import { exportMergedModel } from '../export/merge.ts'
import type { RunEnvironment } from './environment.ts'
import type { PreparedRun } from './prepare.ts'

export async function exportArtifacts(
  { config, model, targets, adaptation }: PreparedRun,
  { emit, folder }: RunEnvironment,
): Promise<void> {
  const phase = (detail: string) => emit({ kind: 'phase', phase: 'exporting', progress: null, detail })
  if (config.export.model) {
    phase('model')
    const path = join(folder, 'model')
    const byName = new Map(targets.map((target) => [target.name, target]))
    await exportMergedModel(path, model, [...byName.keys()], (name) => adaptation.merged(byName.get(name)!))
    emit({ kind: 'artifact', artifact: 'model', path, bytes: folderBytes(path) })
  }
  if (config.export.adapter && adaptation.adapter) {
    phase('adapter')
    const path = join(folder, 'adapter')
    writeLoraAdapter(path, await adaptation.adapter(), config.model.path)
    emit({ kind: 'artifact', artifact: 'adapter', path, bytes: folderBytes(path) })
  }
}

function folderBytes(folder: string): number {
  return readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)
}
