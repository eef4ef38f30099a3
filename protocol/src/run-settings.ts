/**
 * A configuration as its differences from the defaults of its method, by path: a few entries instead of sixty, so that
 * lists of ten thousand runs travel and a table can name what was chosen. Pure; nothing is lost on the way.
 */
import { type MethodName, methodNames } from './method-config.ts'
import { type RunConfig, runConfigSchema } from './run-config.ts'

/** `{ "optimizer.learningRate": 0.01 }`; the method’s name stands under `method.name`, always. */
export type RunSettings = Record<string, unknown>

const defaults = new Map<MethodName, RunConfig>()

function defaultsOf(method: MethodName): RunConfig {
  const known = defaults.get(method)
  if (known) return known
  const config = runConfigSchema.parse({
    data: { source: { kind: 'task', task: 'arithmetic' } },
    method: { name: method },
  })
  defaults.set(method, config)
  return config
}

export function settingsOf(config: RunConfig): RunSettings {
  const settings: RunSettings = { 'method.name': config.method.name }
  collect(settings, '', config, defaultsOf(config.method.name))
  return settings
}

/** The configuration that the settings were made from. */
export function configFromSettings(settings: RunSettings): RunConfig {
  const name = methodNames.find((method) => method === settings['method.name'])
  if (!name) throw new TypeError(`unknown method ${String(settings['method.name'])}`)
  const config = structuredClone(defaultsOf(name)) as unknown as Record<string, unknown>
  for (const [path, value] of Object.entries(settings)) {
    const keys = path.split('.')
    const last = keys.pop()!
    let place = config
    for (const key of keys) place = place[key] as Record<string, unknown>
    place[last] = structuredClone(value)
  }
  return config as unknown as RunConfig
}

function collect(settings: RunSettings, path: string, value: unknown, usual: unknown): void {
  if (isObject(value) && isObject(usual) && sameKeys(value, usual)) {
    for (const key of Object.keys(value))
      collect(settings, path === '' ? key : `${path}.${key}`, value[key], usual[key])
  } else if (JSON.stringify(value) !== JSON.stringify(usual)) settings[path] = value
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function sameKeys(left: object, right: object): boolean {
  const keys = Object.keys(left)
  return keys.length === Object.keys(right).length && keys.every((key) => key in right)
}
