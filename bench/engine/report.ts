/** Turns measurements into the table that is printed and its Markdown twin for docs/benchmarks.md. */
import type { Peaks, Rate } from './peaks.ts'
import { predictionOf } from './predictions.ts'
import { type CaseResult, caseName, type StepCase, stepFlops } from './sizes.ts'

export interface Measured {
  readonly stepCase: StepCase
  /** One result per round. */
  readonly ours: CaseResult[]
  readonly peer: CaseResult[]
  /** The peer through torch.compile, where that is measured. */
  readonly compiled: CaseResult[]
}

export interface Machine {
  readonly processor: string
  readonly cores: number
  readonly memoryGigabytes: number
  readonly date: string
  readonly threads: number
  readonly rank: number
  readonly rounds: number
  readonly steps: number
  readonly products: string
  readonly computeDtype: string
}

const columns = [
  'size',
  'method',
  'step ms',
  'tokens/s',
  'GFLOP/s',
  'sgemm GFLOP/s',
  'share of the product',
  'share of the peak',
  'by processor time',
  'peak MB',
  'predicted ms',
]
const peerColumns = [
  'PyTorch step ms',
  'times as fast',
  'times by processor time',
  'PyTorch peak MB',
  'compiled step ms',
]

export function renderReport(
  measured: readonly Measured[],
  peaks: readonly Peaks[],
  machine: Machine,
): { text: string; markdown: string } {
  const withPeers = measured.some(({ peer }) => peer.length > 0)
  const header = withPeers ? [...columns, ...peerColumns] : columns
  const best = bestRate(peaks)
  const rows = measured.map((entry) => [...row(entry, best), ...(withPeers ? peerRow(entry) : [])])
  const { processor, cores, memoryGigabytes, date, threads, rank, rounds, steps, products, computeDtype } =
    machine
  const descriptions = new Set(
    measured.flatMap(({ ours, peer }) => [...ours, ...peer].map((r) => r.description)),
  )
  const caption = [
    `${processor}, ${cores} cores, ${memoryGigabytes} GB; ${date}; ${[...descriptions].join('; ')}.`,
    ...(best ? [peakText(peaks)] : []),
    `operands ${computeDtype}, products ${products}, ${threads} threads, rank ${rank}; medians of ${rounds} rounds of ${steps} steps, optimizer included.`,
  ]
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map((cells) => cells[i]!.length)))
  const line = (cells: readonly string[]) => cells.map((cell, i) => cell.padStart(widths[i]!)).join('  ')
  const table = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return {
    text: [...caption, '', line(header), ...rows.map(line)].join('\n'),
    markdown: `${[caption.join(' '), '', table(header), table(header.map(() => '---')), ...rows.map(table)].join('\n')}\n`,
  }
}

function row({ stepCase, ours }: Measured, best: Rate | null): string[] {
  const flops = stepFlops(stepCase)
  const wall = median(ours.flatMap((result) => result.wallMs))
  const tokens = stepCase.size.batch * stepCase.size.sequence
  const share = median(ours.flatMap((r) => r.wallMs.map((ms, i) => flops / ms / 1e6 / r.peakWall[i]!)))
  const ofBest = (times: 'wallMs' | 'processorMs', peak: number | undefined) =>
    peak === undefined
      ? ''
      : median(ours.flatMap((r) => r[times].map((ms) => flops / ms / 1e6 / peak))).toFixed(2)
  return [
    stepCase.size.name,
    caseName(stepCase),
    wall.toFixed(0),
    ((tokens / wall) * 1000).toFixed(0),
    (flops / wall / 1e6).toFixed(0),
    median(ours.flatMap((result) => result.peakWall)).toFixed(0),
    share.toFixed(2),
    ofBest('wallMs', best?.wall),
    ofBest('processorMs', best?.processor),
    megabytes(ours),
    predictionOf(stepCase)?.toString() ?? '',
  ]
}

/** Medians over the rounds, of each way to multiply. */
function mediansOf(peaks: readonly Peaks[]): [way: string, Rate][] {
  const ways = [...new Set(peaks.flatMap((round) => Object.keys(round)))]
  return ways.map((way) => {
    const found = peaks.flatMap((round) => round[way] ?? [])
    const by = (kind: keyof Rate) => median(found.map((rate) => rate[kind]))
    return [way, { wall: by('wall'), processor: by('processor') }]
  })
}

/** null: nothing was measured, as for a GPU. */
function bestRate(peaks: readonly Peaks[]): Rate | null {
  const rates = mediansOf(peaks).map(([, rate]) => rate)
  if (rates.length === 0) return null
  return {
    wall: Math.max(...rates.map(({ wall }) => wall)),
    processor: Math.max(...rates.map(({ processor }) => processor)),
  }
}

function peakText(peaks: readonly Peaks[]): string {
  const ways = mediansOf(peaks).map(
    ([way, { wall, processor }]) => `${way} ${wall.toFixed(0)} (by processor time ${processor.toFixed(0)})`,
  )
  return `GFLOP/s of products of 1536 x 1536, the best of which is the peak: ${ways.join(', ')}.`
}

function peerRow({ ours, peer, compiled }: Measured): string[] {
  if (peer.length === 0) return peerColumns.map(() => '')
  const ratio = (times: 'wallMs' | 'processorMs') =>
    (median(peer.flatMap((r) => r[times])) / median(ours.flatMap((r) => r[times]))).toFixed(2)
  const wall = median(peer.flatMap((result) => result.wallMs))
  const compiledWall = compiled.flatMap((result) => result.wallMs)
  return [
    ...[wall.toFixed(0), ratio('wallMs'), ratio('processorMs'), megabytes(peer)],
    compiledWall.length > 0 ? median(compiledWall).toFixed(0) : '',
  ]
}

const megabytes = (results: readonly CaseResult[]): string =>
  (Math.max(...results.map((result) => result.peakDeviceBytes ?? result.peakRssBytes)) / 1e6).toFixed(0)

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
