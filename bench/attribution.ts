/**
 * `npm run bench -- attribution`: what the tail of HD-PiSSA's spectrum is made of, beside LoRA and PiSSA.
 *
 * Options: --model models/rankscope-mini, --rank 4, --devices 4, --steps 384, --rates 2e-5,1e-3, --module (q_proj of
 * the middle layer), --docs docs.
 *
 * Trains every method at every learning rate on the built-in task, one thread, and writes two figures to docs/figures
 * and the tables of docs/methods.md, section 4.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { attributionFigure, methodsFigure } from './attribution/figures.ts'
import { attributionTables } from './attribution/page.ts'
import { type RunResult, runVariant, type Setting, variants } from './attribution/runs.ts'
import { machineLine } from './output/machine.ts'
import { replaceSection } from './output/markdown.ts'

async function benchAttribution(): Promise<void> {
  const root = join(import.meta.dirname, '..')
  const { values: options } = parseArgs({
    options: {
      model: { type: 'string', default: join(root, 'models/rankscope-mini') },
      rank: { type: 'string', default: '4' },
      devices: { type: 'string', default: '4' },
      steps: { type: 'string', default: '384' },
      rates: { type: 'string', default: '2e-5,1e-3' },
      module: { type: 'string' },
      docs: { type: 'string', default: join(root, 'docs') },
    },
  })
  const setting: Setting = {
    model: resolve(options.model),
    rank: Number(options.rank),
    devices: Number(options.devices),
    steps: Number(options.steps),
  }
  const results: RunResult[] = []
  let backend = ''
  for (const rate of options.rates.split(',').map(Number))
    for (const variant of variants(setting)) {
      const result = await runVariant(setting, variant, rate)
      const loss = `loss ${result.firstLoss.toFixed(3)} to ${result.finalLoss.toFixed(3)}`
      console.error(`${variant.label}, learning rate ${rate}: ${result.steps} steps, ${loss}`)
      results.push(result)
      backend = result.backend
    }
  const shown = options.module ?? middleModule(results)
  const figures = join(options.docs, 'figures')
  mkdirSync(figures, { recursive: true })
  writeFileSync(join(figures, 'spectra-by-method.svg'), methodsFigure(results, shown, setting))
  writeFileSync(join(figures, 'hd-pissa-tail.svg'), attributionFigure(results, shown, setting))
  const tables = attributionTables(results, shown, setting)
  const where = `${basename(setting.model)}; ${machineLine(backend)}`
  replaceSection(join(options.docs, 'methods.md'), 'attribution', `${tables}\n\n${where}`)
  console.log(tables)
}

/** q_proj of the middle layer. */
function middleModule(results: readonly RunResult[]): string {
  const names = results[0]!.modules.map(({ module }) => module).filter((name) => name.endsWith('q_proj'))
  return names[Math.floor(names.length / 2)]!
}

await benchAttribution()
