/**
 * A sweep’s runs: the grid of its axes (or a sample of it) over the base configuration. Pure, and always in the same
 * order: the seed varies slowest, so that every setting has one run before any is repeated; of the other axes the last
 * varies fastest.
 */
import {
  type ConfigFinding,
  checkRunConfig,
  largestSweep,
  type MethodName,
  methodSchemas,
  RankscopeError,
  type RunConfig,
  runConfigSchema,
  type SettingValue,
  type SweepAxis,
  type SweepPoint,
  type SweepSpec,
} from '@rankscope/protocol'
import { settingText } from './axis-text.ts'

export type PlannedRun = { point: SweepPoint; config: RunConfig }
export type SweepFinding = ConfigFinding & { point: SweepPoint }
export type SweepPlan = {
  /** What would be launched, in the order of the queue; empty while there are errors. */
  runs: PlannedRun[]
  findings: SweepFinding[]
}

type Settings = Record<string, unknown>

/**
 * A setting that a point’s method does not have (a rank for full fine-tuning) counts as one value: it is left out of the
 * point, and points that thereby become equal are one run.
 */
export function expandSweep(spec: SweepSpec): SweepPlan {
  const grid = distinct(gridOf(spec.axes).map((point) => applicable(spec, point)))
  const points = spec.sample === null ? grid : sampled(grid, spec.sample.points, spec.sample.seed)
  const runs: PlannedRun[] = []
  const findings: SweepFinding[] = []
  for (const point of points) {
    const parsed = runConfigSchema.safeParse(settingsOf(spec, point))
    const found: ConfigFinding[] = parsed.success
      ? checkRunConfig(parsed.data)
      : parsed.error.issues.map((issue) => ({
          severity: 'error',
          path: issue.path.map(String).join('.'),
          message: issue.message,
          hint: null,
        }))
    if (parsed.success) runs.push({ point, config: parsed.data })
    findings.push(...found.map((finding) => ({ ...finding, point })))
  }
  const isBroken = findings.some(({ severity }) => severity === 'error')
  return { runs: isBroken ? [] : runs, findings }
}

/** The runs of a sweep, or CONFIG_INVALID that names the first settings which cannot be run. */
export function requireRuns(spec: SweepSpec): PlannedRun[] {
  const { runs, findings } = expandSweep(spec)
  const errors = findings.filter(({ severity }) => severity === 'error')
  if (errors.length === 0) return runs
  const told = errors
    .slice(0, 3)
    .map(({ point, path, message }) => `${pointText(point)}: ${path}: ${message}`)
  const more = errors.length > told.length ? ` (and ${errors.length - told.length} more)` : ''
  const hint = errors.find((error) => error.hint !== null)?.hint
  throw new RankscopeError('CONFIG_INVALID', `${told.join('; ')}${more}`, hint ? { hint } : {})
}

/** Runs that the longer axes bring beyond those of `points`. */
export function addedRuns(spec: SweepSpec, points: readonly SweepPoint[]): PlannedRun[] {
  const known = new Set(points.map(pointKey))
  return requireRuns(spec).filter(({ point }) => !known.has(pointKey(point)))
}

/** The same for equal points, whatever the order of their settings. */
export function pointKey(point: SweepPoint): string {
  return JSON.stringify(Object.entries(point).sort(([one], [other]) => (one < other ? -1 : 1)))
}

/** `hd-pissa, learningRate 2e-5, seed 1` */
export function pointText(point: SweepPoint): string {
  return Object.entries(point)
    .map(([path, value]) =>
      path === 'method' ? settingText(value) : `${lastWord(path)} ${settingText(value)}`,
    )
    .join(', ')
}

function lastWord(path: string): string {
  return path.slice(path.lastIndexOf('.') + 1)
}

