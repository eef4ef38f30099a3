/** What the wasm backend does beyond the contract: OpenBLAS on its heap, and the heap's end. */
import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm'
import type { Tensor } from '@tensorflow/tfjs-core'
import { backend, engine, matMul, tensor, tidy } from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { causalAttention } from '../ops/attention.ts'
import { normalValues } from '../testing/backends/contract-cases.ts'
import { expectClose } from '../testing/backends/expect-close.ts'
import * as oracle from '../testing/backends/float64-oracle.ts'
import { findProductLibrary } from './wasm/product-library.ts'
import { wasmAloneBackend, wasmBackend } from './wasm.ts'

type Three = [Tensor, Tensor, Tensor]

const library = findProductLibrary()
const missing = 'missing' in library ? library.missing : undefined

afterEach(() => vi.unstubAllEnvs())

/** Room on the heap that is never written to, and so takes none of the machine's memory. */
function reserve(gibibytes: number): Tensor {
  const wasm = backend() as BackendWasm
  return engine().makeTensorFromTensorInfo(wasm.makeOutput([gibibytes * 2 ** 28], 'float32'), wasm)
}

async function expectProduct(slices: { a: number; b: number }): Promise<void> {
  const [m, k, n] = [33, 17, 41]
  const [a, b] = [normalValues(slices.a * m * k, 1), normalValues(slices.b * k * n, 2)]
  const [left, right] = [tensor(a, [slices.a, m, k]), tensor(b, [slices.b, k, n])]
  const y = matMul(left, right)
  const of = (values: Float32Array, count: number, slice: number, size: number) =>
    count === 1 ? values : values.subarray(slice * size, (slice + 1) * size)
  const exact = Array.from({ length: Math.max(slices.a, slices.b) }, (_, slice) => [
    ...oracle.product(of(a, slices.a, slice, m * k), of(b, slices.b, slice, k * n), [m, k, n]),
  ])
  expectClose(await y.data(), exact.flat(), 'product')
  for (const made of [left, right, y]) made.dispose()
}

describe.skipIf(missing)(`products by OpenBLAS${missing ? ` (skipped: ${missing})` : ''}`, () => {
  test('are said in the description, with the threads that they use', async () => {
    const { description, threads } = await wasmBackend.start({ threads: 2 })
    expect(description).toMatch(/^WebAssembly.*, products by OpenBLAS \d/)
    expect(threads).toBe(2)
  })

  test('are switched off by RANKSCOPE_WASM_PRODUCTS=own', async () => {
    vi.stubEnv('RANKSCOPE_WASM_PRODUCTS', 'own')
    const { description, threads } = await wasmBackend.start({ threads: 2 })
    expect(description).toMatch(/^WebAssembly( with SIMD)?$/)
    expect(threads).toBe(1)
  })

  test('are right after the heap has grown, beyond 2 GiB too', async () => {
    await wasmBackend.start({ threads: 2 })
    await expectProduct({ a: 1, b: 1 })
    const first = reserve(1)
    await expectProduct({ a: 1, b: 1 })
    const second = reserve(1.5)
    await expectProduct({ a: 3, b: 3 })
    for (const made of [first, second]) made.dispose()
  })

  test('leave slices that repeat to the module', async () => {
    await wasmBackend.start({ threads: 2 })
    await expectProduct({ a: 1, b: 4 })
    await expectProduct({ a: 4, b: 1 })
  })
})

test('the heads that attention multiplies one by one leave nothing behind, neither memory nor ids', async () => {
  await wasmAloneBackend.start({ threads: 1 })
  const shape = { batch: 2, sequence: 5, heads: 4, keyValueHeads: 2, headDim: 8 }
  const [q, k, v] = [32, 16, 16].map((width, i) => tensor(normalValues(10 * width, i), [10, width])) as Three
  const wasm = backend() as BackendWasm
  const before = wasm.numDataIds()
  tidy(() => {
    causalAttention(q, k, v, shape)
  })
  expect(wasm.numDataIds()).toBe(before)
  for (const made of [q, k, v]) made.dispose()
})

test('a full heap is refused with OUT_OF_MEMORY, and the tensors on it stay as they are', async () => {
  await wasmAloneBackend.start({ threads: 1 })
  const kept = tensor([1, 2, 3])
  const reserved: Tensor[] = []
  expect(() => {
    for (let i = 0; i < 5; i++) reserved.push(reserve(1))
  }).toThrow(expect.objectContaining({ code: 'OUT_OF_MEMORY', message: expect.stringMatching(/1024 MiB/) }))
  expect([...(await kept.data())]).toEqual([1, 2, 3])
  for (const made of [kept, ...reserved]) made.dispose()
})
