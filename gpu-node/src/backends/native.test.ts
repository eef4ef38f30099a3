/** What is particular to the native backend: the gemm at odd shapes, NaN, determinism, memory, refusals. */
import {
  abs,
  add,
  matMul,
  mul,
  neg,
  slice,
  type Tensor,
  tensor1d,
  tensor2d,
  tensor3d,
  tidy,
} from '@tensorflow/tfjs-core'
import koffi from 'koffi'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { findBuiltLibrary } from '../../kernels/built-library.ts'
import { runFused } from '../ops/registry.ts'
import { parameter, updateKernels } from '../ops/update.ts'
import { Random } from '../random.ts'
import type { DeviceLibrary } from './device/device-library.ts'
import { loadNativeLibrary } from './native/native-library.ts'
import { nativeBackend, runningNativeBackend } from './native.ts'

const loaded = loadNativeLibrary()
const builtPath = () => (findBuiltLibrary() as { path: string }).path
const reason = 'unavailable' in loaded ? loaded.unavailable : ''

describe.skipIf(reason !== '')(`native ${reason && `(skipped: ${reason})`}`, () => {
  const library = loaded as DeviceLibrary
  const random = new Random(7)
  const normal = (count: number) => Float32Array.from({ length: count }, () => random.normal())

  beforeAll(async () => {
    await nativeBackend.start({ threads: 2 })
  })

  type Gemm = (
    transposes: [a: boolean, b: boolean],
    sizes: [m: number, n: number, k: number],
    factors: [alpha: number, beta: number],
    operands: { a: Float32Array; lda: number; b: Float32Array; ldb: number; c: Float32Array; ldc: number },
  ) => void

  const general: Gemm = ([ta, tb], [m, n, k], [alpha, beta], { a, lda, b, ldb, c, ldc }) =>
    library.gemm(ta ? 1 : 0, tb ? 1 : 0, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, 1, 0, 0, 0)

  const builtIn: Gemm = ([ta, tb], [m, n, k], [alpha, beta], { a, lda, b, ldb, c, ldc }) => {
    const size = 'int64_t'
    const types = [
      'int',
      'int',
      size,
      size,
      size,
      'float',
      'void *',
      size,
      'void *',
      size,
      'float',
      'void *',
      size,
      'void *',
    ]
    const call = koffi.load(builtPath()).func('rs_builtin_sgemm', 'void', types)
    call(ta ? 1 : 0, tb ? 1 : 0, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, null)
  }

  const shapes: [m: number, n: number, k: number][] = [
    [1, 1, 1],
    [1, 97, 33],
    [7, 3, 5],
    [8, 48, 16],
    [9, 49, 17],
    [97, 143, 129],
    [200, 16, 801],
    [64, 130, 1540],
    [193, 300, 64],
  ]

  describe.each([
    ['gemm', general],
    ['built-in sgemm', builtIn],
  ] as const)('%s', (_, gemm) => {
    test.each(shapes)(
      '%i x %i x %i agrees with sums in float64, for every transposition and beta',
      (m, n, k) => {
        for (const ta of [false, true])
          for (const tb of [false, true])
            for (const beta of [0, 1, -0.5]) {
              const [lda, ldb, ldc] = [(ta ? m : k) + 2, (tb ? k : n) + 1, n + 3]
              const a = normal((ta ? k : m) * lda)
              const b = normal((tb ? n : k) * ldb)
              const before = normal(m * ldc)
              const c = before.slice()
              // With beta 0 what was in C must not matter, not even NaN.
              if (beta === 0) c.fill(Number.NaN)
              gemm([ta, tb], [m, n, k], [0.75, beta], { a, lda, b, ldb, c, ldc })
              let worst = 0
              for (let i = 0; i < m; i++)
                for (let j = 0; j < n; j++) {
                  let sum = 0
                  for (let p = 0; p < k; p++)
                    sum += a[ta ? p * lda + i : i * lda + p]! * b[tb ? j * ldb + p : p * ldb + j]!
                  const expected = 0.75 * sum + (beta === 0 ? 0 : beta * before[i * ldc + j]!)
                  worst = Math.max(worst, Math.abs(c[i * ldc + j]! - expected))
                }
              expect(worst).toBeLessThan(4e-6 * (4 + Math.sqrt(k)))
              const gap = c[n]!
              if (m > 1) expect(gap).toBe(beta === 0 ? Number.NaN : before[n])
            }
      },
    )

    test('the result does not depend on the number of threads', () => {
      const [m, n, k] = [300, 200, 900]
      const [a, b] = [normal(m * k), normal(k * n)]
      const results = [1, 2, 3].map((threads) => {
        library.set_threads(threads)
        const c = new Float32Array(m * n)
        gemm([false, false], [m, n, k], [1, 0], { a, lda: k, b, ldb: n, c, ldc: n })
        return c
      })
      library.set_threads(2)
      expect(results[1]).toEqual(results[0])
      expect(results[2]).toEqual(results[0])
    })
  })

  test.each<[m: number, n: number, k: number, rank: number]>([
    [1, 5, 3, 1],
    [40, 97, 33, 16],
    [97, 143, 129, 1],
    [300, 49, 17, 16],
    [200, 100, 1540, 7],
    [193, 50, 64, 257],
  ])(
    'a weight of %i x %i x %i and its adapter of rank %i in one pass agree with sums in float64',
    (m, n, k, rank) => {
      const [a, left, scale] = [normal(m * k), normal(m * rank), 0.75]
      for (const transposed of [false, true])
        for (const beta of [0, 1]) {
          const [b, right, before] = [normal(k * n), normal(rank * n), normal(m * n)]
          const c = beta === 0 ? before.slice().fill(Number.NaN) : before.slice()
          library.gemm_low_rank(transposed ? 1 : 0, m, n, k, a, b, beta, c, rank, scale, left, right)
          const dot = (x: Float32Array, y: Float32Array, depth: number, i: number, j: number) => {
            let sum = 0
            for (let p = 0; p < depth; p++)
              sum += x[i * depth + p]! * y[transposed ? j * depth + p : p * n + j]!
            return sum
          }
          let worst = 0
          for (let i = 0; i < m; i++)
            for (let j = 0; j < n; j++) {
              const expected =
                dot(a, b, k, i, j) +
                scale * dot(left, right, rank, i, j) +
                beta * (beta && before[i * n + j]!)
              worst = Math.max(worst, Math.abs(c[i * n + j]! - expected))
            }
          expect(worst).toBeLessThan(4e-6 * (4 + Math.sqrt(k + rank)))
        }
    },
  )

  test('a tensor times a number is each entry times it, NaN and infinity kept, and the operand stays', () => {
    const values = [1.5, -0, Number.NaN, Number.POSITIVE_INFINITY, 1e-45, 3.0000001]
    const x = tensor2d(values, [2, 3])
    for (const factor of [-1, 0.1, 0, Number.NaN]) {
      const expected = Float32Array.from(values, (value) => Math.fround(value) * Math.fround(factor))
      expect(mul(x, factor).dataSync()).toEqual(expected)
      expect(mul(factor, x).dataSync()).toEqual(expected)
    }
    expect(x.dataSync()).toEqual(Float32Array.from(values))
  })

  test('NaN and infinity pass through every row-wise kernel', () => {
    const bad = tensor2d([Number.NaN, 1, Number.POSITIVE_INFINITY, 2], [2, 2])
    const gain = tensor1d([1, 1])
    const finite = (t: Tensor) => Array.from(t.dataSync(), Number.isFinite)
    expect(finite(runFused('rmsNorm', { x: bad, gain }, { epsilon: 1e-5 })[0])[0]).toBe(false)
    expect(finite(runFused('swiglu', { gate: bad, up: bad }))).toEqual([false, true, false, true])
    const shape = { batch: 1, sequence: 2, heads: 1, keyValueHeads: 1, headDim: 2, window: 0 }
    const good = tensor2d([1, 2, 3, 4], [2, 2])
    expect(finite(runFused('causalAttention', { q: bad, k: good, v: good }, shape)[0])[0]).toBe(false)
    const [loss] = runFused(
      'crossEntropy',
      { x: bad, head: good, targets: tensor1d([0, 1], 'int32'), weights: tensor1d([1, 1]) },
      { wantInputGradient: false, wantHeadGradient: false },
    )
    expect(loss.dataSync()[0]).toBeNaN()
  })

  test('repeated work takes the same memory each time and gives all of it back', () => {
    const backend = runningNativeBackend()!
    const start = { ...backend.memoryUse }
    const work = () =>
      tidy(() => {
        const [x, w] = [tensor2d(normal(64 * 32), [64, 32]), tensor2d(normal(32 * 48), [32, 48])]
        return runFused('linear', { x, w }).dataSync()
      })
    work()
    const after = { ...backend.memoryUse }
    for (let i = 0; i < 5; i++) work()
    expect(backend.memoryUse.liveBytes).toBe(start.liveBytes)
    expect(backend.memoryUse.liveBlocks).toBe(start.liveBlocks)
    expect(backend.memoryUse.pooledBytes).toBe(after.pooledBytes)
  })

  test('a smaller tensor takes the memory of a larger one rather than new memory where the pool is full', () => {
    const backend = runningNativeBackend()!
    backend.releaseIdleMemory()
    // More than has been live so far: the pool may hold this block and a quarter more.
    const rows = 2 * Math.ceil(backend.memoryUse.peakLiveBytes / 4000) + 1000
    const use = (share: number) => {
      backend.disposeData(backend.allocate([Math.floor(share * rows), 1000]).dataId)
      return backend.memoryUse.pooledBytes
    }
    const whole = use(1)
    expect([use(0.9), use(0.6), use(1)]).toEqual([whole, whole, whole])
    // A block of more than twice the size is left for what needs it.
    expect(use(0.2)).toBeGreaterThan(whole)
  })

  test('idle memory of changing sizes stays within a quarter of what was live at once', () => {
    const backend = runningNativeBackend()!
    backend.releaseIdleMemory()
    const base = backend.memoryUse.peakLiveBytes
    for (let rows = 1000; rows < 1400; rows += 7) backend.disposeData(backend.allocate([rows, 1000]).dataId)
    const largest = Math.max(base, 1400 * 1000 * 4 * 1.125)
    expect(backend.memoryUse.pooledBytes).toBeLessThan(1.3 * largest)
  })

  test('what was read does not change when the tensor does', () => {
    const weight = parameter(Float32Array.of(1, 2, 3), [3])
    const read = weight.dataSync()
    updateKernels().scale(weight, 10)
    expect([...read]).toEqual([1, 2, 3])
    expect([...weight.dataSync()]).toEqual([10, 20, 30])
    weight.dispose()
  })

  test('a gradient that is given up is added to in place, a shared one is copied', () => {
    const inputs = { dy: tensor2d([[1, 2]]), w: tensor2d([[1, 0], [0, 1], [1, 1]]) } // biome-ignore format: one line
    const alone = tensor2d([[10, 20, 30]])
    const shared = alone.clone()
    const first = runFused('linearInputGradient', { ...inputs, sum: shared })
    expect([...first.dataSync()]).toEqual([11, 22, 33])
    expect([...alone.dataSync()]).toEqual([10, 20, 30])
    shared.dispose()
    expect([...runFused('linearInputGradient', { ...inputs, sum: alone }).dataSync()]).toEqual([11, 22, 33])
  })

  test('kernels of the cpu backend see and make ordinary values', () => {
    const x = parameter(Float32Array.of(1, -2, 3), [3])
    expect([...neg(abs(x)).dataSync()]).toEqual([-1, -2, -3])
    expect([...add(slice(x, [1], [2]), tensor1d([1, 1])).dataSync()]).toEqual([-1, 4])
    expect([...x.dataSync()]).toEqual([1, -2, 3])
    x.dispose()
  })

  test('products of TensorFlow.js run natively for matrices, batches and a shared right side', () => {
    const { library: calls } = runningNativeBackend()!
    const gemm = vi.spyOn(calls, 'gemm')
    const [a, b] = [normal(2 * 3 * 4), normal(2 * 4 * 5)]
    const batched = matMul(tensor3d(a, [2, 3, 4]), tensor3d(b, [2, 4, 5])).dataSync()
    const shared = matMul(tensor3d(a, [2, 3, 4]), tensor3d(b.slice(0, 20), [1, 4, 5])).dataSync()
    const single = (i: number, j: number) =>
      matMul(tensor2d(a.slice(12 * i, 12 * i + 12), [3, 4]), tensor2d(b.slice(20 * j, 20 * j + 20), [4, 5]))
    expect([...batched]).toEqual([...single(0, 0).dataSync(), ...single(1, 1).dataSync()])
    expect([...shared]).toEqual([...single(0, 0).dataSync(), ...single(1, 0).dataSync()])
    expect(gemm).toHaveBeenCalledTimes(6)
    gemm.mockRestore()
  })

  test('a token outside the vocabulary is an error that names it', () => {
    const table = tensor2d([1, 2], [2, 1])
    const ids = tensor1d([0, 5], 'int32')
    expect(() => runFused('embedding', { ids, table }, { vocabulary: 2 })).toThrow('token id 5 at row 1')
  })
})
