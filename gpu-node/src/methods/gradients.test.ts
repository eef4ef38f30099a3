/** Gradients of every method: METHODS §8, invariants 8 to 14. */
import { tensor2d } from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { selectBackend } from '../backends/select.ts'
import { backward } from '../ops/gradients.ts'
import { parameter } from '../ops/update.ts'
import { readValues } from '../optim/state.ts'
import { Random } from '../random.ts'
import {
  denseGradient,
  distance,
  hadamard,
  type Matrix,
  matrix,
  minus,
  multiply,
  plus,
  slices,
  times,
  transposed,
} from '../testing/methods/float64.ts'
import {
  quadraticLoss,
  startWith,
  ToyLayer,
  type ToySettings,
  toyModule,
} from '../testing/methods/toy-layer.ts'
import {
  deviceData,
  effectiveWeights,
  hdOracle,
  toyLoss,
  trainedMatrices,
} from '../testing/methods/toy-oracle.ts'

beforeAll(async () => {
  await selectBackend('auto', { threads: 1 })
})

describe('invariant 8: gradients against central differences of a float64 loss', () => {
  const cases: [ToySettings['method'], devices: number][] = [
    [{ name: 'full' }, 1],
    [{ name: 'full' }, 3],
    [{ name: 'lora', rank: 2, alpha: 5 }, 1],
    [{ name: 'lora', rank: 3, alpha: 2, rankStabilized: true }, 2],
    [{ name: 'pissa', rank: 2, alpha: 3 }, 2],
    [{ name: 'dora', rank: 2, alpha: 3 }, 1],
    [{ name: 'dora', rank: 2, alpha: 3, detachNorm: false }, 1],
    [{ name: 'dora', rank: 1, detachNorm: false }, 2],
    [{ name: 'mora', rank: 1, type: 1 }, 1],
    [{ name: 'mora', rank: 2, type: 1 }, 2],
    [{ name: 'mora', rank: 1, type: 6 }, 1],
    [{ name: 'mora', rank: 2, type: 6 }, 2],
    [{ name: 'hira', rank: 2 }, 1],
    [{ name: 'hira', rank: 1 }, 2],
    [{ name: 'intermediate', rank: 2 }, 2],
    [{ name: 'intermediate', rank: 1, syncEvery: 2 }, 3],
  ]

  it.each(cases)('%j on %i devices, after three steps', async (method, devices) => {
    const toy = await ToyLayer.make({ method, devices, rows: 9, columns: 7, seed: 3 })
    await toy.steps(3, 0.05)
    const weights = await effectiveWeights(toy)
    const start = await trainedMatrices(toy)
    const found = await toy.gradients()
    start.forEach((parts, index) => {
      const numeric = parts.flatMap((part, slice) =>
        [...part.values].map((value, entry) => {
          const at = (shifted: number) => {
            const moved: Matrix = { ...part, values: part.values.with(entry, shifted) }
            const all = start.map((own, i) => (i === index ? own.with(slice, moved) : own))
            return toyLoss(toy, weights(all.flat()))
          }
          const h = 1e-5
          return (at(value + h) - at(value - h)) / (2 * h)
        }),
      )
      expect(distance(found[index]!, numeric), `trained tensor ${index}`).toBeLessThan(2e-5)
    })
    toy.dispose()
  })
})

