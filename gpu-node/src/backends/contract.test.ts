/**
 * The contract of all backends: every fused op, forward and backward, against a float64 oracle and its central
 * differences; updates against hand formulas; memory constant from step to step.
 */
import type { Tensor } from '@tensorflow/tfjs-core'
import { memory, tensor, tensor1d, tidy } from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, test } from 'vitest'
import { KeyValueCache } from '../ops/attention.ts'
import { crossEntropy } from '../ops/cross-entropy.ts'
import { record, valueAndGradients, walkBack } from '../ops/gradients.ts'
import { linear, mutedLinear } from '../ops/linear.ts'
import { rmsNorm } from '../ops/pointwise.ts'
import * as update from '../ops/update.ts'
import type { Backend } from './backend.ts'
import { normalValues, type OpCase, opCases } from './contract-cases.ts'
import { cpuBackend } from './cpu.ts'
import * as oracle from './float64-oracle.ts'
import { nativeBackend } from './native.ts'
import { selfCheck, toyResults } from './self-check.ts'
import { tensorflowBackend } from './tensorflow.ts'
import { toyReference } from './toy-reference.ts'
import { wasmBackend } from './wasm.ts'
import { webgpuBackend } from './webgpu.ts'

/** Largest error of an element, relative to the largest element of its tensor. */
const tolerance = 2e-5

const candidates = await Promise.all(
  [cpuBackend, wasmBackend, nativeBackend, tensorflowBackend, webgpuBackend].map(async (backend) => {
    const reason = await reasonToSkip(backend)
    return { backend, reason, title: reason ? `${backend.name} (skipped: ${reason})` : backend.name }
  }),
)

test('the stored results of the self-check are those of the float64 oracle', () => {
  toyReference().forEach((exact, i) => {
    expect(toyResults[i]! / exact).toBeCloseTo(1, 9)
  })
})

describe.each(candidates)('$title', ({ backend, reason }) => {
  describe.skipIf(reason)('contract', () => {
    beforeAll(async () => {
      await backend.start({ threads: 2 })
    })

    test('the self-check passes', async () => {
      expect(await selfCheck()).toMatchObject({ passed: true })
    })

    test.each(opCases)('$name', checkCase)

    // Its kernel is the composed one of cpu, and the software renderer takes long for four million logits.
    test.skipIf(backend.name === 'webgpu')(
      'logits of more rows than a chunk holds give what the parts give',
      chunksAgree,
    )
    test('perToken is the loss of each row, 0 where ignored', perTokenLoss)
    test.each([{ window: 0 }, { window: 3 }])('a cache with window $window gives full attention', cacheAgrees)
    test('in-place updates follow their formulas', updatesFollowFormulas)
    test('a product after an in-place update sees the new values', productsSeeUpdates)
    test('AdamW follows the formula of torch over three steps', adamFollowsFormula)
    test.each([true, false])('the HD-PiSSA update, second order %s, is the sum over devices', hdPissaAgrees)
    test('live tensors and bytes are the same after every step', memoryIsConstant)
  })
})

async function reasonToSkip(backend: Backend): Promise<string | undefined> {
  try {
    await backend.start({ threads: 2 })
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

async function checkCase({ inputs, run, oracle: exactOf, shadows = {} }: OpCase): Promise<void> {
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

  const { outputs, tape } = record(() => [run(tensors)])
  const output = outputs[0]!
  const found = await output.data()
  const exact = exactOf(values)
  expectClose(found, exact, 'output')

  const weights = normalValues(exact.length, 77)
  const gradients = new Map<string, Tensor>()
  const seed = tensor(weights, output.shape)
  walkBack(tape, Object.values(tensors), [output], [seed], (gradient, i) => {
    gradients.set(names[i]!, gradient)
  })
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
    )
  }
  for (const made of [output, ...gradients.values(), ...Object.values(tensors)]) made.dispose()
  expect(memory().numTensors, 'tensors left over').toBe(before)
}

