/**
 * The contract of all backends: every fused op, forward and backward, against a float64 oracle and its central
 * differences; updates against hand formulas; memory constant from step to step.
 */
import { memory, tensor, tensor1d, tidy } from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, test } from 'vitest'
import { KeyValueCache } from '../ops/attention.ts'
import { crossEntropy } from '../ops/cross-entropy.ts'
import { valueAndGradients } from '../ops/gradients.ts'
import { mutedLinear } from '../ops/linear.ts'
import { rmsNorm } from '../ops/pointwise.ts'
import * as update from '../ops/update.ts'
import { checkCase } from '../testing/backends/check-case.ts'
import { contractBackends } from '../testing/backends/contract-backends.ts'
import { normalValues, opCases } from '../testing/backends/contract-cases.ts'
import {
  adamFollowsFormula,
  hdPissaAgrees,
  productsSeeUpdates,
  storedFloatsAreExact,
  updatesFollowFormulas,
} from '../testing/backends/contract-updates.ts'
import { expectClose, magnitude } from '../testing/backends/expect-close.ts'
import * as oracle from '../testing/backends/float64-oracle.ts'
import { toyReference } from '../testing/backends/toy-reference.ts'
import { selfCheck, toyResults } from './self-check.ts'

test('the stored results of the self-check are those of the float64 oracle', () => {
  toyReference().forEach((exact, i) => {
    expect(toyResults[i]! / exact).toBeCloseTo(1, 9)
  })
})

describe.each(await contractBackends())('%s', (_, { backend, missing }) => {
  describe.skipIf(missing)('contract', () => {
    beforeAll(async () => {
      await backend.start({ threads: 2 })
    })

    test('the self-check passes', async () => {
      expect(await selfCheck()).toMatchObject({ passed: true })
    })

    test.each(opCases.map((opCase) => [opCase.name, opCase] as const))('%s', (_, opCase) => checkCase(opCase))

    // Its kernel is the composed one of cpu, and the software renderer takes long for four million logits.
    test.skipIf(backend.name === 'webgpu')('logits of more rows than a chunk holds add up', chunksAgree)
    test('perToken is the loss of each row, 0 where ignored', perTokenLoss)
    test.each([{ window: 0 }, { window: 3 }])('a cache with window $window gives full attention', cacheAgrees)
    test('in-place updates follow their formulas', updatesFollowFormulas)
    test('stored floats arrive exact', storedFloatsAreExact)
    test('a product after an in-place update sees the new values', productsSeeUpdates)
    test('AdamW follows the formula of torch over three steps', adamFollowsFormula)
    test.each([true, false])('the HD-PiSSA update, second order %s, is the sum over devices', hdPissaAgrees)
    test('live tensors and bytes are the same after every step', memoryIsConstant)
  })
})

async function chunksAgree(): Promise<void> {
  const [rows, width, vocabulary] = [66, 2, 65_537]
  const values = { x: normalValues(rows * width, 1), head: normalValues(vocabulary * width, 2) }
  const targets = Array.from({ length: rows }, (_, i) => (i * 997) % vocabulary)
  const parameters = [
    update.parameter(values.x, [rows, width]),
    update.parameter(values.head, [vocabulary, width]),
  ] as const
  const { value, gradients } = valueAndGradients(
    () =>
      tidy(() => {
        const weights = tensor1d(new Float32Array(rows).fill(1))
        return crossEntropy(...parameters, tensor1d(targets, 'int32'), weights).loss
      }),
    parameters,
  )
  const [loss, dx, dHead] = await Promise.all([value, ...gradients].map((made) => made.data()))

  // p - onehot is the gradient of a row's logits.
  const exact = { loss: 0, dx: new Float64Array(rows * width), dHead: new Float64Array(vocabulary * width) }
  const logits = oracle.product(values.x, values.head, [rows, width, vocabulary], { transposeB: true })
  for (const [row, target] of targets.entries()) {
    const ofRow = logits.subarray(row * vocabulary, (row + 1) * vocabulary)
    const logNorm = Math.log(ofRow.reduce((total, logit) => total + Math.exp(logit), 0))
    exact.loss += logNorm - ofRow[target]!
    ofRow.forEach((logit, token) => {
      const slope = Math.exp(logit - logNorm) - (token === target ? 1 : 0)
      for (let j = 0; j < width; j++) {
        exact.dx[row * width + j]! += slope * values.head[token * width + j]!
        exact.dHead[token * width + j]! += slope * values.x[row * width + j]!
      }
    })
  }
  expectClose(loss!, [exact.loss], 'loss')
  // XNNPACK adds 65,537 products one after the other: ten times the error of a blocked sum.
  expectClose(dx!, exact.dx, 'gradient of x', 10 * magnitude(exact.dx))
  expectClose(dHead!, exact.dHead, 'gradient of head')
  for (const made of [value, ...gradients, ...parameters]) made.dispose()
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
