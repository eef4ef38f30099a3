/** Optimiser steps of HD-PiSSA and its relatives against float64: METHODS §8, invariants 15 to 24. */
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { selectBackend } from '../backends/select.ts'
import { adamDelta, directUpdate, parameter, zeroParameter } from '../ops/update.ts'
import { readValues } from '../optim/state.ts'
import { Random } from '../random.ts'
import { Adam, distance, matrix, minus, multiply, plus, slices, times } from '../testing/methods/float64.ts'
import { HdOracle } from '../testing/methods/hd-oracle.ts'
import { startWith, ToyLayer, type ToySettings } from '../testing/methods/toy-layer.ts'
import { deviceData, hdOracle } from '../testing/methods/toy-oracle.ts'

beforeAll(async () => {
  await selectBackend('auto', { threads: 1 })
})

const rate = 0.02
const change = async (toy: ToyLayer) =>
  minus(
    matrix(await toy.merged(), toy.settings.rows, toy.settings.columns),
    matrix(toy.w0, toy.settings.rows, toy.settings.columns),
  ).values

async function changeAfter(toy: ToySettings, steps: number, learningRate = rate): Promise<Float64Array> {
  const layer = await ToyLayer.make(toy)
  await layer.steps(steps, learningRate)
  const found = await change(layer)
  layer.dispose()
  return found
}

describe('training of HD-PiSSA is that of the float64 equations', () => {
  const variants: [
    string,
    ToySettings['method'],
    Parameters<typeof hdOracle>[1],
    ToySettings['optimizer']?,
  ][] = [
    ['mean', { name: 'hd-pissa', rank: 2 }, { aggregate: 'mean' }],
    ['sum', { name: 'hd-pissa', rank: 2, aggregate: 'sum' }, { aggregate: 'sum' }],
    [
      'no second order',
      { name: 'hd-pissa', rank: 2, aggregate: 'sum', secondOrder: false },
      { aggregate: 'sum', secondOrder: false },
    ],
    ['evolving', { name: 'hd-pissa', rank: 2, adapters: 'evolving' }, { aggregate: 'mean', evolving: true }],
    [
      'alpha',
      { name: 'hd-pissa', rank: 2, alpha: 5 },
      { aggregate: 'mean', scale: 2.5, epsilon: 1e-2 },
      { epsilon: 1e-2 },
    ],
    [
      'floored alpha',
      { name: 'hd-pissa', rank: 2, alpha: 5, legacyFloorAlpha: true },
      { aggregate: 'mean', scale: 2, epsilon: 1e-2 },
      { epsilon: 1e-2 },
    ],
    [
      'alpha ignored',
      { name: 'hd-pissa', rank: 2, alpha: 5, alphaMode: 'none' },
      { aggregate: 'mean', epsilon: 1e-2 },
      { epsilon: 1e-2 },
    ],
    [
      'alpha as PEFT has it',
      { name: 'hd-pissa', rank: 2, alpha: 5, alphaMode: 'peft' },
      { aggregate: 'mean', scale: 2.5, updateScale: 2.5, epsilon: 1e-2 },
      { epsilon: 1e-2 },
    ],
    [
      'weight decay',
      { name: 'hd-pissa', rank: 2 },
      { aggregate: 'mean', weightDecay: 0.3 },
      { weightDecay: 0.3 },
    ],
    [
      'weight decay with W_0 and ΔW apart',
      { name: 'hd-pissa', rank: 2, compensated: 'separate' },
      { aggregate: 'mean', weightDecay: 0.3 },
      { weightDecay: 0.3 },
    ],
    [
      'weight decay with Kahan’s compensation',
      { name: 'hd-pissa', rank: 2, compensated: 'kahan' },
      { aggregate: 'mean', weightDecay: 0.3 },
      { weightDecay: 0.3 },
    ],
    [
      'clipping, each device by its own norm',
      { name: 'hd-pissa', rank: 2 },
      { aggregate: 'mean', maxGradNorm: 0.5, epsilon: 1e-2 },
      { maxGradNorm: 0.5, epsilon: 1e-2 },
    ],
    [
      'betas',
      { name: 'hd-pissa', rank: 2 },
      { aggregate: 'mean', beta1: 0.5, beta2: 0.9 },
      { beta1: 0.5, beta2: 0.9 },
    ],
    ['strided slices', { name: 'hd-pissa', rank: 2, slices: 'strided' }, { aggregate: 'mean' }],
    ['top rank', { name: 'hd-pissa', rank: 2, slices: 'shared-top' }, { aggregate: 'mean' }],
  ]

  it.each(variants)('%s', async (_, method, options, optimizer) => {
    for (const devices of [1, 3]) {
      const toy = await ToyLayer.make({
        method,
        devices,
        rows: 9,
        columns: 8,
        ...(optimizer && { optimizer }),
      })
      const oracle = await hdOracle(toy, options)
      await toy.steps(5, rate)
      oracle.steps(5, rate)
      const expected = minus(oracle.w, matrix(toy.w0, 9, 8)).values
      expect(distance(await change(toy), expected), `${devices} devices`).toBeLessThan(1e-4)
      toy.dispose()
    }
  })

  it('for random shapes, ranks and numbers of devices', async () => {
    const shape = fc.record({
      rows: fc.integer({ min: 1, max: 12 }),
      columns: fc.integer({ min: 1, max: 12 }),
      devices: fc.integer({ min: 1, max: 4 }),
      rank: fc.integer({ min: 1, max: 4 }),
      perDevice: fc.integer({ min: 1, max: 6 }),
      seed: fc.integer({ min: 0, max: 1000 }),
    })
    await fc.assert(
      fc.asyncProperty(shape, async ({ rank, ...rest }) => {
        const method = { name: 'hd-pissa', rank, clampRank: true } as const
        const toy = await ToyLayer.make({ method, optimizer: { epsilon: 1e-4 }, ...rest })
        const oracle = await hdOracle(toy, { aggregate: 'mean', epsilon: 1e-4 })
        await toy.steps(2, rate)
        oracle.steps(2, rate)
        const expected = minus(oracle.w, matrix(toy.w0, rest.rows, rest.columns)).values
        expect(distance(await change(toy), expected)).toBeLessThan(1e-3)
        toy.dispose()
      }),
      { seed: 11, numRuns: 25 },
    )
  })
})

