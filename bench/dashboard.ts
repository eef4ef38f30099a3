/**
 * `npm run bench -- dashboard`: how fast the dashboard is with many runs, points and modules, in Chromium.
 *
 * Seeds data folders (kept in node_modules/.cache), starts the server on each and opens the pages: a comparison of 100
 * runs × 10,000 steps × 12 series, a run with 224 modules × 1,000 spectra, lists of 1,000 and 10,000 runs.
 * Options: --only compare,spectra,list; --root DIR measures another checkout (its server and its built dashboard) on
 * copies of the same data, of --seeds DIR where its schema is an older one; --runs 100 of the comparison.
 */
import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { chromium } from '@playwright/test'
import { findChromium } from '../scripts/chromium.ts'
import { measureCompare, measureList, measureSpectra, type Stage } from './dashboard/measure.ts'
import { type Seed, seedStore, seriesNames } from './dashboard/seed.ts'
import { startServerAt } from './dashboard/server.ts'

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', default: 'compare,spectra,list' },
    root: { type: 'string', default: resolve(import.meta.dirname, '..') },
    runs: { type: 'string', default: '100' },
    seeds: {
      type: 'string',
      default: resolve(import.meta.dirname, '../node_modules/.cache/dashboard-bench'),
    },
  },
  allowPositionals: true,
})
const wanted = options.only.split(',')
const runs = Number(options.runs)
const executablePath = findChromium()
if (executablePath === null) throw new Error('there is no Chromium: install it, or set RANKSCOPE_CHROMIUM')
const browser = await chromium.launch({
  executablePath,
  args: ['--headless', '--no-sandbox', '--disable-gpu'],
})
try {
  if (wanted.includes('compare'))
    await on(`compare-${runs}`, { runs, steps: 10_000, series: seriesNames, spectra: null }, (stage) =>
      measureCompare(stage, runs),
    )
  if (wanted.includes('spectra'))
    await on(
      'spectra',
      { runs: 1, steps: 1000, series: seriesNames, spectra: { modules: 224, snapshots: 1000, values: 64 } },
      measureSpectra,
    )
  if (wanted.includes('list'))
    for (const count of [1000, 10_000])
      await on(`list-${count}`, { runs: count, steps: 1, series: [], spectra: null }, (stage) =>
        measureList(stage, count),
      )
} finally {
  await browser.close()
}

/** Measure on a server of its own over a copy of the seeded folder: another version may change it. */
async function on(
  name: string,
  seed: Seed,
  measure: (stage: Stage) => Promise<Record<string, unknown>>,
): Promise<void> {
  const folder = join(options.seeds, name)
  if (!existsSync(join(folder, 'complete'))) {
    rmSync(folder, { recursive: true, force: true })
    await seedStore(folder, seed)
    writeFileSync(join(folder, 'complete'), '')
  }
  const copy = mkdtempSync(join(tmpdir(), 'rankscope-bench-'))
  cpSync(folder, copy, { recursive: true })
  const server = await startServerAt(resolve(options.root), copy)
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } })
  try {
    console.table({ [name]: await measure({ address: server.address, page: await context.newPage() }) })
  } finally {
    await context.close()
    await server.stop()
    rmSync(copy, { recursive: true, force: true })
  }
}
