/**
 * The real training loop on every backend: ten steps of each method on the toy Llama with two devices, against stored
 * losses, with memory constant from the second step on.
 *
 * The losses were made on the cpu backend (TensorFlow.js's JavaScript kernels and the composed ops). They are not an
 * oracle of the methods, which have float64 ones beside them, but of the backends: wasm, native and tensorflow were
 * within 2e-7 of them when they were stored.
 */
import { type MethodName, methodNames } from '@rankscope/protocol'
import { memory } from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { contractBackends } from '../testing/backends/contract-backends.ts'
import { toyTraining } from '../testing/training/toy-training.ts'
import { train } from './trainer.ts'

const tolerance = 2e-6

const losses: Record<MethodName, readonly number[]> = {
  full: [
    3.5728898, 4.0472014, 3.5831056, 2.5877817, 3.2528561, 2.9564295, 2.3262669, 2.8848063, 2.6044956,
    2.1099734,
  ],
  lora: [
    3.5728898, 4.0258577, 3.6294011, 3.4901831, 3.9647018, 3.567997, 3.4234383, 3.9014728, 3.4903815,
    3.3487267,
  ],
  pissa: [
    3.5728899, 4.0234556, 3.6185083, 3.1666901, 3.7523026, 3.3626477, 2.9754155, 3.5574838, 3.1186986,
    2.8395631,
  ],
  'hd-pissa': [
    3.5728898, 4.0283775, 3.6369154, 3.2483904, 3.8311192, 3.4786977, 3.0686795, 3.6799262, 3.3334041,
    2.9195739,
  ],
  dora: [
    3.5728898, 4.026795, 3.6171901, 3.4109123, 3.9221113, 3.5129381, 3.2935358, 3.8264416, 3.4016309,
    3.1803002,
  ],
  mora: [
    3.5728898, 4.0281869, 3.6302088, 3.2185264, 3.7744684, 3.4084784, 3.0242473, 3.598646, 3.2637733,
    2.860975,
  ],
  hira: [
    3.5728898, 4.0189747, 3.630639, 3.5453183, 4.000988, 3.6126406, 3.5233908, 3.9818795, 3.59051, 3.4989775,
  ],
  'lora-dwu': [
    3.5728898, 4.0190093, 3.6276788, 3.5039421, 3.9713296, 3.5899129, 3.4598169, 3.9281137, 3.5506682,
    3.4205878,
  ],
  intermediate: [
    3.5728898, 4.0171698, 3.6174123, 3.0775737, 3.658813, 3.2868745, 2.8303313, 3.4110558, 3.048235,
    2.6368879,
  ],
}

describe.each(await contractBackends())('%s', (_, { backend, missing }) => {
  describe.skipIf(missing)('training', () => {
    beforeAll(async () => {
      await backend.start({ threads: 1 })
    })

    const slow = backend.name === 'webgpu'
    const names: readonly MethodName[] = slow ? ['full', 'hd-pissa'] : methodNames
    const steps = slow ? 3 : 10
    const short = slow ? ' (two methods and three steps: without a GPU it is slow)' : ''

    it.each(names)(`%s gives the stored losses, memory constant${short}`, async (name) => {
      const before = memory().numTensors
      const toy = await toyTraining({
        method: name === 'full' ? { name } : { name, rank: 2 },
        parallel: { devices: 2 },
        optimizer: { learningRate: 5e-3 },
        schedule: { kind: 'constant' },
        training: { globalBatchSize: 8, microBatchSize: 2, epochs: 4, maxSteps: 10 },
      })
      toy.training.model.rope.upTo(16) // grows with the longest sequence so far
      const found: number[] = []
      const held: string[] = []
      await train(toy.training, 0, async ({ step, loss }) => {
        found.push(loss)
        const { numTensors, numBytes, numDataBuffers } = memory()
        held.push(`${numTensors} tensors, ${numBytes} bytes, ${numDataBuffers} buffers`)
        return step === steps ? 'leave' : 'continue'
      })
      toy.dispose()

      expect(found).toHaveLength(steps)
      for (const [i, loss] of found.entries())
        expect(Math.abs(loss / losses[name][i]! - 1), `step ${i + 1}: ${loss}`).toBeLessThan(tolerance)
      expect(new Set(held.slice(1)).size).toBe(1)
      expect(memory().numTensors).toBe(before)
    })
  })
})