describe('the muted layer of HD-PiSSA', () => {
  const method = { name: 'hd-pissa', rank: 2, alpha: 3 } as const
  const shape = { rows: 9, columns: 7, devices: 3 }

  it('invariant 10: gA = s D Bᵀ and gB = s Aᵀ D with D_k = X_kᵀ G_k, at the start and after steps', async () => {
    const toy = await ToyLayer.make({ method, ...shape })
    const oracle = await hdOracle(toy, { aggregate: 'mean', scale: 1.5 })
    for (let round = 0; round < 3; round++) {
      const [gA, gB] = await toy.gradients()
      const expected = oracle.devices.map((device) => oracle.gradients(device))
      expect(
        distance(
          gA!,
          expected.flatMap((part) => [...part.gA.values]),
        ),
      ).toBeLessThan(1e-5)
      expect(
        distance(
          gB!,
          expected.flatMap((part) => [...part.gB.values]),
        ),
      ).toBeLessThan(1e-5)
      await toy.step(0.02)
      oracle.step(0.02)
    }
    toy.dispose()
  })

  it('invariant 9: a literal γ gives the exact gradient with an error that falls with γ', async () => {
    const exact = await ToyLayer.make({ method, ...shape })
    const expected = await exact.gradients()
    const errors: number[] = []
    for (const literal of [1e-1, 1e-2, 1e-3]) {
      const toy = await ToyLayer.make({ method: { ...method, mute: { literal } }, ...shape })
      const found = await toy.gradients()
      errors.push(distance(found[0]!, expected[0]!))
      toy.dispose()
    }
    expect(errors[1]! / errors[0]!).toBeCloseTo(0.1, 1)
    expect(errors[2]! / errors[1]!).toBeCloseTo(0.1, 1)
    exact.dispose()
  })

  it('invariant 9: the exact gradient is that of a PiSSA forward pass at W_res,k = W − A_k B_k, also later', async () => {
    const toy = await ToyLayer.make({ method: { ...method, alpha: null }, ...shape })
    for (let round = 0; round < 3; round++) {
      const w = matrix(await toy.weight(), 9, 7)
      const a = slices(await toy.named('A'), 3, 9, 2)
      const b = slices(await toy.named('B'), 3, 2, 7)
      const expected = deviceData(toy).map(({ x, t }, k) => {
        const residual = minus(w, multiply(a[k]!, b[k]!))
        const forward = minus(residual, times(multiply(a[k]!, b[k]!), -1))
        const { d } = denseGradient(x, forward, t, 1 / x.rows)
        return [...multiply(d, transposed(b[k]!)).values]
      })
      const [gA] = await toy.gradients()
      expect(distance(gA!, expected.flat())).toBeLessThan(1e-5)
      await toy.step(0.05)
    }
    toy.dispose()
  })

  it.each([
    ['exact', 'exact'],
    ['with dropout on the weight', { dropout: 0.3, dropoutMode: 'weight' }],
  ] as const)('invariant 12: dX = G Wᵀ has no adapter term (%s)', async (_, extra) => {
    const toy = await ToyLayer.make({
      method: { ...method, ...(typeof extra === 'object' ? extra : {}) },
      ...shape,
    })
    const x = parameter(toy.x, [15, 9])
    const t = tensor2d(toy.t, [15, 7])
    const found: Float32Array[] = []
    const pending: Promise<void>[] = []
    backward(
      () => quadraticLoss(toy.adaptation.linear(toyModule, x as never), t, 1),
      [x],
      (_variable, gradient) => {
        pending.push(
          readValues(gradient).then((values) => {
            found.push(values)
            gradient.dispose()
          }),
        )
      },
    ).dispose()
    await Promise.all(pending)
    const w = matrix(toy.w0, 9, 7)
    const { g } = denseGradient(matrix(toy.x, 15, 9), w, matrix(toy.t, 15, 7), 1)
    expect(distance(found[0]!, multiply(g, transposed(w)).values)).toBeLessThan(1e-6)
    x.dispose()
    t.dispose()
    toy.dispose()
  })

  it('invariant 11: K devices in one pass are K separate passes over their shards', async () => {
    const toy = await ToyLayer.make({ method, ...shape })
    const [gA, gB] = await toy.gradients()
    const [a, b] = [await toy.named('A'), await toy.named('B')]
    const rank = 2
    for (let k = 0; k < 3; k++) {
      const part = <A extends Float32Array>(values: A, size: number) => values.slice(k * size, (k + 1) * size)
      const alone = await ToyLayer.make({
        method,
        ...shape,
        devices: 1,
        w: toy.w0,
        x: part(toy.x, 5 * 9),
        t: part(toy.t, 5 * 7),
        initial: startWith({ A: part(a, 9 * rank), B: part(b, rank * 7) }),
      })
      const [aloneA, aloneB] = await alone.gradients()
      expect(distance(part(gA!, 9 * rank), aloneA!)).toBeLessThan(1e-6)
      expect(distance(part(gB!, rank * 7), aloneB!)).toBeLessThan(1e-6)
      alone.dispose()
    }
    toy.dispose()
  })

  it('dropout on the input changes gradients to those of X~ and leaves the output alone', async () => {
    const toy = await ToyLayer.make({ method: { ...method, dropout: 0.4 }, ...shape })
    const plain = await ToyLayer.make({ method, ...shape })
    expect(await toy.output()).toEqual(await plain.output())
    const [gA] = await toy.gradients()
    const { Dropout } = await import('./dropout.ts')
    const dropout = new Dropout(0.4, 3, 1)
    dropout.beginPass({ step: 1, microBatch: 0, sequence: 5 })
    const mask = dropout.mask(toyModule, 15, 9)
    expect(new Set(mask)).toEqual(new Set([0, Math.fround(1 / 0.6)]))
    const kept = mask.filter((value) => value !== 0).length / mask.length
    expect(kept).toBeGreaterThan(0.45)
    expect(kept).toBeLessThan(0.75)
    const dropped = slices(
      toy.x.map((value, i) => value * mask[i]!),
      3,
      5,
      9,
    )
    const b = slices(await toy.named('B'), 3, 2, 7)
    const expected = deviceData(toy).map(({ x, t }, k) => {
      const { g } = denseGradient(x, matrix(toy.w0, 9, 7), t, 1 / 5)
      return [...times(multiply(multiply(transposed(dropped[k]!), g), transposed(b[k]!)), 1.5).values]
    })
    expect(distance(gA!, expected.flat())).toBeLessThan(1e-5)
    for (const used of [toy, plain]) used.dispose()
  })

  it('dropout on the weight: T = mask / (1 − p) ⊙ s D, gA = T Bᵀ, gB = Aᵀ T, one mask for all tokens', async () => {
    const toy = await ToyLayer.make({
      method: { ...method, dropout: 0.4, dropoutMode: 'weight' },
      ...shape,
    })
    const [gA, gB] = await toy.gradients()
    const { Dropout } = await import('./dropout.ts')
    const dropout = new Dropout(0.4, 3, 1)
    dropout.beginPass({ step: 1, microBatch: 0, sequence: 5 })
    const masks = slices(dropout.mask(toyModule, 27, 7, 9), 3, 9, 7)
    const [a, b] = [slices(await toy.named('A'), 3, 9, 2), slices(await toy.named('B'), 3, 2, 7)]
    const expected = deviceData(toy).map(({ x, t }, k) => {
      const { d } = denseGradient(x, matrix(toy.w0, 9, 7), t, 1 / 5)
      const masked = times({ ...d, values: d.values.map((value, i) => value * masks[k]!.values[i]!) }, 1.5)
      return { a: multiply(masked, transposed(b[k]!)), b: multiply(transposed(a[k]!), masked) }
    })
    expect(
      distance(
        gA!,
        expected.flatMap((part) => [...part.a.values]),
      ),
    ).toBeLessThan(1e-5)
    expect(
      distance(
        gB!,
        expected.flatMap((part) => [...part.b.values]),
      ),
    ).toBeLessThan(1e-5)
    toy.dispose()
  })

  it('a resumed step drops the same entries, another step others', async () => {
    const { Dropout } = await import('./dropout.ts')
    const mask = (step: number, microBatch: number) => {
      const dropout = new Dropout(0.5, 2, 9)
      dropout.beginPass({ step, microBatch, sequence: 2 })
      return dropout.mask('m', 4, 8)
    }
    expect(mask(3, 1)).toEqual(mask(3, 1))
    expect(mask(3, 1)).not.toEqual(mask(4, 1))
    expect(mask(3, 1)).not.toEqual(mask(3, 2))
    expect(mask(3, 1).slice(0, 16)).not.toEqual(mask(3, 1).slice(16))
  })
})

