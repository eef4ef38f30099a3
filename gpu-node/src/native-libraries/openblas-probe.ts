/**
 * Checks an OpenBLAS in a process of its own: `openblas-probe.ts <library>` prints the name of the processor whose
 * kernels it chose and, after `--rates`, how fast they multiply, as JSON; it fails (or crashes) when a product or an SVD is
 * wrong.
 */
import koffi from 'koffi'

const path = process.argv[2] ?? ''
const library = koffi.load(path)
const setThreads = library.func('void openblas_set_num_threads(int threads)')
const coreName = library.func('const char *openblas_get_corename()')

const gemmTypes = (real: string) => [
  ...Array<string>(6).fill('int'),
  real,
  ...['void *', 'int', 'void *', 'int'],
  real,
  ...['void *', 'int'],
]
const sgemm = library.func('cblas_sgemm', 'void', gemmTypes('float'))
const dgemm = library.func('cblas_dgemm', 'void', gemmTypes('double'))
const dgesdd = library.func('dgesdd_', 'void', [...Array<string>(14).fill('void *'), 'size_t'])

const [rowMajor, plain, transposed] = [101, 111, 112]

/** Values between -1 and 1 without a pattern that a wrong kernel might hide behind. */
function fill<A extends Float32Array | Float64Array>(array: A, seed: number): A {
  let state = seed >>> 0
  for (let i = 0; i < array.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    array[i] = state / 2 ** 31 - 1
  }
  return array
}

/** One product with row strides wider than the rows, compared with sums in float64. */
function checkProduct(
  single: boolean,
  m: number,
  n: number,
  k: number,
  aTurned: boolean,
  bTurned: boolean,
): void {
  const make = (length: number) => (single ? new Float32Array(length) : new Float64Array(length))
  const lda = (aTurned ? m : k) + 3
  const ldb = (bTurned ? k : n) + 1
  const ldc = n + 2
  const a = fill(make((aTurned ? k : m) * lda), m + 1)
  const b = fill(make((bTurned ? n : k) * ldb), n + 2)
  const before = fill(make(m * ldc), k + 3)
  const c = before.slice()
  const [alpha, beta] = [0.5, -1]
  const gemm = single ? sgemm : dgemm
  const [aOrder, bOrder] = [aTurned ? transposed : plain, bTurned ? transposed : plain]
  gemm(rowMajor, aOrder, bOrder, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
  const tolerance = (single ? 1e-6 : 1e-14) * (4 + Math.sqrt(k))
  for (let i = 0; i < m; i++)
    for (let j = 0; j < n; j++) {
      let sum = 0
      for (let p = 0; p < k; p++)
        sum += a[aTurned ? p * lda + i : i * lda + p]! * b[bTurned ? j * ldb + p : p * ldb + j]!
      const error = Math.abs(c[i * ldc + j]! - (alpha * sum + beta * before[i * ldc + j]!))
      if (!(error < tolerance))
        throw new Error(`${single ? 's' : 'd'}gemm ${m} x ${n} x ${k}: off by ${error}`)
    }
}

/** The thin SVD of a column-major matrix must give the matrix back. */
function checkSvd(rows: number, columns: number): void {
  const d = Math.min(rows, columns)
  const a = fill(new Float64Array(rows * columns), rows)
  const [s, u, vt] = [new Float64Array(d), new Float64Array(rows * d), new Float64Array(d * columns)]
  const work = new Float64Array(4 * d * d + 8 * d + 100 * Math.max(rows, columns))
  const integer = (value: number) => Int32Array.of(value)
  const info = integer(0)
  const option = Uint8Array.of('S'.charCodeAt(0))
  const [m, n] = [integer(rows), integer(columns)]
  const sizes = [m, s, u, m, vt, integer(d), work, integer(work.length), new Int32Array(8 * d), info]
  dgesdd(option, m, n, a.slice(), ...sizes, 1)
  if (info[0] !== 0) throw new Error(`dgesdd ${rows} x ${columns}: info ${info[0]}`)
  for (let j = 0; j < columns; j++)
    for (let i = 0; i < rows; i++) {
      let sum = 0
      for (let p = 0; p < d; p++) sum += u[p * rows + i]! * s[p]! * vt[j * d + p]!
      const error = Math.abs(sum - a[j * rows + i]!)
      if (!(error < 1e-10)) throw new Error(`dgesdd ${rows} x ${columns}: off by ${error}`)
    }
}

const shapes = [
  [1, 1, 1],
  [1, 130, 65],
  [97, 1, 40],
  [5, 3, 7],
  [64, 64, 64],
  [65, 33, 129],
  [16, 200, 300],
  [200, 16, 385],
  [193, 161, 70],
  [128, 384, 400],
] as const

for (const threads of [1, 2]) {
  setThreads(threads)
  for (const [m, n, k] of shapes)
    for (const aTurned of [false, true])
      for (const bTurned of [false, true]) {
        checkProduct(true, m, n, k, aTurned, bTurned)
        checkProduct(false, m, n, k, aTurned, bTurned)
      }
  checkSvd(60, 45)
  checkSvd(90, 150)
}

/** GFLOP/s of one thread in a square product: the best of several, since other processes only ever slow it down. */
function rateOf(single: boolean): number {
  const n = 512
  const make = () => (single ? new Float32Array(n * n) : new Float64Array(n * n))
  const [a, b, c] = [fill(make(), 1), fill(make(), 2), make()]
  const gemm = single ? sgemm : dgemm
  let best = 0
  const until = performance.now() + 250
  for (let round = 0; round < 4 || performance.now() < until; round++) {
    const start = performance.now()
    gemm(rowMajor, plain, plain, n, n, n, 1, a, n, b, n, 0, c, n)
    best = Math.max(best, (2 * n ** 3) / 1e6 / (performance.now() - start))
  }
  return best
}

setThreads(1)
const rates = process.argv.includes('--rates') ? { sgemm: rateOf(true), dgemm: rateOf(false) } : null
console.log(JSON.stringify({ core: coreName(), rates }))
