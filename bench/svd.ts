/**
 * `npm run bench -- svd`: how long a start by SVD takes beside torch.svd, and how exact it is.
 *
 * Options: --rounds 3, --threads (all), --python python3 (one that has torch; none: no comparison), --docs docs.
 *
 * Model C of bench/engine/sizes.ts: hidden 1024, mlp 2816, 8 layers, so 32 matrices of 1024 x 1024 and 24 of
 * 1024 x 2816, random normal. Starts and torch take turns for a number of rounds. Writes the section "Starts by SVD" of
 * docs/benchmarks.md.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type StartOptions, topSvdAll } from '../gpu-node/src/linalg/index.ts'
import type { LinearAlgebra } from '../gpu-node/src/linalg/linear-algebra.ts'
import { selectLinearAlgebra } from '../gpu-node/src/linalg/select.ts'
import { topSvd } from '../gpu-node/src/linalg/top-svd.ts'
import { median } from './engine/report.ts'
import { machineLine } from './output/machine.ts'
import { markdownTable, replaceSection, scientific } from './output/markdown.ts'
import { targetMatrices, wide, wideShape } from './svd/starts.ts'

interface Times {
  readonly seconds: number
  /** Over all threads: on a busy machine it says what `seconds` would be on an idle one. */
  readonly processorSeconds: number
}

interface Start {
  readonly what: string
  readonly rank: number
  readonly options: StartOptions
  readonly times: Times[]
}

async function benchSvd(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '3' },
      threads: { type: 'string', default: String(availableParallelism()) },
      python: { type: 'string', default: 'python3' },
      docs: { type: 'string', default: join(import.meta.dirname, '../docs') },
    },
  })
  const [rounds, threads] = [Number(values.rounds), Number(values.threads)]
  const { algebra } = selectLinearAlgebra()
  algebra.setThreads(threads)
  const matrices = targetMatrices()
  const ofRank = (rank: number) => matrices.map((matrix) => ({ ...matrix, rank }))
  const cacheFolder = mkdtempSync(join(tmpdir(), 'rankscope-bench-'))
  const starts = [16, 128].flatMap((rank): Start[] => {
    const method = rank === 16 ? 'PiSSA, r = 16' : 'HD-PiSSA, r = 16, K = 8'
    const start = (kind: string, options: StartOptions): Start => ({
      what: `${method}: ${kind}`,
      rank,
      options: { threads, ...options },
      times: [],
    })
    return [
      start('exact', { kind: 'full' }),
      start('randomized, 4 iterations', { kind: 'randomized', iterations: 4 }),
      start('exact, second start', { kind: 'full', cacheFolder }),
    ]
  })
  const peer: Times[] = []
  let peerName = ''
  try {
    for (const { rank, options } of starts.filter(({ options }) => options.cacheFolder))
      await topSvdAll(ofRank(rank), options)
    for (let round = 1; round <= rounds; round++) {
      console.error(`round ${round} of ${rounds}`)
      for (const { rank, options, times } of starts) {
        const elapsed = stopwatch()
        await topSvdAll(ofRank(rank), options)
        times.push(elapsed())
      }
      const measured = values.python === 'none' ? null : runPeer(values.python, matrices, threads)
      if (measured) {
        peer.push(measured)
        peerName = measured.description
      }
    }
  } finally {
    rmSync(cacheFolder, { recursive: true })
  }
  const software = `${algebra.description}, ${threads} threads${peer.length > 0 ? `; ${peerName}` : ''}`
  const content = [
    `${machineLine(software)} Medians of ${rounds} rounds, in which all take turns.`,
    startTable(starts, peer),
    'How exact, on one matrix of 1024 x 2816, beside its full SVD in float64:',
    exactnessTable(algebra),
  ].join('\n\n')
  console.log(content)
  replaceSection(join(values.docs, 'benchmarks.md'), 'svd', content)
  save({ software, date: new Date().toISOString(), starts, peer })
}

function stopwatch(): () => Times {
  const start = performance.now()
  const used = process.cpuUsage()
  return () => {
    const { user, system } = process.cpuUsage(used)
    return { seconds: (performance.now() - start) / 1000, processorSeconds: (user + system) / 1e6 }
  }
}

/** torch.svd of the same matrices; null, with the reason told, where this Python cannot. */
function runPeer(
  python: string,
  matrices: ReturnType<typeof targetMatrices>,
  threads: number,
): (Times & { description: string }) | null {
  const script = fileURLToPath(new URL('./svd/peers.py', import.meta.url))
  const shapes = matrices.map(({ rows, columns }) => [rows, columns])
  const { status, stdout, stderr, error } = spawnSync(python, [script, JSON.stringify({ shapes, threads })], {
    encoding: 'utf8',
  })
  if (status === 0) return JSON.parse(stdout.trim().split('\n').at(-1)!)
  console.error(`no comparison with PyTorch: ${error?.message ?? stderr.trim().split('\n').at(-1)}`)
  return null
}

function startTable(starts: readonly Start[], peer: readonly Times[]): string {
  const middle = (times: readonly Times[], key: keyof Times) => median(times.map((time) => time[key]))
  const rows = starts.map(({ what, times }) => {
    const ratio = (key: keyof Times) =>
      peer.length === 0 ? '' : median(times.map((time, i) => peer[i]![key] / time[key])).toFixed(1)
    return [
      what,
      middle(times, 'seconds').toFixed(2),
      middle(times, 'processorSeconds').toFixed(2),
      ratio('seconds'),
      ratio('processorSeconds'),
    ]
  })
  const ofPeer =
    peer.length === 0
      ? []
      : [
          [
            'torch.svd',
            middle(peer, 'seconds').toFixed(2),
            middle(peer, 'processorSeconds').toFixed(2),
            '',
            '',
          ],
        ]
  const header = ['start', 'seconds', 'processor seconds', 'times as fast as torch.svd', 'by processor time']
  return markdownTable(header, [...rows, ...ofPeer])
}

function exactnessTable(algebra: LinearAlgebra): string {
  const { rows, columns } = wideShape
  const exact = algebra.singularValues(Float64Array.from(wide), rows, columns)
  const lines = (['full', 'randomized'] as const).flatMap((kind) =>
    [16, 128].map((rank) => {
      const { u, s, v } = topSvd(algebra, wide, { rows, columns, rank }, { kind })
      const worst = s.reduce((most, value, j) => Math.max(most, Math.abs(value / exact[j]! - 1)), 0)
      const skew = Math.max(skewness(algebra, u, rows, rank), skewness(algebra, v, columns, rank))
      return [kind, String(rank), scientific(worst), scientific(skew)]
    }),
  )
  return markdownTable(['kind', 'leading', 'singular values, relative', '‖UᵀU − I‖ max'], lines)
}

/** The largest entry of |XᵀX − I|. */
function skewness(algebra: LinearAlgebra, x: Float64Array, height: number, count: number): number {
  const shape = { rows: count, inner: height, columns: count, transposeLeft: true }
  const product = algebra.multiply(x, x, shape)
  return product.reduce(
    (most, value, i) => Math.max(most, Math.abs(value - (i % (count + 1) === 0 ? 1 : 0))),
    0,
  )
}

function save(result: object): void {
  const folder = fileURLToPath(new URL('./results/', import.meta.url))
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'svd.json'), `${JSON.stringify(result, null, 2)}\n`)
}

await benchSvd()
