/** `npm run check:imports`: holds every source file to the rules in import-rules.ts. */
import { checkImports } from './import-violations.ts'

const { modules, imports, violations } = await checkImports(process.cwd())
for (const violation of violations) console.error(violation)
console.log(`${modules} modules, ${imports} imports, ${violations.length} violations`)
process.exit(violations.length > 0 ? 1 : 0)
