/** Settings of several runs side by side, those that differ first. Pure. */
import { flattenConfig } from '../common/flatten.ts'

export type DiffRow = {
  path: string /** One per run; null where the run has no such setting. */
  values: (string | null)[]
  differs: boolean
}

/** Names, groups and tags tell runs apart but decide nothing; they are left out. */
const labels = ['name', 'group', 'tags']

export function diffConfigs(configs: readonly unknown[]): DiffRow[] {
  const flat = configs.map((config) => new Map(flattenConfig(config)))
  const paths = new Set(flat.flatMap((settings) => [...settings.keys()]))
  const rows = [...paths]
    .filter((path) => !labels.includes(path))
    .map((path) => {
      const values = flat.map((settings) => settings.get(path) ?? null)
      return { path, values, differs: values.some((value) => value !== values[0]) }
    })
  return [...rows.filter((row) => row.differs), ...rows.filter((row) => !row.differs)]
}

/** Equal for runs that differ in their seed and labels only. */
export function configKey(config: object): string {
  return JSON.stringify(
    Object.entries(config).filter(([key]) => key !== 'seed' && key !== 'priority' && !labels.includes(key)),
  )
}
