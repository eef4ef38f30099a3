/**
 * `npm run check:imports`: holds every source file to the rules in import-rules.ts. Fails when a folder gave
 * no module: with a TypeScript that it does not support, dependency-cruiser finds nothing and calls that success.
 */
import { existsSync } from 'node:fs'
import { cruise, type ICruiseResult } from 'dependency-cruiser'
import extractTsConfig from 'dependency-cruiser/config-utl/extract-ts-config'
import { forbidden, options } from './import-rules.ts'

const folders = ['protocol', 'launch', 'server', 'gpu-node', 'apps', 'scripts', 'bench', 'e2e'].filter(
  (folder) => existsSync(folder),
)
const { output } = await cruise(folders, { ...options, ruleSet: { forbidden }, validate: true }, undefined, {
  tsConfig: extractTsConfig('tsconfig.json'),
})
const { modules, summary } = output as ICruiseResult

const empty = folders.filter((folder) => !modules.some(({ source }) => source.startsWith(`${folder}/`)))
for (const folder of empty) console.error(`${folder}: no module was found, so nothing was checked`)
for (const { rule, from, to, cycle } of summary.violations) {
  const path = cycle ? cycle.map(({ name }) => name).join(' → ') : to
  const { comment } = forbidden.find(({ name }) => name === rule.name) ?? {}
  console.error(`${from} → ${path}\n  ${rule.name}${comment ? `: ${comment}` : ''}`)
}
const own = modules.filter(({ source }) => !source.includes('node_modules/'))
const dependencies = own.reduce((sum, module) => sum + module.dependencies.length, 0)
console.log(`${own.length} modules, ${dependencies} imports, ${summary.violations.length} violations`)
process.exit(empty.length > 0 || summary.violations.length > 0 ? 1 : 0)
