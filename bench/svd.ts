/**
 * `npm run bench -- svd`: how long a start by SVD takes, and how exact it is.
 *
 * Model C of docs/benchmarks.md: hidden 1024, mlp 2816, 8 layers, so 32 matrices of 1024 x 1024 and 24 of 1024 x 2816,
 * random normal. Prints a table and saves the same figures as bench/results/svd.json.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type StartOptions, type TopSvdEntry, topSvdAll } from '../gpu-node/src/linalg/index.ts'
import { selectLinearAlgebra } from '../gpu-node/src/linalg/select.ts'
import { topSvd } from '../gpu-node/src/linalg/top-svd.ts'
import { Random } from '../gpu-node/src/random.ts'

const [hidden, mlp, layers] = [1024, 2816, 8]
const random = new Random(42)
const square = random.fillNormal(new Float32Array(hidden * hidden), 0, 0.02)
const wide = random.fillNormal(new Float32Array(hidden * mlp), 0, 0.02)

/** `processorSeconds` adds up all threads: on a busy machine it says what `seconds` would be on an idle one. */
const rows: { what: string; seconds: number; processorSeconds: number; remark: string }[] = []
const { algebra } = selectLinearAlgebra()
const threads = algebra.setThreads(availableParallelism())

function timed<T>(what: string, compute: () => T, remark: (result: T) => string = () => ''): T {
  const elapsed = stopwatch()
  const result = compute()
  rows.push({ what, ...elapsed(), remark: remark(result) })
  return result
}

function stopwatch(): () => { seconds: number; processorSeconds: number } {
  const start = performance.now()
  const used = process.cpuUsage()
  return () => {
    const { user, system } = process.cpuUsage(used)
    return { seconds: (performance.now() - start) / 1000, processorSeconds: (user + system) / 1e6 }
  }
}

const double = Float64Array.from(wide)
timed(`full SVD ${hidden} x ${mlp}, float32`, () => algebra.svd(wide, hidden, mlp))
const exact = timed(`full SVD ${hidden} x ${mlp}, float64`, () => algebra.svd(double, hidden, mlp))
timed(`singular values ${hidden} x ${mlp}, float64`, () => algebra.singularValues(double, hidden, mlp))

const shape = { rows: hidden, columns: mlp }
for (const kind of ['full', 'randomized'] as const) {
  for (const rank of [16, 128]) {
    timed(
      `leading ${rank} of ${hidden} x ${mlp}, ${kind}`,
      () => topSvd(algebra, wide, { ...shape, rank }, { kind }),
      ({ u, s, v }) => {
        const worst = s.reduce((most, value, j) => Math.max(most, Math.abs(value / exact.s[j]! - 1)), 0)
        const skew = Math.max(orthonormality(u, hidden, rank), orthonormality(v, mlp, rank))
        return `s within ${worst.toExponential(1)}, |UᵀU - I| within ${skew.toExponential(1)}`
      },
    )
  }
}

function orthonormality(x: Float64Array, height: number, count: number): number {
  const shapeOfProduct = { rows: count, inner: height, columns: count, transposeLeft: true }
  const product = algebra.multiply(x, x, shapeOfProduct)
  return product.reduce(
    (most, value, i) => Math.max(most, Math.abs(value - (i % (count + 1) === 0 ? 1 : 0))),
    0,
  )
}

/** All target matrices of model C; each differs from the others, so that each has its own place in the cache. */
function modelC(rank: number): TopSvdEntry[] {
  return Array.from({ length: layers }, () => [
    ...['q_proj', 'k_proj', 'v_proj', 'o_proj'].map((name) => ({
      name,
      w: square,
      rows: hidden,
      columns: hidden,
    })),
    ...['gate_proj', 'up_proj'].map((name) => ({ name, w: wide, rows: hidden, columns: mlp })),
    { name: 'down_proj', w: wide, rows: mlp, columns: hidden },
  ])
    .flat()
    .map((entry, index) => ({
      ...entry,
      name: `${entry.name} ${index}`,
      rank,
      w: () => entry.w.slice().fill(index * 1e-3, 0, 1),
    }))
}

async function timedStart(what: string, rank: number, options: StartOptions): Promise<void> {
  const elapsed = stopwatch()
  const results = await topSvdAll(modelC(rank), options)
  const cached = [...results.values()].filter((result) => result.fromCache).length
  rows.push({ what, ...elapsed(), remark: `${cached} of ${results.size} from the cache` })
}

const cacheFolder = mkdtempSync(join(tmpdir(), 'rankscope-bench-'))
try {
  for (const [method, rank] of [
    ['PiSSA r16', 16],
    ['HD-PiSSA K8 r16', 128],
  ] as const) {
    await timedStart(`model C, ${method}, full`, rank, { kind: 'full', cacheFolder })
    await timedStart(`model C, ${method}, full, second start`, rank, { kind: 'full', cacheFolder })
    await timedStart(`model C, ${method}, randomized`, rank, { kind: 'randomized', iterations: 4 })
  }
} finally {
  rmSync(cacheFolder, { recursive: true })
}

const machine = { processor: cpus()[0]?.model ?? 'unknown', threads, algebra: algebra.description }
console.log(`${machine.processor}, ${threads} threads, ${machine.algebra}\n`)
const width = Math.max(...rows.map((row) => row.what.length))
for (const { what, seconds, processorSeconds, remark } of rows) {
  const times = `${seconds.toFixed(2).padStart(7)} s  ${processorSeconds.toFixed(2).padStart(7)} s of processors`
  console.log(`${what.padEnd(width)}  ${times}  ${remark}`)
}
const folder = fileURLToPath(new URL('./results/', import.meta.url))
mkdirSync(folder, { recursive: true })
writeFileSync(
  join(folder, 'svd.json'),
  `${JSON.stringify({ machine, date: new Date().toISOString(), rows }, null, 2)}\n`,
)
