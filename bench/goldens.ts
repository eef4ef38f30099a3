/**
 * `npm run bench -- goldens`: how far Rankscope is from the paper's equations, the official code and PEFT.
 *
 * Options: --cases hd_,ft_24 (beginnings of names; all), --backend auto, --out docs/goldens.md.
 *
 * Trains every golden case of the shared material with the real training loop and writes the page of distances. Exits
 * with 1 where a distance from the float64 truth is outside its tolerance.
 */
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { selectBackend } from '../gpu-node/src/backends/select.ts'
import { sharedMissing, sharedPath } from '../gpu-node/src/testing/shared-material.ts'
import { type GoldenConfig, runGolden } from '../gpu-node/src/testing/training/golden-case.ts'
import { distances, finalDistances, ownSide, type Side, storedSide } from './goldens/distances.ts'
import { type Material, readMaterial } from './goldens/material.ts'
import { type CaseReport, goldenPage, outsideTolerance } from './goldens/page.ts'
import { machineLine } from './output/machine.ts'

/** In the order of the page: the official code, variants of it, other methods. */
const families = ['hd', 'ex', 'ft']

async function benchGoldens(): Promise<void> {
  const { values: options } = parseArgs({
    options: {
      cases: { type: 'string', default: '' },
      backend: { type: 'string', default: 'auto' },
      out: { type: 'string', default: join(import.meta.dirname, '../docs/goldens.md') },
    },
  })
  if (sharedMissing) throw new Error(sharedMissing)
  const backend = await selectBackend(options.backend as 'auto', { threads: 1 })
  const wanted = options.cases.split(',')
  const names = readdirSync(sharedPath('golden/cases'))
    .filter((name) => wanted.some((beginning) => name.startsWith(beginning)))
    .sort((a, b) => families.indexOf(a.slice(0, 2)) - families.indexOf(b.slice(0, 2)) || a.localeCompare(b))
  const reports: CaseReport[] = []
  for (const name of names) {
    console.error(`${reports.length + 1} of ${names.length}: ${name}`)
    reports.push(await reportOf(readMaterial(name)))
  }
  const machine = machineLine(`backend ${backend.name} (${backend.description}), 1 thread`)
  writeFileSync(options.out, goldenPage(reports, machine))
  const outside = reports.flatMap(outsideTolerance)
  for (const line of outside) console.error(`outside tolerance: ${line}`)
  console.log(`${reports.length} cases, ${outside.length} distances outside their tolerance: ${options.out}`)
  if (outside.length > 0) process.exitCode = 1
}

async function reportOf(material: Material): Promise<CaseReport> {
  const { golden, truth: results, reference } = material
  const followed = Object.keys(results.delta_w_frobenius_per_step)
  const all = Object.keys(results.singular_values_of_delta_w_final)
  const train = async (config: GoldenConfig) => ownSide(await runGolden(config, followed))
  const truth = storedSide(results, (module) =>
    followed.includes(module) ? material.truthDelta(module) : null,
  )
  const own = await train(golden)
  const theirs = reference && storedSide(reference, (module) => material.referenceDelta(module))
  const fromTruth = (side: Pick<Side, 'delta'>) => Math.max(...finalDistances(side, truth, followed))
  return {
    material,
    ownToTruth: distances(own, truth, all),
    ownToReference: theirs && distances(own, theirs, all),
    referenceToTruth: theirs && distances(theirs, truth, all),
    paperToTruth: isPaperEquation(golden) ? null : fromTruth(await train(paperEquation(golden))),
    officialToTruth: officialDistance(material, theirs, fromTruth),
  }
}

/** Whether the case computes what the method's paper says. */
function isPaperEquation(golden: GoldenConfig): boolean {
  if (golden.kind === 'fine_tuning') return true
  const { aggregate, adapters, adapter_slices: slices, second_order_term: secondOrder } = golden
  const mean = aggregate === 'mean' || golden.devices_K === 1
  return mean && adapters === 'fixed' && slices === 'contiguous' && secondOrder === true
}

/** The case with HD-PiSSA's equation in place of the variant that it tests. */
function paperEquation(golden: GoldenConfig): GoldenConfig {
  const paper = { aggregate: 'mean', adapters: 'fixed', adapter_slices: 'contiguous' } as const
  return { ...golden, ...paper, second_order_term: true }
}

/** Of the released HD-PiSSA code on the same data and schedule; null for other methods. */
function officialDistance(
  { golden }: Material,
  reference: Side | null,
  fromTruth: (side: Pick<Side, 'delta'>) => number,
): number | null {
  if (golden.kind === 'fine_tuning') return null
  if (reference) return fromTruth(reference)
  const basis = readMaterial(golden.based_on_case!)
  return fromTruth({ delta: (module) => basis.referenceDelta(module) })
}

await benchGoldens()
