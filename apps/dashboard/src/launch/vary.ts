/**
 * Settings that a launch gives several values: with methods and seeds they are the axes of a sweep. What a person writes
 * stays text (`1e-5…1e-3 log 5`) until it can be read. Pure.
 */
import { expandSweep, type PlannedRun, parseAxisText } from '@rankscope/experiments'
import { RankscopeError, type SweepAxis, type SweepSpec, sweepSpecSchema } from '@rankscope/protocol'
import type { Draft, Finding, Plan } from './draft.ts'
import { childrenOf, configFields, type Field } from './schema.ts'

export type Vary = { path: string; text: string }

/** From the address; anything unreadable counts as none. */
export function parseVary(text: string): Vary[] {
  try {
    const value: unknown = JSON.parse(text)
    if (!Array.isArray(value)) return []
    return value.flatMap((item: unknown) => {
      const { path, text: values } = (item ?? {}) as Record<string, unknown>
      return typeof path === 'string' && typeof values === 'string' ? [{ path, text: values }] : []
    })
  } catch {
    return []
  }
}

/** Settings that can be varied, with what the form calls them; those of every chosen method among them. */
export function variableSettings(draft: Draft): { path: string; title: string }[] {
  const found = new Map<string, string>()
  const visit = (fields: readonly Field[], value: unknown, prefix: string, group: string) => {
    for (const field of fields) {
      const path = `${prefix}${field.key}`
      const inner = (value as Record<string, unknown> | null | undefined)?.[field.key]
      const children = childrenOf(field, inner)
      if (children.length > 0) visit(children, inner, `${path}.`, prefix === '' ? field.title : group)
      else if (['number', 'choice', 'flag'].includes(field.kind) && path !== 'seed' && path !== 'priority')
        found.set(path, group === '' ? field.title : `${group}: ${field.title}`)
    }
  }
  for (const config of draft.configs.values()) visit(configFields, config, '', '')
  return [...found].map(([path, title]) => ({ path, title }))
}

export type SweepPlan = Plan & {
  /** null while the axes cannot be read. */
  spec: SweepSpec | null
  runs: PlannedRun[]
}

/** The sweep of the draft’s methods and seeds and of what is varied. */
export function planSweep(draft: Draft, vary: readonly Vary[], name: string): SweepPlan {
  const findings: Finding[] = []
  const axes: SweepAxis[] = []
  if (draft.methods.length > 1) axes.push({ path: 'method', values: [...draft.methods] })
  for (const { path, text } of vary) {
    try {
      axes.push({ path, values: parseAxisText(text) })
    } catch (error) {
      if (!(error instanceof RankscopeError)) throw error
      findings.push({ severity: 'error', path, message: error.message, hint: error.hint, method: null })
    }
  }
  if (draft.seeds.length > 1 || axes.length === 0) axes.push({ path: 'seed', values: [...draft.seeds] })
  const parsed = sweepSpecSchema.safeParse({ name: nameOf(draft) ?? name, ...baseOf(draft), axes })
  if (!parsed.success)
    for (const { path, message } of parsed.error.issues)
      findings.push({
        severity: 'error',
        path: path.map(String).join('.'),
        message,
        hint: null,
        method: null,
      })
  if (!parsed.success || findings.length > 0) return { spec: null, runs: [], configs: [], findings }
  try {
    const { runs, findings: found } = expandSweep(parsed.data)
    // What holds for many points is told once.
    const told = new Map(
      found.map(({ point: _, ...finding }) => [
        `${finding.path} ${finding.message}`,
        { ...finding, method: null },
      ]),
    )
    return {
      spec: parsed.data,
      runs,
      configs: runs.map(({ config }) => config),
      findings: [...told.values()],
    }
  } catch (error) {
    if (!(error instanceof RankscopeError)) throw error
    const finding: Finding = {
      severity: 'error',
      path: 'axes',
      message: error.message,
      hint: error.hint,
      method: null,
    }
    return { spec: null, runs: [], configs: [], findings: [finding] }
  }
}

function nameOf(draft: Draft): string | null {
  const name = draft.configs.values().next().value?.['name']
  return typeof name === 'string' && name !== '' ? name : null
}

/** What the methods share as the base, and the rest of each as its own. */
function baseOf(draft: Draft): Pick<SweepSpec, 'base' | 'methods'> {
  const configs = [...draft.configs]
  const [, first] = configs[0]!
  const { name: _, ...settings } = first
  const base: Record<string, unknown> = { ...settings, seed: draft.seeds[0] }
  if (configs.length === 1) return { base, methods: {} }
  const methods: SweepSpec['methods'] = {}
  for (const [method, config] of configs) {
    const own: Record<string, unknown> = {}
    for (const key of Object.keys(config))
      if (key !== 'name' && key !== 'seed' && JSON.stringify(config[key]) !== JSON.stringify(first[key]))
        own[key] = config[key]
    own['method'] = config['method']
    methods[method] = own
  }
  const { method: __, ...shared } = base
  return { base: shared, methods }
}