describe('dropout of LoRA and HiRA: the adapter sees X~, the frozen weight X', () => {
  const [rows, columns, perDevice, rank, scale] = [8, 6, 5, 2, 1.5]
  const values = (size: number, seed: number) => new Random(seed).fillNormal(new Float32Array(size), 0, 0.5)
  const [a, b] = [values(rows * rank, 3), values(rank * columns, 4)]
  const [A, B] = [matrix(a, rows, rank), matrix(b, rank, columns)]

  it.each([
    ['lora', { name: 'lora', rank, alpha: 3, dropout: 0.4 }],
    ['hira', { name: 'hira', rank, dropout: 0.4 }],
  ] as const)('%s: output and gradients in float64, and no dropout in inference', async (name, method) => {
    const toy = await ToyLayer.make({ method, rows, columns, perDevice, initial: startWith({ A: a, B: b }) })
    const { Dropout } = await import('./dropout.ts')
    const dropout = new Dropout(0.4, 1, 1)
    dropout.beginPass({ step: 1, microBatch: 0, sequence: perDevice })
    const mask = matrix(dropout.mask(toyModule, perDevice, rows), perDevice, rows)
    const [w, x, t] = [
      matrix(toy.w0, rows, columns),
      matrix(toy.x, perDevice, rows),
      matrix(toy.t, perDevice, columns),
    ]
    const seen = hadamard(x, mask)
    const change = name === 'lora' ? times(multiply(A, B), scale) : hadamard(w, multiply(A, B))
    const y = plus(multiply(x, w), multiply(seen, change))
    const g = times(minus(y, t), 1 / perDevice)
    const dense = multiply(transposed(seen), g)
    const through = name === 'lora' ? times(dense, scale) : hadamard(w, dense)
    const [gA, gB] = await toy.gradients()
    expect(distance(gA!, multiply(through, transposed(B)).values)).toBeLessThan(1e-5)
    expect(distance(gB!, multiply(transposed(A), through).values)).toBeLessThan(1e-5)
    expect(distance(await toy.output(), y.values)).toBeLessThan(1e-5)
    const whole = plus(multiply(x, w), multiply(x, change)).values
    const inference = toy.adaptation.inference()
    expect(distance(await toy.output(inference.linear), whole)).toBeLessThan(1e-5)
    inference.dispose()
    toy.dispose()
  })
})

