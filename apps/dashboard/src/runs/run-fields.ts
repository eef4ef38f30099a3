/**
 * What can be asked of a run by name: a few short names, every setting by its path (`optimizer.learningRate`), every
 * number of its summary (`summary.tailRatio`) and the newest of every scalar (`train/loss`). Columns, filters, grouping
 * and colours all read runs through this. Pure.
 */
import { fromJsonNumber, methodLabel, type RunView } from '@rankscope/protocol'
import { elapsedSeconds, runFigure, summaryFigure, tokensPerSecond } from './run-figures.ts'

/** A list (tags) counts as all of its words. null: the run has no such thing. */
export type FieldValue = string | number | boolean | readonly string[] | null

type Reader = (run: RunView, nowMs: number) => FieldValue

const shortFields: Record<string, Reader> = {
  name: (run) => run.name,
  state: (run) => run.state,
  method: (run) => run.config.method.name,
  label: (run) => methodLabel(run.config),
  group: (run) => run.config.group ?? null,
  tag: (run) => run.config.tags,
  model: (run) => run.config.model.path,
  node: (run) => run.nodeId,
  backend: (run) => run.config.resources.backend,
  loss: (run) => runFigure(run, 'loss'),
  accuracy: (run) => runFigure(run, 'accuracy'),
  rank: (run) => ('rank' in run.config.method ? run.config.method.rank : null),
  lr: (run) => run.config.optimizer.learningRate,
  devices: (run) => run.config.parallel.devices,
  seed: (run) => run.config.seed,
  step: (run) => run.step,
  batch: (run) => run.config.training.globalBatchSize,
  effectiveRank: (run) => summaryFigure(run, 'effectiveRank'),
  speed: tokensPerSecond,
  time: elapsedSeconds,
  created: (run) => run.createdMs,
  attempt: (run) => run.attempt,
}
const lowerCase = new Map(Object.keys(shortFields).map((name) => [name.toLowerCase(), name]))

/** The field’s reader; null where no run could have it. Short names in any case, paths and scalars as they are. */
export function fieldReader(name: string, known: ReadonlySet<string>): Reader | null {
  const short = lowerCase.get(name.toLowerCase())
  if (short) return shortFields[short]!
  if (!known.has(name)) return null
  if (name.startsWith('summary.')) return (run) => summaryFigure(run, name.slice('summary.'.length))
  if (name.includes('/')) return (run) => latest(run, name)
  return (run) => setting(run.config, name)
}

function latest(run: RunView, name: string): number | null {
  const value = run.latest[name]
  return value === undefined ? null : fromJsonNumber(value)
}

function setting(config: unknown, path: string): FieldValue {
  let value: unknown = config
  for (const key of path.split('.')) value = (value as Record<string, unknown> | null | undefined)?.[key]
  if (value === undefined || value === null) return null
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value
  return Array.isArray(value) ? value.map(String) : null
}

/** Names of all fields that the runs have: short ones first, then settings, summaries and scalars. */
export function fieldNames(runs: readonly RunView[]): string[] {
  const settings = new Set<string>()
  const others = new Set<string>()
  // Runs of one shape name the same paths; a look at each distinct shape suffices.
  const shapes = new Set<string>()
  for (const run of runs) {
    const shape = `${run.config.method.name} ${run.config.data.source.kind}`
    if (!shapes.has(shape)) collectPaths(run.config, '', settings)
    shapes.add(shape)
    for (const name in run.latest) others.add(name)
    for (const name in run.summary) others.add(`summary.${name}`)
  }
  // `seed`, `name` and `group` are settings and short names alike.
  return [...new Set([...Object.keys(shortFields), ...settings, ...[...others].sort()])]
}

function collectPaths(value: unknown, path: string, found: Set<string>): void {
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) {
    for (const [key, child] of Object.entries(value))
      collectPaths(child, path === '' ? key : `${path}.${key}`, found)
  } else found.add(path)
}

/** A value in words, for a group’s heading or a list of values. */
export function valueText(value: FieldValue): string {
  if (value === null) return 'none'
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (typeof value === 'number') {
    const size = Math.abs(value)
    return size !== 0 && (size < 1e-3 || size >= 1e7)
      ? value.toExponential().replace('e+', 'e')
      : String(value)
  }
  return typeof value === 'string' ? value : value.length === 0 ? 'none' : value.join(', ')
}