async function chunksAgree(): Promise<void> {
  const [rows, width, vocabulary] = [66, 2, 65_537]
  const x = normalValues(rows * width, 1)
  const head = normalValues(vocabulary * width, 2)
  const targets = Array.from({ length: rows }, (_, i) => (i * 997) % vocabulary)
  const step = async (from: number, to: number) => {
    const [chunk, weights] = [
      update.parameter(x.slice(from * width, to * width), [to - from, width]),
      update.parameter(head, [vocabulary, width]),
    ]
    const { value, gradients } = valueAndGradients(
      () =>
        tidy(() => {
          const labels = tensor1d(targets.slice(from, to), 'int32')
          return crossEntropy(chunk, weights, labels, tensor1d(new Float32Array(to - from).fill(1))).loss
        }),
      [chunk, weights],
    )
    const results = [...(await Promise.all([value, ...gradients].map((t) => t.data())))]
    for (const made of [value, ...gradients, chunk, weights]) made.dispose()
    return results as [Float32Array, Float32Array, Float32Array]
  }
  const whole = await step(0, rows)
  const [first, second] = [await step(0, 31), await step(31, rows)]
  expectClose(whole[0], oracle.plus(first[0], second[0]), 'loss')
  expectClose(whole[1], [...first[1], ...second[1]], 'gradient of x')
  expectClose(whole[2], oracle.plus(first[2], second[2]), 'gradient of head')
}

async function perTokenLoss(): Promise<void> {
  const targets = [3, -100, 0]
  const [x, head] = [normalValues(9, 1), normalValues(15, 2)]
  const { loss, perToken } = tidy(() =>
    crossEntropy(tensor(x, [3, 3]), tensor(head, [5, 3]), tensor1d(targets, 'int32'), tensor1d([1, 1, 1])),
  )
  expectClose(await perToken.data(), oracle.perTokenLoss(x, head, targets, 3), 'perToken')
  loss.dispose()
  perToken.dispose()
}

async function cacheAgrees({ window }: { window: number }): Promise<void> {
  const shape = { batch: 3, capacity: 9, heads: 4, keyValueHeads: 2, headDim: 3 }
  const [prompt, width] = [5, 6]
  const promptLengths = [5, 2, 4]
  const before = memory().numTensors
  const cache = new KeyValueCache({ ...shape, ...(window && { window }) })
  const keys = new Float64Array(3 * 9 * width)
  const values = new Float64Array(3 * 9 * width)
  const append = (rows: number, positions: readonly number[], seed: number) => {
    const [k, v] = [normalValues(3 * rows * width, seed), normalValues(3 * rows * width, seed + 1)]
    for (let b = 0; b < 3; b++)
      for (let i = 0; i < rows * width; i++) {
        keys[(b * 9 + positions[b]!) * width + i] = k[b * rows * width + i]!
        values[(b * 9 + positions[b]!) * width + i] = v[b * rows * width + i]!
      }
    tidy(() => cache.append(tensor(k, [3 * rows, width]), tensor(v, [3 * rows, width]), positions))
  }
  append(prompt, [0, 0, 0], 1)
  for (let step = 0; step < 3; step++) {
    const positions = promptLengths.map((length) => length + step)
    append(1, positions, 10 + step)
    const lengths = positions.map((position) => position + 1)
    const q = normalValues(3 * 12, 20 + step)
    const attended = tidy(() => cache.attend(tensor(q, [3, 12]), lengths))
    const exact = oracle.cachedAttention(q, keys, values, lengths, { ...shape, ...(window && { window }) })
    expectClose(await attended.data(), exact, `step ${step}`)
    attended.dispose()
  }
  cache.dispose()
  expect(memory().numTensors).toBe(before)
}