describe('invariant 15: the forms of the update are one', () => {
  it('three products = two products = one product of inner size 2Kr = the released code’s signs', async () => {
    const random = new Random(4)
    const [K, m, r, n] = [3, 7, 2, 5]
    const draw = (size: number, scale = 1) => random.fillNormal(new Float32Array(size), 0, scale)
    const values = {
      a: draw(K * m * r),
      b: draw(K * r * n),
      dA: draw(K * m * r, 0.1),
      dB: draw(K * r * n, 0.1),
    }
    const [a, dA] = [slices(values.a, K, m, r), slices(values.dA, K, m, r)]
    const [b, dB] = [slices(values.b, K, r, n), slices(values.dB, K, r, n)]
    const over = (f: (k: number) => ReturnType<typeof multiply>) =>
      [0, 1, 2].reduce((sum, k) => plus(sum, f(k)), matrix(new Float64Array(m * n), m, n))
    const three = over((k) =>
      plus(plus(multiply(dA[k]!, b[k]!), multiply(a[k]!, dB[k]!)), multiply(dA[k]!, dB[k]!)),
    )
    const two = over((k) => plus(multiply(dA[k]!, b[k]!), multiply(plus(a[k]!, dA[k]!), dB[k]!)))
    const official = times(
      over((k) => {
        const [pA, pB] = [times(dA[k]!, -1), times(dB[k]!, -1)]
        return minus(plus(multiply(pA, b[k]!), multiply(a[k]!, pB)), multiply(pA, pB))
      }),
      -1,
    )
    expect(distance(two.values, three.values)).toBeLessThan(1e-14)
    expect(distance(official.values, three.values)).toBeLessThan(1e-14)
    const w = zeroParameter([m, n])
    const tensors = {
      a: parameter(values.a, [K, m, r]),
      b: parameter(values.b, [K, r, n]),
      deltaA: parameter(values.dA, [K, m, r]),
      deltaB: parameter(values.dB, [K, r, n]),
    }
    directUpdate({ w, ...tensors, factor: 1, secondOrder: true })
    expect(distance(await readValues(w), three.values)).toBeLessThan(1e-6)
    for (const used of [w, ...Object.values(tensors)]) used.dispose()
  })
})

