import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { floors } from './gpu-node-floors.ts'
import { checkImports } from './import-violations.ts'

let root: string
let violations: readonly string[]

/** A repository of planted imports: each file with what it imports. */
const planted: Readonly<Record<string, string>> = {
  'gpu-node/src/ops/low.ts': 'export type Low = 1; export const low = 1',
  'gpu-node/src/methods/high.ts': "import { low } from '../ops/low.ts'; export type High = typeof low",
  'gpu-node/src/optim/upward.ts': "import type { High } from '../methods/high.ts'; export type U = High",
  'gpu-node/src/linalg/sideways.ts': "import { low } from '../ops/low.ts'; export const s = low",
  'gpu-node/src/linalg/sideways.test.ts': "import { low } from '../ops/low.ts'; export const s = low",
  'gpu-node/src/ground.ts': "import { low } from './ops/low.ts'; export const g = low",
  'gpu-node/src/attic/new.ts': "import { low } from '../ops/low.ts'; export const n = low",
  'gpu-node/src/testing/fake.ts': "import { low } from '../ops/low.ts'; export const fake = low",
  'gpu-node/src/run/cheats.ts': "import { fake } from '../testing/fake.ts'; export const c = fake",
  'scripts/cheats.ts': "import { fake } from '../gpu-node/src/testing/fake.ts'; export const c = fake",
  'bench/may.ts': "import { fake } from '../gpu-node/src/testing/fake.ts'; export const c = fake",
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'import-rules-'))
  for (const [file, text] of Object.entries(planted)) {
    mkdirSync(dirname(join(root, file)), { recursive: true })
    writeFileSync(join(root, file), `${text}\n`)
  }
  violations = (await checkImports(root)).violations
})

afterAll(() => rmSync(root, { recursive: true }))

const found = () => violations.map((text) => text.replace(/:.*/, '').replace(/\n\s*/, ' by ')).sort()

test('an import against the floors is refused, a type-only one too; tests may look anywhere', () => {
  expect(found()).toEqual([
    'gpu-node/src/attic/new.ts → gpu-node/src/ops/low.ts by every-folder-has-a-floor',
    'gpu-node/src/ground.ts → gpu-node/src/ops/low.ts by ground-floor',
    'gpu-node/src/linalg/sideways.ts → gpu-node/src/ops/low.ts by floor-of-linalg',
    'gpu-node/src/optim/upward.ts → gpu-node/src/methods/high.ts by floor-of-optim',
    'gpu-node/src/run/cheats.ts → gpu-node/src/testing/fake.ts by floor-of-run',
    'gpu-node/src/run/cheats.ts → gpu-node/src/testing/fake.ts by product-without-test-support',
    'scripts/cheats.ts → gpu-node/src/testing/fake.ts by product-without-test-support',
  ])
})

test('no two folders can import each other: each may import only those named before it', () => {
  const names = Object.keys(floors)
  for (const [folder, below] of Object.entries(floors))
    for (const name of below)
      expect(names.indexOf(name), `${folder} → ${name}`).toBeLessThan(names.indexOf(folder))
  for (const name of Object.values(floors).flat()) expect(names).toContain(name)
})
