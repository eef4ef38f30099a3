/** Every import under `root` that the rules in import-rules.ts forbid, one text each. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { cruise, type ICruiseResult } from 'dependency-cruiser'
import extractTsConfig from 'dependency-cruiser/config-utl/extract-ts-config'
import { forbidden, options } from './import-rules.ts'

export interface ImportReport {
  readonly modules: number
  readonly imports: number
  readonly violations: readonly string[]
}

const folders = ['protocol', 'launch', 'server', 'gpu-node', 'apps', 'scripts', 'bench', 'e2e']

/**
 * A folder that gave no module is a violation too: with a TypeScript that it does not support, dependency-cruiser finds
 * nothing and calls that success.
 */
export async function checkImports(root: string): Promise<ImportReport> {
  const present = folders.filter((folder) => existsSync(join(root, folder)))
  const { output } = await cruise(
    present,
    { ...options, ruleSet: { forbidden }, validate: true, baseDir: root },
    undefined,
    { tsConfig: extractTsConfig('tsconfig.json') },
  )
  const { modules, summary } = output as ICruiseResult
  const empty = present.filter((folder) => !modules.some(({ source }) => source.startsWith(`${folder}/`)))
  const violations = summary.violations.map(({ rule, from, to, cycle }) => {
    const path = cycle ? cycle.map(({ name }) => name).join(' → ') : to
    const { comment } = forbidden.find(({ name }) => name === rule.name) ?? {}
    return `${from} → ${path}\n  ${rule.name}${comment ? `: ${comment}` : ''}`
  })
  const own = modules.filter(({ source }) => !source.includes('node_modules/'))
  return {
    modules: own.length,
    imports: own.reduce((sum, module) => sum + module.dependencies.length, 0),
    violations: [
      ...empty.map((folder) => `${folder}: no module was found, so nothing was checked`),
      ...violations,
    ],
  }
}