describe('HD-PiSSA and PiSSA', () => {
  const shape = { rows: 9, columns: 8, seed: 5 }

  it('invariant 16: with one device the first step is PiSSA’s, the second is not', async () => {
    const [hd, pissa] = [
      { name: 'hd-pissa', rank: 2 },
      { name: 'pissa', rank: 2 },
    ] as const
    const one = await changeAfter({ method: hd, ...shape }, 1)
    expect(distance(one, await changeAfter({ method: pissa, ...shape }, 1))).toBeLessThan(1e-4)
    const two = await changeAfter({ method: hd, ...shape }, 2)
    expect(distance(two, await changeAfter({ method: pissa, ...shape }, 2))).toBeGreaterThan(1e-3)
  })

  it.each([1, 2, 8])('invariant 17: with one device evolving adapters are PiSSA, %i steps', async (steps) => {
    const evolving = { name: 'hd-pissa', rank: 2, adapters: 'evolving' } as const
    const expected = await changeAfter({ method: { name: 'pissa', rank: 2 }, ...shape }, steps)
    expect(distance(await changeAfter({ method: evolving, ...shape }, steps), expected)).toBeLessThan(1e-4)
  })

  it('invariant 17 with a scale: alpha mode peft is PiSSA’s alpha', async () => {
    const options = { rank: 2, alpha: 6 }
    const optimizer = { epsilon: 1e-3 }
    const evolving = { name: 'hd-pissa', adapters: 'evolving', alphaMode: 'peft', ...options } as const
    const expected = await changeAfter({ method: { name: 'pissa', ...options }, ...shape, optimizer }, 4)
    const found = await changeAfter({ method: evolving, ...shape, optimizer }, 4)
    expect(distance(found, expected)).toBeLessThan(1e-4)
  })

  it.each([
    [2, 2],
    [4, 2],
    [8, 1],
  ])(
    'invariant 18: on equal data, %i devices of rank %i (sum) are one of rank K r',
    async (devices, rank) => {
      const data = { ...shape, devices, sameData: true }
      const many = await ToyLayer.make({ method: { name: 'hd-pissa', rank, aggregate: 'sum' }, ...data })
      const one = await ToyLayer.make({
        method: { name: 'hd-pissa', rank: rank * devices },
        ...shape,
        w: many.w0,
        x: many.x.slice(0, 5 * 9),
        t: many.t.slice(0, 5 * 8),
      })
      await many.steps(6, rate)
      await one.steps(6, rate)
      expect(distance(await change(many), await change(one))).toBeLessThan(1e-4)
      for (const used of [many, one]) used.dispose()
    },
  )

  it('invariant 19: on equal data, top-rank devices (mean) are one device', async () => {
    const method = { name: 'hd-pissa', rank: 2, slices: 'shared-top' } as const
    const many = await ToyLayer.make({ method, ...shape, devices: 8, sameData: true })
    const x = many.x.slice(0, 5 * 9)
    const t = many.t.slice(0, 5 * 8)
    const one = await ToyLayer.make({ method, ...shape, w: many.w0, x, t })
    await many.steps(6, rate)
    await one.steps(6, rate)
    expect(distance(await change(many), await change(one))).toBeLessThan(1e-4)
    for (const used of [many, one]) used.dispose()
  })

  it('invariant 20: the first step of sum is K times that of mean; K times the rate is so to first order only', async () => {
    const devices = 8
    const run = (aggregate: string, learningRate: number) =>
      changeAfter({ method: { name: 'hd-pissa', rank: 1, aggregate }, ...shape, devices }, 1, learningRate)
    const sum = await run('sum', rate)
    expect(
      distance(
        (await run('mean', rate)).map((value) => value * devices),
        sum,
      ),
    ).toBeLessThan(1e-5)
    const faster = await run('mean', devices * rate)
    expect(distance(faster, sum)).toBeGreaterThan(1e-3)
    const first = (aggregate: string, learningRate: number) =>
      changeAfter(
        { method: { name: 'hd-pissa', rank: 1, aggregate, secondOrder: false }, ...shape, devices },
        1,
        learningRate,
      )
    expect(distance(await first('mean', devices * rate), await first('sum', rate))).toBeLessThan(1e-5)
  })

  it('invariant 21: devices may trade places, pairs may flip their signs; a rotation matters to Adam only', async () => {
    const toy = await ToyLayer.make({ method: { name: 'hd-pissa', rank: 2 }, ...shape, devices: 2 })
    const [a, b] = [slices(await toy.named('A'), 2, 9, 2), slices(await toy.named('B'), 2, 2, 8)]
    const data = deviceData(toy)
    const w = matrix(toy.w0, 9, 8)
    const flat = (parts: readonly { values: Float64Array }[]) =>
      Float32Array.from(parts.flatMap(({ values }) => [...values]))
    const restart = async (A: typeof a, B: typeof b, order = [0, 1]) => {
      const layer = await ToyLayer.make({
        method: { name: 'hd-pissa', rank: 2 },
        ...shape,
        devices: 2,
        w: toy.w0,
        x: flat(order.map((k) => data[k]!.x)),
        t: flat(order.map((k) => data[k]!.t)),
        initial: startWith({ A: flat(order.map((k) => A[k]!)), B: flat(order.map((k) => B[k]!)) }),
      })
      await layer.steps(4, rate)
      const found = await change(layer)
      layer.dispose()
      return found
    }
    const expected = await restart(a, b)
    expect(distance(await restart(a, b, [1, 0]), expected)).toBeLessThan(1e-4)
    const flip = matrix([-1, 0, 0, 1], 2, 2)
    const flipped = [a.map((part) => multiply(part, flip)), b.map((part) => multiply(flip, part))] as const
    expect(distance(await restart(...flipped), expected)).toBeLessThan(1e-4)
    const [c, s] = [Math.cos(0.7), Math.sin(0.7)]
    const rotated = [
      a.map((part) => multiply(part, matrix([c, -s, s, c], 2, 2))),
      b.map((part) => multiply(matrix([c, s, -s, c], 2, 2), part)),
    ] as const
    expect(distance(await restart(...rotated), expected)).toBeGreaterThan(1e-2)
    const descend = (A: typeof a, B: typeof b) =>
      new HdOracle(
        w,
        data.map((part, k) => ({ ...part, a: A[k]!, b: B[k]! })),
        { aggregate: 'mean', plainDescent: true },
      ).steps(4, rate).w.values
    expect(distance(descend(...rotated), descend(a, b))).toBeLessThan(1e-10)
    toy.dispose()
  })
})

