/** The tables of docs/methods.md, section 4. */
import { tailRatio } from '../../gpu-node/src/linalg/rank-measures.ts'
import { markdownTable, percent, rate, scientific } from '../output/markdown.ts'
import type { ModuleResult, RunResult, Setting } from './runs.ts'
import type { Tail } from './tail.ts'

/** Values below this share of s₁ count as the end of a spectrum: far above float64's error, below any float32 noise. */
const endShare = 1e-12

export function attributionTables(
  results: readonly RunResult[],
  shown: string,
  { rank, devices, steps }: Setting,
): string {
  const inner = 2 * devices * rank
  const wide = results[0]!.modules.filter(({ rows, columns }) => Math.min(rows, columns) > inner)
  const caption = `r = ${rank}, K = ${devices}, 2Kr = ${inner}, ${steps} steps of the built-in task; ${wide.length} modules have more than 2Kr directions.`
  return [
    `**Where the spectra end.** ${caption} *Ends at*: singular values
above 10⁻¹² s₁, over all modules; *nowhere* where that is all of them. *merged*: the same of W_T − W_0 after a merge of the factors
into float32. Other columns are medians over the modules; *tail ratio* is that of section 3 at the bound.`,
    endsTable(results),
    `**What the tail is made of.** Beyond the reach of the first-order part, medians over those ${wide.length} modules; in brackets
${shown}, which the figures show. *second order*, *rounding*: shares of the tail’s energy (‖·‖²_F). *largest
rounding*: the largest singular value of the rounding there; *expected*: what independent roundings of W, one per step, give.`,
    tailTable(results, shown),
  ].join('\n\n')
}

function endsTable(results: readonly RunResult[]): string {
  const header = [
    'method',
    'learning rate',
    'loss',
    '‖ΔW‖_F',
    'bound',
    'part',
    'ends at',
    'merged',
    'tail ratio',
    'numerical rank',
    'effective rank',
  ]
  const rows = results.flatMap(({ variant, learningRate, modules, firstLoss, finalLoss }) => {
    if (variant.control) return []
    const parts = modules[0]!.spectra.has('first-order')
      ? (['first-order', 'total'] as const)
      : (['total'] as const)
    return parts.map((part) => {
      const pick = (f: (entry: NonNullable<ReturnType<ModuleResult['spectra']['get']>>) => number) =>
        median(modules.map(({ spectra }) => f(spectra.get(part)!)))
      const tails = modules
        .map(({ spectra }) => tailRatio(spectra.get(part)!.singularValues, variant.bound.rank))
        .filter(Number.isFinite)
      return [
        variant.label,
        rate(learningRate),
        `${firstLoss.toFixed(2)} → ${finalLoss.toFixed(2)}`,
        pick(({ frobenius }) => frobenius).toPrecision(2),
        `${variant.bound.name} = ${variant.bound.rank}`,
        part,
        ends(modules, part),
        modules[0]!.spectra.has('merged') ? ends(modules, 'merged') : '–',
        tails.length === 0 ? '–' : scientific(median(tails)),
        pick(({ measures }) => measures.numericalRank).toFixed(0),
        pick(({ measures }) => measures.effectiveRank).toFixed(1),
      ]
    })
  })
  return markdownTable(header, rows, [0, 5])
}

function tailTable(results: readonly RunResult[], shown: string): string {
  const header = [
    'HD-PiSSA',
    'learning rate',
    'tail / ‖ΔW‖_F',
    'second order',
    'rounding',
    'largest rounding',
    'expected',
  ]
  const rows = results.flatMap(({ variant, learningRate, modules }) => {
    const wide = modules.filter((entry) => entry.tail !== null)
    if (wide.length === 0) return []
    const one = wide.find(({ module }) => module === shown)
    const both = (f: (tail: Tail, entry: ModuleResult) => number, format: (value: number) => string) => {
      const middle = format(median(wide.map((entry) => f(entry.tail!, entry))))
      return one ? `${middle} (${format(f(one.tail!, one))})` : middle
    }
    return [
      [
        variant.label.replace('HD-PiSSA ', ''),
        rate(learningRate),
        both((tail, { spectra }) => tail.total / spectra.get('total')!.frobenius, scientific),
        both((tail) => tail.secondOrderShare, percent),
        both((tail) => 1 - tail.secondOrderShare, percent),
        both((tail) => tail.roundingLargest, scientific),
        both((_, { floor }) => floor.everyStep, scientific),
      ],
    ]
  })
  return markdownTable(header, rows)
}

function end(values: Float64Array): number {
  return values.filter((value) => value > endShare * values[0]!).length
}

/** How many values the spectra have, from least to most; all of them where each matrix is used to its last direction. */
function ends(modules: readonly ModuleResult[], part: 'total' | 'first-order' | 'merged'): string {
  const counts = modules.map(({ spectra }) => end(spectra.get(part)!.singularValues))
  if (modules.every(({ rows, columns }, i) => counts[i] === Math.min(rows, columns))) return 'nowhere'
  const [least, most] = [Math.min(...counts), Math.max(...counts)]
  return least === most ? String(least) : `${least} to ${most}`
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  return sorted.length % 2 === 1 ? sorted[Math.floor(middle)]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
