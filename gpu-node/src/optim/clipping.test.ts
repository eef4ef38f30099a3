/** Gradient norms and clipping (METHODS §1 row 13), and the sum over micro-batches. */
import { memory } from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { selectBackend } from '../backends/select.ts'
import { parameter } from '../ops/update.ts'
import { clipGradients, clippingFactor } from './clipping.ts'
import { GradientStore } from './gradient-store.ts'
import { readValues } from './state.ts'

beforeAll(async () => {
  await selectBackend('auto', { threads: 1 })
})

describe('clipping', () => {
  it('the factor is min(1, max / (norm + 1e-6))', () => {
    expect(clippingFactor(5, null)).toBe(1)
    expect(clippingFactor(0.5, 1)).toBe(1)
    expect(clippingFactor(4, 1)).toBe(1 / (4 + 1e-6))
  })

  it('averaged gradients have one norm; the factor is left to the optimizer', async () => {
    const store = storeOf([
      [3, 0],
      [0, 4],
    ])
    const { norm, factor } = await clipGradients(store, 'averaged', 2, 1)
    expect(norm).toBeCloseTo(5, 6)
    expect(factor).toBeCloseTo(0.2, 6)
    expect(await valuesOf(store)).toEqual([
      [3, 0],
      [0, 4],
    ])
    store.dispose()
  })

  it('without clipping the norm reported for devices is the root mean square of theirs', async () => {
    const store = storeOf([
      [3, 0.3],
      [4, 0.4],
    ])
    const { norm, factor } = await clipGradients(store, 'per-device', 2, null)
    expect(norm).toBeCloseTo(Math.sqrt((25 + 0.25) / 2), 5)
    expect(factor).toBe(1)
    store.dispose()
  })

  it('each device is clipped by its own norm over all of its gradients', async () => {
    // Device 0 has norm 5, device 1 has norm 0.5.
    const store = storeOf([
      [3, 0.3],
      [4, 0.4],
    ])
    const { norm, factor } = await clipGradients(store, 'per-device', 2, 1)
    expect(norm).toBeCloseTo(Math.sqrt((25 + 0.25) / 2), 5)
    expect(factor).toBe(1)
    const [first, second] = await valuesOf(store)
    expect(first![0]).toBeCloseTo(0.6, 5)
    expect(first![1]).toBeCloseTo(0.3, 6)
    expect(second![0]).toBeCloseTo(0.8, 5)
    expect(second![1]).toBeCloseTo(0.4, 6)
    store.dispose()
  })

  /** Gradients [2, 1, 1], one number per device. */
  function storeOf(gradients: number[][]): GradientStore {
    const parameters = gradients.map(() => parameter(new Float32Array(2), [2, 1, 1]))
    const store = new GradientStore(parameters)
    gradients.forEach((values, i) => {
      store.add(parameters[i]!, parameter(Float32Array.from(values), [2, 1, 1]))
    })
    return store
  }

  async function valuesOf(store: GradientStore): Promise<number[][]> {
    const found: number[][] = []
    for (const variable of store.parameters) found.push([...(await readValues(store.get(variable)))])
    return found
  }
})

describe('the gradient store', () => {
  it('adds up what comes, starts anew after clear, gives zeros for what never came', async () => {
    const [a, b] = [parameter(new Float32Array(2), [2]), parameter(new Float32Array(3), [3])]
    const store = new GradientStore([a, b])
    const gradient = (...values: number[]) => parameter(Float32Array.from(values), [values.length])
    for (let step = 0; step < 3; step++) {
      store.clear()
      store.add(a, gradient(1, 2))
      expect([...(await readValues(store.get(a)))]).toEqual([1, 2])
      store.add(a, gradient(10, 20))
      store.add(a, gradient(100, 200))
      expect([...(await readValues(store.get(a)))]).toEqual([111, 222])
      expect([...(await readValues(store.get(b)))]).toEqual([0, 0, 0])
    }
    store.dispose()
    const { numTensors } = memory()
    for (const variable of [a, b]) variable.dispose()
    expect(memory().numTensors).toBe(numTensors - 2)
  })
})
