/** The contract in the precisions that only the CUDA build has, each with its own tolerance; and where its scopes end. */
import { tensor2d, tidy } from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, test } from 'vitest'
import { computingIn, type Precision } from '../ops/compute-dtype.ts'
import { linear, matMul } from '../ops/linear.ts'
import * as update from '../ops/update.ts'
import { checkCase } from '../testing/backends/check-case.ts'
import { emulatedCudaBackend } from '../testing/backends/contract-backends.ts'
import { normalValues, opCases } from '../testing/backends/contract-cases.ts'
import { emulationMissing, onGpu } from '../testing/cuda/emulation.ts'
import { runningCudaBackend } from './cuda.ts'
import { selfCheck } from './self-check.ts'

describe.skipIf(!onGpu && emulationMissing)(
  `cuda${onGpu ? '' : `, emulated ${emulationMissing ?? ''}`}`,
  () => {
    beforeAll(async () => {
      await emulatedCudaBackend.start({ threads: 1 })
    }, 120_000)

    describe.each(['3xTF32', 'TF32'] as const)('products in %s', (products) => {
      test.each(opCases.map((opCase) => [opCase.name, opCase] as const))('%s', async (_, opCase) => {
        await checkCase(opCase, { products })
      })
    })

    const sizes = { m: 3, k: 200, n: 30_000 }

    /** Largest error of a product, relative to the root mean square of its entries. */
    async function errorOfProduct(precision: Partial<Precision>): Promise<number> {
      const { m, k, n } = sizes
      const [a, b] = [normalValues(m * k, 1), normalValues(k * n, 2)]
      const product = computingIn(precision, () =>
        tidy(() => matMul(tensor2d(a, [m, k]), tensor2d(b, [n, k]), { transposeB: true })),
      )
      const found = await product.data()
      product.dispose()
      let largest = 0
      for (let at = 0; at < m * n; at += 501) {
        const [row, column] = [Math.floor(at / n), at % n]
        let exact = 0
        for (let i = 0; i < k; i++) exact += a[row * k + i]! * b[column * k + i]!
        largest = Math.max(largest, Math.abs(found[at]! - exact) / Math.sqrt(k))
      }
      return largest
    }

    test('3xTF32 is close to float32 where operands are split in several pieces; TF32 and bfloat16 are what they are', async () => {
      const float32 = await errorOfProduct({})
      // Tensor cores cut what they add up: 13 times the error of float32 was measured on an H200.
      expect(await errorOfProduct({ products: '3xTF32' })).toBeLessThan((onGpu ? 30 : 2) * float32)
      expect(float32).toBeLessThan(3e-6)
      const tf32 = await errorOfProduct({ products: 'TF32' })
      expect(tf32).toBeGreaterThan(1e-4)
      expect(tf32).toBeLessThan(2e-3)
      const bfloat16 = await errorOfProduct({ operands: 'bfloat16' })
      expect(bfloat16).toBeGreaterThan(1e-3)
      expect(bfloat16).toBeLessThan(2e-2)
    })

    test('outside a scope products are float32 again: the self-check passes after one that failed', async () => {
      const x = tensor2d(normalValues(6, 1), [2, 3])
      expect(() => computingIn({ products: 'TF32', operands: 'bfloat16' }, () => matMul(x, x))).toThrow()
      expect(await selfCheck()).toMatchObject({ passed: true })
      x.dispose()
    })

    test('a weight is rounded once, and again after each change; its copy goes with it', async () => {
      const backend = runningCudaBackend()!
      const copies = backend.narrowCopies!
      const [held, blocks] = [copies.bytes, backend.memoryUse.liveBlocks]
      const x = tensor2d(normalValues(12, 1), [2, 6])
      const w = update.parameter(normalValues(6 * 40, 2), [6, 40])
      const inBfloat16 = async (): Promise<number[]> => {
        const y = computingIn({ operands: 'bfloat16' }, () => linear(x, w))
        const values = [...(await y.data())]
        y.dispose()
        return values
      }
      const before = await inBfloat16()
      const taken = copies.bytes - held
      expect(taken).toBeGreaterThanOrEqual(2 * 240)
      expect(await inBfloat16()).toEqual(before)
      expect(copies.bytes - held).toBe(taken)
      const step = tensor2d(normalValues(240, 3), [6, 40])
      update.accumulate(w, step, 0.5)
      expect(copies.bytes).toBe(held)
      const after = await inBfloat16()
      expect(after).not.toEqual(before)
      // The same from a tensor that nobody keeps a copy of.
      const fresh = tensor2d((await w.data()) as Float32Array, [6, 40])
      const alone = computingIn({ operands: 'bfloat16' }, () => linear(x, fresh))
      expect([...(await alone.data())]).toEqual(after)
      for (const made of [x, w, step, fresh, alone]) made.dispose()
      expect(copies.bytes).toBe(held)
      expect(backend.memoryUse.liveBlocks).toBe(blocks)
    })
  },
)