describe('the ablations', () => {
  it('LoRA-DWU: W moves by c s Σ A_k dB_k; its first step with one device is LoRA’s', async () => {
    const options = { rank: 2, alpha: 6 }
    const optimizer = { epsilon: 1e-2 }
    const toy = await ToyLayer.make({ method: { name: 'lora-dwu', ...options }, devices: 3, optimizer })
    const scaled = { scale: 3, updateScale: 3, epsilon: 1e-2 }
    const oracle = await hdOracle(toy, { aggregate: 'mean', ...scaled })
    await toy.steps(4, rate)
    oracle.steps(4, rate)
    expect(distance(await change(toy), minus(oracle.w, matrix(toy.w0, 8, 6)).values)).toBeLessThan(1e-4)
    const alone = await ToyLayer.make({ method: { name: 'lora-dwu', ...options }, optimizer })
    const initial = startWith({ A: await alone.named('A') })
    const lora = await ToyLayer.make({ method: { name: 'lora', ...options }, optimizer, initial })
    await alone.step(rate)
    await lora.step(rate)
    expect(distance(await change(alone), await change(lora))).toBeLessThan(1e-4)
    for (const used of [toy, alone, lora]) used.dispose()
  })

  it('LoRA-DWU: devices draw their own A, or share one', async () => {
    for (const sharedInit of [false, true]) {
      const toy = await ToyLayer.make({ method: { name: 'lora-dwu', rank: 2, sharedInit }, devices: 2 })
      const [first, second] = slices(await toy.named('A'), 2, 8, 2)
      expect(distance(first!.values, second!.values) === 0).toBe(sharedInit)
      toy.dispose()
    }
  })

  it('intermediate with one device is PiSSA; merging after every step makes it HD-PiSSA with evolving adapters', async () => {
    const shape = { rows: 9, columns: 8 }
    const alone = await changeAfter({ method: { name: 'intermediate', rank: 2 }, ...shape }, 5)
    expect(
      distance(alone, await changeAfter({ method: { name: 'pissa', rank: 2 }, ...shape }, 5)),
    ).toBeLessThan(1e-4)
    for (const aggregate of ['sum', 'mean']) {
      const synced = { name: 'intermediate', rank: 2, syncEvery: 1, aggregate } as const
      const evolving = { name: 'hd-pissa', rank: 2, adapters: 'evolving', aggregate } as const
      const devices = 3
      const expected = await changeAfter({ method: evolving, ...shape, devices }, 5)
      const found = await changeAfter({ method: synced, ...shape, devices }, 5)
      expect(distance(found, expected), aggregate).toBeLessThan(1e-4)
    }
  })

  it('intermediate without merges: each device is a PiSSA of its own on its own slice and shard', async () => {
    const shape = { rows: 9, columns: 8 }
    const toy = await ToyLayer.make({
      method: { name: 'intermediate', rank: 2, aggregate: 'sum' },
      ...shape,
      devices: 2,
    })
    const [a, b] = [slices(await toy.named('A'), 2, 9, 2), slices(await toy.named('B'), 2, 2, 8)]
    const data = deviceData(toy)
    await toy.steps(5, rate)
    const parts = await Promise.all(
      data.map(async ({ x, t }, k) => {
        const pair = { A0: Float32Array.from(a[k]!.values), B0: Float32Array.from(b[k]!.values) }
        const alone = await ToyLayer.make({
          method: { name: 'pissa', rank: 2 },
          ...shape,
          w: toy.w0,
          x: Float32Array.from(x.values),
          t: Float32Array.from(t.values),
          initial: startWith(pair),
        })
        await alone.steps(5, rate)
        const found = await change(alone)
        alone.dispose()
        return found
      }),
    )
    const sum = parts[0]!.map((value, i) => value + parts[1]![i]!)
    expect(distance(await change(toy), sum)).toBeLessThan(1e-4)
    toy.dispose()
  })
})