async function updatesFollowFormulas(): Promise<void> {
  const [start, x] = [normalValues(12, 1), normalValues(12, 2)]
  const target = update.parameter(start, [3, 4])
  const other = tensor(x, [3, 4])
  const expectTarget = async (exact: ArrayLike<number>, what: string) =>
    expectClose(await target.data(), exact, what)

  update.accumulate(target, other, -0.5)
  await expectTarget(oracle.plus(start, x, -0.5), 'accumulate')
  update.scale(target, 3)
  await expectTarget(
    oracle.plus(start, x, -0.5).map((value) => 3 * value),
    'scale',
  )
  update.copy(target, other)
  await expectTarget(x, 'copy')
  expect(await update.sumOfSquares([target, other])).toBeCloseTo(2 * oracle.dot(x, x), 4)

  const [left, right] = [normalValues(6, 3), normalValues(8, 4)]
  const factors = [tensor(left, [3, 2]), tensor(right, [2, 4])] as const
  update.lowRankUpdate(target, ...factors, 0.25)
  await expectTarget(oracle.plus(x, oracle.product(left, right, [3, 2, 4]), 0.25), 'lowRankUpdate')

  update.copy(target, tensor([1, Number.NaN, ...Array(10).fill(2)], [3, 4]))
  update.zero(target)
  await expectTarget(new Float64Array(12), 'zero, also over NaN')

  const compensation = update.zeroParameter([3, 4])
  const tiny = tensor(Array(12).fill(2 ** -25), [3, 4])
  update.accumulate(target, tensor(Array(12).fill(1), [3, 4]))
  for (let i = 0; i < 16; i++) update.compensatedAccumulate(target, compensation, tiny)
  expect((await target.data())[0], 'sixteen additions below the last bit').toBe(1 + 2 ** -21)
  for (const made of [target, other, compensation, tiny, ...factors]) made.dispose()
}

/** Libraries may cache what they made of a weight: a product after an update must see the new values. */
async function productsSeeUpdates(): Promise<void> {
  const [x, w] = [normalValues(6, 1), normalValues(12, 2)]
  const left = tensor(x, [2, 3])
  const weight = update.parameter(w, [3, 4])
  const one = tensor(new Float32Array(12).fill(1), [3, 4])
  const exact = Float64Array.from(w)
  for (let step = 0; step < 3; step++) {
    const y = linear(left, weight)
    expectClose(await y.data(), oracle.product(x, exact, [2, 3, 4]), `step ${step}`)
    update.accumulate(weight, one, 0.5)
    exact.forEach((value, i) => {
      exact[i] = value + 0.5
    })
    y.dispose()
  }
  for (const made of [left, weight, one]) made.dispose()
}

async function adamFollowsFormula(): Promise<void> {
  const settings = { learningRate: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-6, gradientFactor: 0.5 }
  const weightDecay = 0.1
  const exact = Float64Array.from(normalValues(7, 1))
  const [m, v] = [new Float64Array(7), new Float64Array(7)]
  const changed = update.parameter(Float32Array.from(exact), [7])
  const moments = { m: update.zeroParameter([7]), v: update.zeroParameter([7]) }
  for (let step = 1; step <= 3; step++) {
    const g = normalValues(7, 10 + step)
    const gradient = tensor(g, [7])
    update.adamW({ ...settings, ...moments, parameter: changed, gradient, step, weightDecay })
    exact.forEach((before, i) => {
      const delta = oracle.adamDelta(m, v, i, g[i]! * 0.5, { ...settings, step })
      exact[i] = before * (1 - 0.01 * weightDecay) + delta
    })
    expectClose(await changed.data(), exact, `step ${step}`)
    gradient.dispose()
  }
  for (const made of [changed, moments.m, moments.v]) made.dispose()
}

