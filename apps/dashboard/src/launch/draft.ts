/**
 * What the launch page is about to start: a base (preset or an earlier run), the chosen methods, and the
 * changes made to it, by path. Changes are all that the address keeps. A path is a setting that all runs
 * share (`training.epochs`), or one of a method’s own (`@hd-pissa.method.rank`). Pure.
 */
import {
  type ComparisonMethod,
  type ConfigFinding,
  checkRunConfig,
  comparison,
  comparisonBase,
  comparisonMethodNames,
  type MethodName,
  methodNames,
  type RunConfig,
  runConfigSchema,
} from '@rankscope/protocol'
import { getAt, setAt } from './path.ts'
import { configFields, initialValues } from './schema.ts'

/** Settings that each method of a comparison has for itself. */
export const ownPaths = [
  'method',
  'optimizer.learningRate',
  'optimizer.maxGradNorm',
  'schedule.warmupRounding',
  'parallel.devices',
] as const

export const presets = ['comparison', 'blank'] as const
export type Preset = (typeof presets)[number]

export type Changes = Readonly<Record<string, unknown>>

export type Draft = {
  methods: readonly MethodName[]
  seeds: readonly number[]
  /** Settings for each method, complete but perhaps invalid. */
  configs: ReadonlyMap<MethodName, Record<string, unknown>>
}

/** The shared settings and each method’s own, before changes. */
export type Base = {
  shared: Record<string, unknown>
  own: (method: MethodName) => Record<string, unknown>
}

/** Methods that a preset begins with. */
export function presetMethods(preset: Preset): readonly MethodName[] {
  return preset === 'blank' ? ['hd-pissa'] : ['lora', 'pissa', 'hd-pissa']
}

const anyTask = { source: { kind: 'task', task: 'programs' } } as const

export function presetBase(preset: Preset): Base {
  const shared =
    preset === 'comparison'
      ? { ...runConfigSchema.parse({ ...comparisonBase, method: { name: 'lora' } }), tags: ['comparison'] }
      : runConfigSchema.parse({ data: anyTask, method: { name: 'lora' } })
  return {
    shared,
    own: (method) => {
      const tuned =
        preset === 'comparison' && (comparisonMethodNames as readonly string[]).includes(method)
          ? comparison('comparison', [method as ComparisonMethod])[0]!
          : comparisonDefaults(preset, method)
      return { ...tuned }
    },
  }
}

/** A base that repeats a run: its method as it was, others with their defaults. */
export function runBase(config: RunConfig): Base {
  const repeated = { ...config, name: null }
  return {
    shared: repeated,
    own: (method) =>
      method === config.method.name
        ? repeated
        : { ...repeated, method: withRank(initialMethod(method), config.method) },
  }
}

function comparisonDefaults(preset: Preset, method: MethodName): Record<string, unknown> {
  const base =
    preset === 'comparison'
      ? comparison('comparison', ['lora'])[0]!
      : runConfigSchema.parse({ data: anyTask, method: { name: 'lora' } })
  const config = initialMethod(method)
  return { ...base, method: preset === 'comparison' ? withRank(config, base.method) : config }
}

function initialMethod(method: MethodName): Record<string, unknown> {
  const field = configFields.find((candidate) => candidate.key === 'method')
  const variant =
    field?.kind === 'variants' ? field.variants.find((candidate) => candidate.value === method) : undefined
  return { name: method, ...initialValues(variant?.fields ?? []) }
}

/** Compared methods begin with the same rank. */
function withRank(method: Record<string, unknown>, other: RunConfig['method']): Record<string, unknown> {
  return 'rank' in method && 'rank' in other ? { ...method, rank: other.rank } : method
}

export function makeDraft(base: Base, methods: readonly MethodName[], changes: Changes): Draft {
  const seeds = Array.isArray(changes['seeds'])
    ? (changes['seeds'] as number[])
    : [base.shared['seed'] as number]
  const configs = new Map<MethodName, Record<string, unknown>>()
  for (const method of methods) {
    const own = base.own(method)
    let config = base.shared
    for (const path of ownPaths) config = setAt(config, path, getAt(own, path))
    for (const [path, value] of Object.entries(changes)) {
      if (path === 'seeds') continue
      if (!path.startsWith('@')) config = setAt(config, path, value)
      else if (path.startsWith(`@${method}.`)) config = setAt(config, path.slice(method.length + 2), value)
    }
    configs.set(method, config)
  }
  return { methods, seeds, configs }
}

/** Whether a setting belongs to each method by itself. */
export function isOwnPath(path: string): boolean {
  return ownPaths.some((own) => path === own || path.startsWith(`${own}.`))
}

/** Note a change; setting the base’s value again takes it back. */
export function withChange(base: Base, changes: Changes, path: string, value: unknown): Changes {
  const match = /^@([^.]+)\.(.*)$/.exec(path)
  const before = match
    ? getAt(base.own(match[1] as MethodName), match[2]!)
    : path === 'seeds'
      ? [base.shared['seed']]
      : getAt(base.shared, path)
  const rest = Object.fromEntries(
    // A new value for an object replaces what was changed inside it.
    Object.entries(changes).filter(([other]) => other !== path && !other.startsWith(`${path}.`)),
  )
  return JSON.stringify(before) === JSON.stringify(value) ? rest : { ...rest, [path]: value }
}

export type Finding = ConfigFinding & { method: MethodName | null }

export type Plan = {
  /** What would be launched; empty while there are errors. */
  configs: RunConfig[]
  /** Those of a method’s own settings name it; shared ones are told once. */
  findings: Finding[]
}

/** One run per method and seed, validated. `group` names the comparison where the draft does not. */
export function planRuns(draft: Draft, group: string): Plan {
  const configs: RunConfig[] = []
  const findings = new Map<string, Finding>()
  const several = draft.methods.length * draft.seeds.length > 1
  for (const [method, config] of draft.configs) {
    for (const seed of draft.seeds) {
      const name = typeof config['name'] === 'string' && config['name'] !== '' ? config['name'] : null
      const candidate = {
        ...config,
        seed,
        name: name === null || !several ? name : suffixed(name, draft, method, seed),
        group: config['group'] ?? (several ? group : null),
      }
      const parsed = runConfigSchema.safeParse(candidate)
      const found: ConfigFinding[] = parsed.success
        ? checkRunConfig(parsed.data)
        : parsed.error.issues.map((issue) => {
            const path = issue.path.map(String).join('.')
            return { severity: 'error', path, message: issue.message, hint: null }
          })
      if (parsed.success) configs.push(parsed.data)
      for (const finding of found) {
        const owner = isOwnPath(finding.path) ? method : null
        findings.set(`${owner} ${finding.path} ${finding.message}`, { ...finding, method: owner })
      }
    }
  }
  const list = [...findings.values()]
  return { configs: list.some((finding) => finding.severity === 'error') ? [] : configs, findings: list }
}

function suffixed(name: string, draft: Draft, method: MethodName, seed: number): string {
  const parts = [name]
  if (draft.methods.length > 1) parts.push(method)
  if (draft.seeds.length > 1) parts.push(`s${seed}`)
  return parts.join('-')
}

/** Changes from the address; anything unreadable counts as none. */
export function parseChanges(text: string): Changes {
  try {
    const value: unknown = JSON.parse(text)
    return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Changes) : {}
  } catch {
    return {}
  }
}

export function parseMethods(words: readonly string[]): MethodName[] {
  return methodNames.filter((name) => words.includes(name))
}