describe('Adam', () => {
  it('invariant 23: two steps by hand, and a first step of −rate · sign(g)', async () => {
    const gradients = [
      [0.5, -2, 1e-3],
      [-1, -2, 4e-3],
    ]
    const [m, v, delta] = [zeroParameter([1, 3]), zeroParameter([1, 3]), zeroParameter([1, 3])]
    const settings = { learningRate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, gradientFactor: 1 }
    const found: Float32Array[] = []
    for (const [index, values] of gradients.entries()) {
      const gradient = parameter(Float32Array.from(values), [1, 3])
      adamDelta({ ...settings, step: index + 1, m, v, gradient, delta })
      found.push(await readValues(delta))
      gradient.dispose()
    }
    expect(distance(found[0]!, [-0.1, 0.1, -0.1])).toBeLessThan(1e-4)
    const byHand = gradients[0]!.map((first, i) => {
      const second = gradients[1]![i]!
      const mean = (0.09 * first + 0.1 * second) / (1 - 0.81)
      const square = (0.999 * 0.001 * first ** 2 + 0.001 * second ** 2) / (1 - 0.999 ** 2)
      return (-0.1 * mean) / (Math.sqrt(square) + 1e-8)
    })
    expect(distance(found[1]!, byHand)).toBeLessThan(1e-5)
    const oracle = new Adam()
    oracle.delta(matrix(gradients[0]!, 1, 3), 0.1)
    expect(distance(oracle.delta(matrix(gradients[1]!, 1, 3), 0.1).values, byHand)).toBeLessThan(1e-12)
    for (const used of [m, v, delta]) used.dispose()
  })
})

