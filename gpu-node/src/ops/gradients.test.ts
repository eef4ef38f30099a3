import type { Scalar, Tensor } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, test } from 'vitest'
import { cpuBackend } from '../backends/cpu.ts'
import { normalValues } from '../testing/backends/contract-cases.ts'
import { dot, numericGradient } from '../testing/backends/float64-oracle.ts'
import { checkpoint } from './checkpoint.ts'
import { record, valueAndGradients, walkBack } from './gradients.ts'
import { add, detach, linear, lowRankLinear } from './linear.ts'
import { rmsNorm, swiglu } from './pointwise.ts'
import './standard-gradients.ts'
import { parameter } from './update.ts'

beforeAll(async () => {
  await cpuBackend.start({ threads: 1 })
})

describe('backward', () => {
  test('gives the same gradients as the walk of TensorFlow.js', async () => {
    const { parameters, loss } = block()
    const ours = valueAndGradients(() => loss(false), parameters)
    const theirs = tf.variableGrads(() => loss(false), parameters)
    for (const [i, p] of parameters.entries())
      expect(await ours.gradients[i]!.data()).toEqual(await theirs.grads[p.name]!.data())
  })

  test('frees everything but the loss and the gradients', () => {
    const { parameters, loss } = block()
    const before = tf.memory().numTensors
    const { value, gradients } = valueAndGradients(() => loss(false), parameters)
    expect(tf.memory().numTensors).toBe(before + 1 + gradients.length)
    for (const made of [value, ...gradients]) made.dispose()
    expect(tf.memory().numTensors).toBe(before)
  })

  test('frees what was saved when the function throws', () => {
    const { parameters, loss } = block()
    const before = tf.memory().numTensors
    const broken = () => {
      loss(false)
      throw new Error('stop')
    }
    expect(() => valueAndGradients(broken, parameters)).toThrow('stop')
    expect(tf.memory().numTensors).toBe(before)
  })

  test('a parameter that is not used has a gradient of zeros', async () => {
    const unused = parameter(Float32Array.of(1, 2), [2])
    const used = parameter(Float32Array.of(3), [1, 1])
    const { gradients } = valueAndGradients(() => tf.sum(linear(used, used)) as Scalar, [unused, used])
    expect([...(await gradients[0]!.data())]).toEqual([0, 0])
    expect([...(await gradients[1]!.data())]).toEqual([6])
  })

  test('no gradient passes a detached tensor', async () => {
    const x = parameter(Float32Array.of(3), [1, 1])
    const { gradients } = valueAndGradients(() => tf.sum(add(detach(x), x)) as Scalar, [x])
    expect([...(await gradients[0]!.data())]).toEqual([1])
  })
})

describe('checkpoint', () => {
  test('gives the gradients of the plain block, also of parameters that the block closes over', async () => {
    const { parameters, loss } = block()
    const plain = valueAndGradients(() => loss(false), parameters)
    const checkpointed = valueAndGradients(() => loss(true), parameters)
    expect(await checkpointed.value.data()).toEqual(await plain.value.data())
    for (const [i, gradient] of plain.gradients.entries())
      expect(await checkpointed.gradients[i]!.data()).toEqual(await gradient.data())
  })

  test('keeps nothing of the block but its inputs between forward and backward', () => {
    const { loss } = block()
    const alive = (checkpointed: boolean) => {
      const before = tf.memory().numTensors
      const { outputs, tape } = record(() => [loss(checkpointed)])
      const kept = tf.memory().numTensors - before
      walkBack(tape, [], outputs, [tf.tidy(() => tf.onesLike(outputs[0]!))], () => undefined)
      outputs[0]!.dispose()
      expect(tf.memory().numTensors).toBe(before)
      return kept
    }
    expect(alive(true)).toBeLessThan(alive(false))
  })
})

describe('standard gradients against central differences', () => {
  const cases: Record<string, (x: Tensor, y: Tensor) => Tensor> = {
    'add with broadcasting': (x, y) => tf.add(x, tf.slice(y, [0, 0], [1, 4])),
    sub: (x, y) => tf.sub(x, y),
    'mul with broadcasting': (x, y) => tf.mul(tf.slice(x, [0, 1], [3, 1]), y),
    div: (x, y) => tf.div(x, tf.add(tf.square(y), 1)),
    'neg, reshape, transpose': (x) => tf.transpose(tf.reshape(tf.neg(x), [2, 3, 2]), [2, 0, 1]),
    'sum over one axis': (x) => tf.sum(tf.square(x), 1),
    'sum keeping dimensions': (x, y) => tf.mul(tf.sum(x, 0, true), y),
    sqrt: (x) => tf.sqrt(tf.add(tf.square(x), 1)),
    'concat and pad': (x, y) =>
      tf.pad(tf.concat([x, y], 1), [
        [1, 0],
        [0, 2],
      ]),
    'gather of rows': (x) => tf.gather(x, tf.tensor1d([2, 0, 2], 'int32')),
    'clone and expandDims': (x) => tf.expandDims(tf.clone(x), 1),
  }

  test.each(Object.entries(cases))('%s', async (_, f) => {
    const values = [normalValues(12, 1), normalValues(12, 2)].map((v) => Float64Array.from(v))
    const run = () => tf.tidy(() => f(tf.tensor([...values[0]!], [3, 4]), tf.tensor([...values[1]!], [3, 4])))
    const sources = values.map((v) => tf.tensor([...v], [3, 4]))
    const { outputs, tape } = record(() => [f(sources[0]!, sources[1]!)])
    const weights = normalValues(outputs[0]!.size, 3)
    const found: Tensor[] = []
    walkBack(tape, sources, outputs, [tf.tensor(weights, outputs[0]!.shape)], (gradient, i) => {
      found[i] = gradient
    })
    for (const [i, gradient] of found.entries()) {
      if (!gradient) continue
      // The function runs in float32: differences of a step of 1e-2 are good to about 1e-3.
      const numeric = numericGradient(() => dot(run().dataSync(), weights), values[i]!, undefined, 0.05)
      const got = await gradient.data()
      for (const [j, exact] of numeric.entries()) expect(got[j]).toBeCloseTo(exact, 3)
    }
  })
})

/** Two small blocks with a shared weight, an adapter and a residual connection. */
function block() {
  const make = (shape: number[], seed: number) =>
    parameter(
      normalValues(
        shape.reduce((n, d) => n * d, 1),
        seed,
      ),
      shape,
    )
  const [w, a, b, gain] = [make([4, 4], 1), make([4, 2], 2), make([2, 4], 3), make([4], 4)]
  const frozen = make([4, 4], 5)
  const x = tf.tensor(normalValues(12, 6), [3, 4])
  const layer = (input: Tensor) =>
    tf.tidy(() => {
      const h = rmsNorm(linear(input, w), gain, 1e-5)
      return add(input, swiglu(lowRankLinear(h, frozen, a, b, 0.5), linear(h, frozen)))
    })
  const loss = (checkpointed: boolean) =>
    tf.tidy(() => {
      const run = (input: Tensor) => (checkpointed ? checkpoint(layer, [input]) : layer(input))
      return tf.sum(run(run(x))) as Scalar
    })
  return { parameters: [w, a, b, gain], loss }
}
