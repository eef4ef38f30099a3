/** For tests: one case of the contract, output and gradients against its oracle, in any precision of products. */
import { memory, type Tensor, tensor } from '@tensorflow/tfjs-core'
import { expect } from 'vitest'
import { computingIn, type Precision } from '../../ops/compute-dtype.ts'
import { record, walkBack } from '../../ops/gradients.ts'
import { normalValues, type OpCase } from './contract-cases.ts'
import { expectClose, magnitude, toleranceOf } from './expect-close.ts'
import * as oracle from './float64-oracle.ts'

/** In a float32 scope, unless another is given. */
export async function checkCase(
  { inputs, run, oracle: exactOf, shadows = {} }: OpCase,
  precision: Partial<Precision> = {},
  tolerance = toleranceOf(precision),
): Promise<void> {
  const before = memory().numTensors
  const names = Object.keys(inputs)
  const values: Record<string, Float64Array> = {}
  const tensors: Record<string, Tensor> = {}
  names.forEach((name, i) => {
    const shape = inputs[name]!
    const filled = normalValues(sizeOf(shape), i + 1)
    values[name] = Float64Array.from(filled)
    tensors[name] = tensor(filled, [...shape])
  })

  const { outputs, tape } = computingIn(precision, () => record(() => [run(tensors)]))
  const output = outputs[0]!
  const found = await output.data()
  const exact = exactOf(values)
  expectClose(found, exact, 'output', undefined, tolerance)

  const weights = normalValues(exact.length, 77)
  const gradients = new Map<string, Tensor>()
  const seed = tensor(weights, output.shape)
  computingIn(precision, () =>
    walkBack(tape, Object.values(tensors), [output], [seed], (gradient, i) => {
      gradients.set(names[i]!, gradient)
    }),
  )
  for (const name of names) {
    const gradient = gradients.get(name)
    const size = sizeOf(inputs[name]!)
    const of = shadows[name] ?? exactOf
    // Every element of small inputs, a spread of about 40 of large ones.
    const stride = Math.max(1, Math.floor(size / 40))
    const places = Array.from({ length: Math.ceil(size / stride) }, (_, i) => i * stride)
    const numeric = oracle.numericGradient(() => oracle.dot(of(values), weights), values[name]!, places)
    const got = gradient ? await gradient.data() : new Float32Array(size)
    expectClose(
      places.map((place) => got[place]!),
      numeric,
      `gradient of ${name}`,
      magnitude(got),
      tolerance,
    )
  }
  for (const made of [output, ...gradients.values(), ...Object.values(tensors)]) made.dispose()
  expect(memory().numTensors, 'tensors left over').toBe(before)
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((size, d) => size * d, 1)