describe('invariant 13: LoRA initialisation with direct update', () => {
  it('the gradient of A is zero at every step, and A and B never change', async () => {
    const method = { name: 'lora-dwu', rank: 2, alpha: 4 } as const
    const toy = await ToyLayer.make({ method, devices: 2 })
    const [a, b] = [await toy.named('A'), await toy.named('B')]
    for (let round = 0; round < 4; round++) {
      const muted = await ToyLayer.make({
        method: { name: 'hd-pissa', rank: 2, alpha: 4 },
        devices: 2,
        w: await toy.weight(),
        initial: startWith({ A: a, B: b }),
      })
      const [gA] = await muted.gradients()
      expect(gA!.every((value) => value === 0)).toBe(true)
      muted.dispose()
      await toy.step(0.05)
    }
    expect(await toy.named('A')).toEqual(a)
    expect(await toy.named('B')).toEqual(b)
    expect(b.every((value) => value === 0)).toBe(true)
    expect(distance(await toy.weight(), toy.w0)).toBeGreaterThan(1e-3)
    toy.dispose()
  })
})

describe('invariant 14: the scale of the loss', () => {
  it('with plain descent, c times the loss gives c times the deltas and c² times the second-order term', async () => {
    const toy = await ToyLayer.make({ method: { name: 'hd-pissa', rank: 2 }, devices: 2 })
    const one = await hdOracle(toy, { aggregate: 'sum', plainDescent: true })
    const both = async (lossScale: number, secondOrder: boolean) =>
      (await hdOracle(toy, { aggregate: 'sum', plainDescent: true, lossScale, secondOrder })).steps(1, 0.01).w
    const second = async (scale: number) => minus(await both(scale, true), await both(scale, false))
    const first = async (scale: number) => minus(await both(scale, false), one.w)
    expect(distance((await first(3)).values, times(await first(1), 3).values)).toBeLessThan(1e-10)
    expect(distance((await second(3)).values, times(await second(1), 9).values)).toBeLessThan(1e-10)
    toy.dispose()
  })

  it('with Adam and ε = 0 the update depends neither on the loss’s scale nor on alpha', async () => {
    const run = async (lossScale: number, alpha: number) => {
      const toy = await ToyLayer.make({
        method: { name: 'hd-pissa', rank: 2, alpha, aggregate: 'sum' },
        devices: 2,
        optimizer: { epsilon: 0 },
        lossScale,
      })
      await toy.steps(3, 0.01)
      const change = minus(matrix(await toy.weight(), 8, 6), matrix(toy.w0, 8, 6)).values
      toy.dispose()
      return change
    }
    const expected = await run(1, 2)
    expect(distance(await run(1000, 2), expected)).toBeLessThan(1e-4)
    expect(distance(await run(1, 32), expected)).toBeLessThan(1e-4)
  })
})