describe('what must not move', () => {
  it('invariant 22: at rate 0 W keeps every bit while the moments move', async () => {
    for (const compensated of ['none', 'kahan', 'separate']) {
      const toy = await ToyLayer.make({ method: { name: 'hd-pissa', rank: 2, compensated }, devices: 2 })
      await toy.step(0)
      expect(await toy.weight(), compensated).toEqual(toy.w0)
      expect((await toy.named('A.adam_m')).some((value) => value !== 0)).toBe(true)
      expect((await toy.named('B.adam_v')).some((value) => value !== 0)).toBe(true)
      toy.dispose()
    }
  })

  it('invariant 24: fixed adapters keep every bit, evolving ones do not', async () => {
    for (const adapters of ['fixed', 'evolving']) {
      const toy = await ToyLayer.make({ method: { name: 'hd-pissa', rank: 2, adapters }, devices: 2 })
      const before = [await toy.named('A'), await toy.named('B')]
      await toy.steps(4, rate)
      const same =
        distance(await toy.named('A'), before[0]!) + distance(await toy.named('B'), before[1]!) === 0
      expect(same).toBe(adapters === 'fixed')
      toy.dispose()
    }
  })

  it('invariant 24: W of adapter methods keeps every bit', async () => {
    for (const method of [
      { name: 'lora', rank: 2 },
      { name: 'pissa', rank: 2 },
      { name: 'dora', rank: 2 },
      { name: 'mora', rank: 1 },
      { name: 'hira', rank: 2 },
      { name: 'intermediate', rank: 2 },
    ] as const) {
      const toy = await ToyLayer.make({ method })
      const before = await toy.weight()
      await toy.steps(3, rate)
      expect(await toy.weight(), method.name).toEqual(before)
      toy.dispose()
    }
  })

  it.each(['full', 'lora', 'pissa', 'hd-pissa', 'dora', 'mora', 'hira', 'lora-dwu', 'intermediate'])(
    'watching %s changes no bit of its training, and its norm is that of the step',
    async (name) => {
      const method = { name, ...(name === 'full' ? {} : { rank: 2 }) } as ToySettings['method']
      const devices = 2
      const [watched, alone] = [
        await ToyLayer.make({ method, devices }),
        await ToyLayer.make({ method, devices }),
      ]
      for (let step = 0; step < 3; step++) {
        const before = matrix(await watched.merged(), 8, 6)
        const { updateSquares } = await watched.step(rate, true)
        await alone.step(rate)
        const moved = minus(matrix(await watched.merged(), 8, 6), before).values
        expect(Math.sqrt(updateSquares)).toBeCloseTo(Math.hypot(...moved), 5)
      }
      expect(await watched.merged()).toEqual(await alone.merged())
      for (const used of [watched, alone]) used.dispose()
    },
  )
})