async function hdPissaAgrees(secondOrder: boolean): Promise<void> {
  const [devices, m, n, r] = [3, 5, 7, 2]
  const settings = { learningRate: 0.3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, step: 1, gradientFactor: 1 }
  const sizes = { w: [m, n], a: [devices, m, r], b: [devices, r, n] } as const
  const values = {
    w: normalValues(m * n, 1),
    a: normalValues(devices * m * r, 2),
    b: normalValues(devices * r * n, 3),
    gA: normalValues(devices * m * r, 4),
    gB: normalValues(devices * r * n, 5),
  }
  const before = memory().numTensors
  const tensors = {
    w: update.parameter(values.w, sizes.w),
    a: update.parameter(values.a, sizes.a),
    b: update.parameter(values.b, sizes.b),
    gA: tensor(values.gA, [...sizes.a]),
    gB: tensor(values.gB, [...sizes.b]),
    mA: update.zeroParameter(sizes.a),
    vA: update.zeroParameter(sizes.a),
    mB: update.zeroParameter(sizes.b),
    vB: update.zeroParameter(sizes.b),
    deltaA: update.zeroParameter(sizes.a),
  }
  update.hdPissaUpdate({ ...settings, ...tensors, aggregateFactor: 1 / devices, secondOrder })

  const delta = (g: Float32Array) => {
    const [first, second] = [new Float64Array(g.length), new Float64Array(g.length)]
    return Float64Array.from(g, (value, i) => oracle.adamDelta(first, second, i, value, settings))
  }
  const [dA, dB] = [delta(values.gA), delta(values.gB)]
  const exact = Float64Array.from(values.w)
  for (let k = 0; k < devices; k++) {
    const slice = <T extends Float32Array | Float64Array>(of: T) =>
      of.subarray((k * of.length) / devices, ((k + 1) * of.length) / devices)
    const pairs = [
      [slice(dA), slice(values.b)],
      [slice(values.a), slice(dB)],
      ...(secondOrder ? [[slice(dA), slice(dB)]] : []),
    ]
    for (const [left, right] of pairs)
      oracle.product(left!, right!, [m, r, n]).forEach((value, i) => {
        exact[i]! += value / devices
      })
  }
  expectClose(await tensors.w.data(), exact, 'w')
  expectClose(await tensors.deltaA.data(), dA, 'deltaA')
  expectClose(await tensors.a.data(), values.a, 'a stays')
  for (const made of Object.values(tensors)) made.dispose()
  expect(memory().numTensors).toBe(before)
}

async function memoryIsConstant(): Promise<void> {
  const [devices, m, n, r] = [2, 4, 6, 2]
  const parameters = {
    w: update.parameter(normalValues(m * n, 1), [m, n], { trainable: false }),
    a: update.parameter(normalValues(devices * m * r, 2), [devices, m, r]),
    b: update.parameter(normalValues(devices * r * n, 3), [devices, r, n]),
    gain: update.parameter(normalValues(n, 4), [n]),
    head: update.parameter(normalValues(9 * n, 5), [9, n]),
  }
  const trained = [parameters.a, parameters.b, parameters.gain, parameters.head]
  const x = tensor(normalValues(8 * m, 6), [8, m])
  const step = async () => {
    const { value, gradients } = valueAndGradients(
      () =>
        tidy(() => {
          const { w, a, b, gain, head } = parameters
          const y = rmsNorm(mutedLinear(x, w, a, b, 1), gain, 1e-5)
          const labels = tensor1d([1, 2, 3, -100, 5, 6, 7, 8], 'int32')
          return crossEntropy(y, head, labels, tensor1d(Array(8).fill(0.1))).loss
        }),
      trained,
    )
    const loss = (await value.data())[0]!
    trained.forEach((parameter, i) => {
      update.accumulate(parameter, gradients[i]!, -0.1)
    })
    for (const made of [value, ...gradients]) made.dispose()
    return loss
  }
  const first = await step()
  const before = memory()
  let last = first
  for (let i = 0; i < 5; i++) last = await step()
  const after = memory()
  expect([after.numTensors, after.numBytes, after.numDataBuffers]).toEqual([
    before.numTensors,
    before.numBytes,
    before.numDataBuffers,
  ])
  expect(last).toBeLessThan(first)
  for (const made of [x, ...Object.values(parameters)]) made.dispose()
}

function expectClose(
  found: ArrayLike<number>,
  exact: ArrayLike<number>,
  what: string,
  scale = magnitude(exact),
): void {
  expect(found.length, `${what}: size`).toBe(exact.length)
  const allowed = tolerance * Math.max(scale, magnitude(exact), 1e-3)
  for (let i = 0; i < exact.length; i++) {
    if (!(Math.abs(found[i]! - exact[i]!) <= allowed))
      expect.fail(`${what}: element ${i} is ${found[i]}, not ${exact[i]}`)
  }
}

function magnitude(values: ArrayLike<number>): number {
  let largest = 0
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]!))
  return largest
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((size, d) => size * d, 1)
