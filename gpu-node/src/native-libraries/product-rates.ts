/** How fast each float32 product that can be chosen is on this processor: the set-up chooses by it, the benchmark measures by it. */
import koffi from 'koffi'
import type { SgemmChoice } from '../../kernels/sgemm-choice.ts'

/** Rows, columns and depth; `turned`: A is given transposed. */
export interface ProductShape {
  readonly m: number
  readonly n: number
  readonly k: number
  readonly turned: boolean
}

export interface ProductRates {
  /** GFLOP/s by the clock and by processor time per thread, by candidate and shape: each the best round. */
  readonly rates: { readonly wall: number; readonly processor: number }[][]
  /** What holds where nothing is chosen. */
  readonly holds: SgemmChoice['product']
}

/** Candidates take turns within every round, so that what else the machine does disturbs all alike; the first round only warms up. */
export function productRates(
  library: string,
  candidates: readonly SgemmChoice[],
  shapes: readonly ProductShape[],
  { rounds, threads }: { rounds: number; threads: number },
): ProductRates {
  const handle = koffi.load(library)
  const description = handle.func('rs_gemm_description', 'str', [])() as string
  const choose = handle.func('int rs_choose_sgemm(int builtin, int64_t depth, int64_t rows)')
  const setThreads = handle.func('int rs_set_threads(int threads)')
  const size = 'int64_t'
  const gemm = handle.func('rs_gemm', 'int', [
    ...['int', 'int', size, size, size, 'float', 'void *', size, 'void *', size, 'float', 'void *', size],
    ...[size, size, size, size],
  ])
  setThreads(threads)
  const rates = candidates.map(() => shapes.map(() => ({ wall: 0, processor: 0 })))
  const largest = Math.max(...shapes.flatMap(({ m, n, k }) => [m * n, m * k, k * n]))
  const [a, b, c] = [0, 1, 2].map((seed) =>
    Float32Array.from({ length: largest }, (_, index) => Math.sin(index * 0.37 + seed)),
  )
  for (let round = 0; round <= rounds; round++)
    for (const [index, { product, depth, rows }] of candidates.entries()) {
      choose(product === 'built-in' ? 1 : 0, depth, rows)
      for (const [place, { m, n, k, turned }] of shapes.entries()) {
        const used = process.cpuUsage()
        const start = performance.now()
        gemm(turned ? 1 : 0, 0, m, n, k, 1, a, turned ? m : k, b, n, 0, c, n, 1, 0, 0, 0)
        const wallMs = performance.now() - start
        const { user, system } = process.cpuUsage(used)
        const best = rates[index]![place]!
        if (round === 0) continue
        const megaflops = (2 * m * n * k) / 1e6
        best.wall = Math.max(best.wall, megaflops / wallMs)
        best.processor = Math.max(best.processor, (megaflops * 1000 * threads) / (user + system))
      }
    }
  return { rates, holds: description.startsWith('built-in') ? 'built-in' : 'openblas' }
}
