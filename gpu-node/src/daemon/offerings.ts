/** What this node offers to train: base models and data files in the folders that its owner allowed, and its devices. */
import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { basename, join, relative, resolve } from 'node:path'
import { errorPayload, type NodeHello, RankscopeError } from '@rankscope/protocol'
import { openModelFolder } from '../model/folder.ts'

type Model = NodeHello['models'][number]
type DataFile = NodeHello['data'][number]

const modelDepth = 3
const dataDepth = 4
const dataFiles = 2000

/** The folder as an absolute real path. Throws PATH_FORBIDDEN where it is none: an owner’s typing error shows at once. */
export function allowedFolder(folder: string, option: string): string {
  const path = resolve(folder)
  if (!existsSync(path) || !statSync(path).isDirectory())
    throw new RankscopeError('PATH_FORBIDDEN', `${option} ${folder}: there is no such folder`, {
      hint: 'name a folder that exists',
    })
  return realpathSync(path)
}

/** Llama folders below the roots. A model’s path is what `model.path` of a configuration takes: relative to its root. */
export function findModels(roots: readonly string[], report: (line: string) => void): Model[] {
  return roots.flatMap((root) =>
    folders(root, modelDepth).flatMap((folder) => {
      const model = describeModel(root, folder, report)
      return model === null ? [] : [model]
    }),
  )
}

/** Data files below the roots, at most 2000. */
export function findData(roots: readonly string[]): DataFile[] {
  const found: DataFile[] = []
  for (const root of roots) {
    for (const folder of folders(root, dataDepth)) {
      for (const entry of entries(folder)) {
        if (found.length === dataFiles) return found
        if (!entry.isFile() || !/\.(jsonl?|jsonl\.gz|txt)$/.test(entry.name)) continue
        const path = join(folder, entry.name)
        found.push({ path: relative(root, path), bytes: statSync(path).size })
      }
    }
  }
  return found
}

/** The processor as a device. Memory is what this process’s group may use, where that is limited. */
export function processorDevice(): NodeHello['devices'][number] {
  const processors = cpus()
  return {
    id: 'cpu',
    kind: 'cpu',
    name: processors[0]?.model.trim() || 'CPU',
    memoryBytes: usableMemoryBytes(),
    cores: processors.length,
  }
}

export function usableMemoryBytes(): number {
  const limit = process.constrainedMemory()
  return limit === undefined || limit === 0 ? totalmem() : Math.min(limit, totalmem())
}

/** Null where there is no `config.json`. A folder that cannot be trained is left out, and the report says why. */
function describeModel(root: string, folder: string, report: (line: string) => void): Model | null {
  if (!existsSync(join(folder, 'config.json'))) return null
  try {
    const { config, specs } = openModelFolder(folder)
    return {
      path: relative(root, folder) || folder,
      name: basename(folder),
      parameters: specs.reduce(
        (sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1),
        0,
      ),
      hiddenSize: config.hiddenSize,
      layers: config.layers,
      vocabulary: config.vocabularySize,
    }
  } catch (error) {
    report(`left out the model ${folder}: ${errorPayload(error).message}`)
    return null
  }
}

/** `root` and the folders below it down to `depth`; hidden ones and links are left out. */
function folders(root: string, depth: number): string[] {
  if (depth === 0) return [root]
  const below = entries(root).filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
  return [root, ...below.flatMap((entry) => folders(join(root, entry.name), depth - 1))]
}

/** Sorted by name; empty where the folder cannot be read. */
function entries(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))
  } catch {
    return []
  }
}
