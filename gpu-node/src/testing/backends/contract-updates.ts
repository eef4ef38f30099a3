/** The part of the contract that is about changing parameters in place: each update against its formula in float64. */
import { memory, tensor } from '@tensorflow/tfjs-core'
import { expect } from 'vitest'
import { bytesOf, decodeFloat32, encodeFloats, type FloatDtype } from '../../model/dtypes.ts'
import { transpose } from '../../model/parameters.ts'
import { linear } from '../../ops/linear.ts'
import * as update from '../../ops/update.ts'
import { normalValues } from './contract-cases.ts'
import { expectClose } from './expect-close.ts'
import * as oracle from './float64-oracle.ts'

export async function updatesFollowFormulas(): Promise<void> {
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
  const many = Array.from({ length: 30 }, () => other) // more than a GPU binds at once
  expect(await update.sumOfSquares(many)).toBeCloseTo(30 * oracle.dot(x, x), 3)

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
export async function productsSeeUpdates(): Promise<void> {
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

export async function adamFollowsFormula(): Promise<void> {
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

export async function hdPissaAgrees(secondOrder: boolean): Promise<void> {
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

/** What files hold arrives with the very values of the decoder in TypeScript, all 65,536 halves among them. */
export async function storedFloatsAreExact(): Promise<void> {
  if (!update.widensStored()) return
  const halves = Uint16Array.from({ length: 0x10000 }, (_, i) => i)
  const odd = normalValues(37 * 53, 5)
  const cases: [FloatDtype, Uint8Array, number, number][] = [
    ['BF16', bytesOf(halves), 256, 256],
    ['F16', bytesOf(halves), 256, 256],
    ['F32', bytesOf(odd), 37, 53],
    ['BF16', encodeFloats(odd, 'BF16'), 37, 53],
    ['F16', encodeFloats(odd, 'F16'), 53, 37],
    // More than a GPU stages at once.
    ['BF16', encodeFloats(normalValues(1030 * 2100, 6), 'BF16'), 1030, 2100],
  ]
  for (const [dtype, bytes, rows, columns] of cases)
    for (const transposed of [false, true]) {
      const decoded = decodeFloat32(bytes, dtype)
      const exact = transposed ? transpose(decoded, rows, columns) : decoded
      const shape = transposed ? [columns, rows] : [rows, columns]
      const made = update.storedParameter({ bytes, dtype: dtype as 'BF16', transposed }, shape)
      const values = (await made.data()) as Float32Array
      const differing = values.findIndex((value, i) => !Object.is(value, exact[i]))
      expect(differing, `${dtype} ${rows} x ${columns}${transposed ? ' transposed' : ''}`).toBe(-1)
      made.dispose()
    }
}
