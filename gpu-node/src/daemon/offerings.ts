/** What this node offers to train: base models and data files in the folders that its owner allowed, and its devices. */
import { existsSync, readdirSync, realpathSync, type Stats, statSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { basename, join, relative, resolve } from 'node:path'
import {
  errorPayload,
  type NodeHello,
  nodeDataSchema,
  nodeModelSchema,
  offeringLimits,
  RankscopeError,
} from '@rankscope/protocol'
import { openModelFolder } from '../model/folder.ts'

type Model = NodeHello['models'][number]
type DataFile = NodeHello['data'][number]

const modelDepth = 3
const dataDepth = 4
/** A root may be a whole disk: looking stops here, and the report says so. */
const mostFolders = 20_000
/** Of the largest models known, some hundred kilobytes. */
const largestConfigBytes = 4 * 2 ** 20

type Report = (line: string) => void

/** The folder as an absolute real path. Throws PATH_FORBIDDEN where it is none: an owner’s typing error shows at once. */
export function allowedFolder(folder: string, option: string): string {
  const path = resolve(folder)
  if (!existsSync(path) || !statSync(path).isDirectory())
    throw new RankscopeError('PATH_FORBIDDEN', `${option} ${folder}: there is no such folder`, {
      hint: 'name a folder that exists',
    })
  return realpathSync(path)
}

/**
 * Llama folders below the roots. A model’s path is what `model.path` of a configuration takes: relative to its root.
 * What cannot be offered (it cannot be trained, or its name cannot be told) is left out, and the report says why.
 */
export function findModels(roots: readonly string[], report: Report): Model[] {
  const found = roots.flatMap((root) =>
    folders(root, modelDepth, report).flatMap((folder) => describeModel(root, folder, report) ?? []),
  )
  return listed(found, offeringLimits.models, '--models', report)
}

/** Data files below the roots, likewise. Only regular files: to open a pipe would wait for ever. */
export function findData(roots: readonly string[], report: Report): DataFile[] {
  const found = roots.flatMap((root) =>
    folders(root, dataDepth, report).flatMap((folder) =>
      entries(folder).flatMap((entry) => {
        if (!entry.isFile() || !/\.((jsonl?|csv|tsv|txt)(\.gz)?|parquet)$/.test(entry.name)) return []
        const path = join(folder, entry.name)
        const stat = look(path)
        if (stat === null) return []
        const leaveOut = (reason: string) => {
          report(`left out the data file ${JSON.stringify(path)}: ${reason}`)
          return []
        }
        if (typeof stat === 'string') return leaveOut(stat)
        const file = nodeDataSchema.safeParse({ path: relative(root, path), bytes: stat.size })
        return file.success ? [file.data] : leaveOut(`its name ${reasonOf(file.error)}`)
      }),
    ),
  )
  return listed(found, offeringLimits.data, '--data', report)
}

/** What a path leads to: null where there is nothing (any more), the reason where the system does not say. */
function look(path: string): Stats | string | null {
  try {
    return statSync(path, { throwIfNoEntry: false }) ?? null
  } catch (error) {
    return errorPayload(error).message
  }
}

function listed<T>(found: T[], most: number, option: string, report: Report): T[] {
  if (found.length > most)
    report(`${option}: ${found.length} found, the first ${most} are offered; name folders further down`)
  return found.slice(0, most)
}

function reasonOf(error: { issues: readonly { message: string }[] }): string {
  return error.issues.map(({ message }) => message).join(', ')
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
function describeModel(root: string, folder: string, report: Report): Model | null {
  const leaveOut = (reason: string) => {
    report(`left out the model ${JSON.stringify(folder)}: ${reason}`)
    return null
  }
  const stat = look(join(folder, 'config.json'))
  if (stat === null) return null
  if (typeof stat === 'string') return leaveOut(stat)
  if (!stat.isFile()) return leaveOut('config.json is no regular file')
  if (stat.size > largestConfigBytes) return leaveOut(`config.json has ${stat.size} bytes`)
  try {
    const { config, specs } = openModelFolder(folder)
    const model = nodeModelSchema.safeParse({
      path: relative(root, folder) || folder,
      name: basename(folder),
      parameters: specs.reduce(
        (sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1),
        0,
      ),
      hiddenSize: config.hiddenSize,
      layers: config.layers,
      vocabulary: config.vocabularySize,
    })
    return model.success ? model.data : leaveOut(`its name ${reasonOf(model.error)}`)
  } catch (error) {
    return leaveOut(errorPayload(error).message)
  }
}

/** `root` and the folders below it down to `depth`; hidden ones and links are left out. */
function folders(root: string, depth: number, report: Report): string[] {
  const found = [root]
  let level = [root]
  for (let down = 0; down < depth; down++) {
    level = level.flatMap((folder) =>
      entries(folder)
        .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
        .map((entry) => join(folder, entry.name)),
    )
    if (found.length + level.length > mostFolders) {
      report(
        `${root} has more than ${mostFolders} folders; only some are looked at: name folders further down`,
      )
      return [...found, ...level.slice(0, mostFolders - found.length)].sort()
    }
    found.push(...level)
  }
  return found.sort()
}

/** Sorted by name; empty where the folder cannot be read. */
function entries(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))
  } catch {
    return []
  }
}
