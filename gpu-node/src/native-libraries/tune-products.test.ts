/** Choosing a product: by its rate, with a bias for what holds anyway; every choice computes the same product. */
import koffi from 'koffi'
import { describe, expect, it } from 'vitest'
import { findBuiltLibrary } from '../../kernels/built-library.ts'
import { sgemmText, wishedSgemm } from '../../kernels/sgemm-choice.ts'
import { loadNativeLibrary } from '../backends/native/native-library.ts'
import { fastest, sgemmCandidates } from './tune-products.ts'

describe('the choice of a product', () => {
  const candidates = sgemmCandidates(true)
  it('is the fastest, unless it is hardly faster than what holds without measuring', () => {
    const rates = candidates.map(() => 50)
    expect(fastest(candidates, rates, 'built-in')).toBe(candidates[0])
    // Without 512-bit registers OpenBLAS holds, and is left only for what is clearly faster.
    expect(sgemmText(fastest(candidates, rates.with(0, 55), 'openblas'))).toBe('openblas')
    expect(fastest(candidates, rates.with(0, 60), 'openblas')).toBe(candidates[0])
    expect(fastest(candidates, rates.with(3, 55), 'built-in')).toBe(candidates[0])
    expect(fastest(candidates, rates.with(3, 60), 'built-in')).toBe(candidates[3])
    expect(sgemmText(fastest(candidates, rates.with(-1, 70), 'built-in'))).toBe('openblas')
  })

  it('can be overridden, and what cannot be read is refused', () => {
    expect(wishedSgemm('openblas')).toEqual({ product: 'openblas', depth: 0, rows: 0 })
    expect(wishedSgemm('built-in:256x96')).toEqual({ product: 'built-in', depth: 256, rows: 96 })
    expect(wishedSgemm('')).toBeNull()
    for (const text of ['mkl', 'built-in:256', 'built-in:99999x96'])
      expect(() => wishedSgemm(text)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  })
})

const loaded = loadNativeLibrary()
const reason = 'unavailable' in loaded ? loaded.unavailable : ''

describe.skipIf(reason !== '')(`the products that can be chosen ${reason && `(skipped: ${reason})`}`, () => {
  const built = findBuiltLibrary() as { path: string; openblas: string | null }
  const handle = koffi.load(built.path)
  const choose = handle.func('int rs_choose_sgemm(int builtin, int64_t depth, int64_t rows)')

  it('compute the same within rounding, blocks of every size and transposed operands included', () => {
    const size = 'int64_t'
    const gemm = handle.func('rs_gemm', 'int', [
      ...['int', 'int', size, size, size, 'float', 'void *', size, 'void *', size, 'float', 'void *', size],
      ...[size, size, size, size],
    ])
    const [m, n, k] = [201, 130, 1100]
    const [a, b] = [m * k, k * n].map((count) =>
      Float32Array.from({ length: count }, (_, index) => Math.sin(index * 0.7)),
    )
    try {
      for (const turned of [0, 1]) {
        const results = sgemmCandidates(built.openblas !== null).map(({ product, depth, rows }) => {
          expect(choose(product === 'built-in' ? 1 : 0, depth, rows)).toBe(0)
          const c = new Float32Array(m * n).fill(Number.NaN)
          gemm(turned, 0, m, n, k, 1, a, turned ? m : k, b, n, 0, c, n, 1, 0, 0, 0)
          return c
        })
        for (const c of results) {
          let worst = 0
          for (let index = 0; index < c.length; index++)
            worst = Math.max(worst, Math.abs(c[index]! - results[0]![index]!))
          expect(worst).toBeLessThan(1e-4)
        }
      }
    } finally {
      choose(1, 768, 96)
    }
  })

  it('refuse blocks that are none', () => {
    expect(choose(1, 7, 96)).not.toBe(0)
    expect(choose(1, 768, 100_000)).not.toBe(0)
  })
})