function gridOf(axes: readonly SweepAxis[]): SweepPoint[] {
  const repeated = axes.map(({ path }) => path).find((path, index, paths) => paths.indexOf(path) !== index)
  if (repeated !== undefined) throw new RankscopeError('CONFIG_INVALID', `two axes set ${repeated}`)
  const size = axes.reduce((product, { values }) => product * values.length, 1)
  if (size > largestSweep * 16)
    throw new RankscopeError(
      'CONFIG_INVALID',
      `the grid has ${size} points, more than ${largestSweep * 16}`,
      {
        hint: 'take fewer values',
      },
    )
  const seedFirst = [
    ...axes.filter(({ path }) => path === 'seed'),
    ...axes.filter(({ path }) => path !== 'seed'),
  ]
  const written = axes.map(({ path }) => path)
  let points: SweepPoint[] = [{}]
  for (const { path, values } of seedFirst)
    points = points.flatMap((point) => values.map((value) => ({ ...point, [path]: value })))
  // A point names its settings in the order of the axes.
  return points.map((point) => Object.fromEntries(written.map((path) => [path, point[path]!])))
}

/** The point without the settings that its method does not have. */
function applicable(spec: SweepSpec, point: SweepPoint): SweepPoint {
  const method = methodOf(spec, point)
  const known: object = method === null ? {} : methodSchemas[method].shape
  return Object.fromEntries(
    Object.entries(point).filter(([path]) => {
      if (!path.startsWith('method.') || method === null) return true
      return path.split('.')[1]! in known
    }),
  )
}

/** null where no method is named: parsing the configuration then says so. */
function methodOf(spec: SweepSpec, point: SweepPoint): MethodName | null {
  const name = point['method'] ?? (spec.base['method'] as { name?: unknown } | undefined)?.name
  return typeof name === 'string' && name in methodSchemas ? (name as MethodName) : null
}

function distinct(points: readonly SweepPoint[]): SweepPoint[] {
  return [...new Map(points.map((point) => [pointKey(point), point])).values()]
}

/** `count` points drawn without putting back, in the grid’s order. */
function sampled(grid: readonly SweepPoint[], count: number, seed: number): SweepPoint[] {
  if (count >= grid.length) return [...grid]
  const random = mulberry32(seed)
  const order = grid.map((_, index) => index)
  for (let index = 0; index < count; index++) {
    const other = index + Math.floor(random() * (order.length - index))
    ;[order[index], order[other]] = [order[other]!, order[index]!]
  }
  return order
    .slice(0, count)
    .sort((one, other) => one - other)
    .map((index) => grid[index]!)
}

/** Tommy Ettinger’s 32-bit generator, in [0, 1): the same draws everywhere. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let word = Math.imul(state ^ (state >>> 15), state | 1)
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61)
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Base, then what the method has for itself, then the point. */
function settingsOf(spec: SweepSpec, point: SweepPoint): Settings {
  const method = methodOf(spec, point)
  const baseMethod = spec.base['method'] as Settings | undefined
  // The settings of another method’s base do not fit: only those that this one has are kept.
  const own =
    method === null
      ? baseMethod
      : {
          ...Object.fromEntries(
            Object.entries(baseMethod ?? {}).filter(([key]) => key in methodSchemas[method].shape),
          ),
          name: method,
        }
  let settings: Settings = { ...spec.base, method: own }
  if (method !== null) settings = merged(settings, spec.methods[method] ?? {})
  for (const [path, value] of Object.entries(point))
    if (path !== 'method') settings = withSetting(settings, path, value)
  return { ...settings, group: settings['group'] ?? spec.name, name: runName(spec, point) }
}

/** Longest name that a configuration may have. */
const longestName = 120

function runName(spec: SweepSpec, point: SweepPoint): string {
  const text = `${spec.name}: ${pointText(point)}`
  return text.length <= longestName ? text : `${text.slice(0, longestName - 1)}…`
}

function merged(base: Settings, over: Settings): Settings {
  const entries = Object.entries(over).map(([key, value]) => {
    const below = base[key]
    return [key, isSettings(below) && isSettings(value) ? merged(below, value) : value] as const
  })
  return { ...base, ...Object.fromEntries(entries) }
}

function isSettings(value: unknown): value is Settings {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

function withSetting(settings: Settings, path: string, value: SettingValue): Settings {
  const [key, ...rest] = path.split('.') as [string, ...string[]]
  if (rest.length === 0) return { ...settings, [key]: value }
  const inner = settings[key]
  return { ...settings, [key]: withSetting(isSettings(inner) ? inner : {}, rest.join('.'), value) }
}
