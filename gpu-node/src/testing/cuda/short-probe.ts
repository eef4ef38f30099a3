/** In a process whose GPU has little memory: a product whose library call finds none, while the pool holds idle blocks. */
import { tensor2d } from '@tensorflow/tfjs-core'
import { cudaBackend, runningCudaBackend } from '../../backends/cuda.ts'
import { computingIn } from '../../ops/compute-dtype.ts'
import { matMul } from '../../ops/linear.ts'

await cudaBackend.start({ threads: 1 })
const backend = runningCudaBackend()!
const large = backend.allocate([32 * 2 ** 20])
backend.disposeData(large.dataId)
console.log(`idle: ${backend.memoryUse.pooledBytes}`)
const [m, k, n] = [1024, 2048, 1024]
const [a, b] = [
  tensor2d(new Float32Array(m * k).fill(0.5), [m, k]),
  tensor2d(new Float32Array(k * n).fill(1), [k, n]),
]
const product = computingIn({ products: '3xTF32' }, () => matMul(a, b))
console.log(`product: ${(await product.data())[0]}; idle: ${backend.memoryUse.pooledBytes}`)
try {
  backend.allocate([64 * 2 ** 20])
} catch (error) {
  console.log(`${(error as { code: string }).code}: ${(error as Error).message}`)
}
