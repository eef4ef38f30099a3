import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { evaluationBatch, lossTokens, stepBatches } from './batch.ts'
import type { TokenExample } from './examples.ts'
import { createSampler, type SamplerSettings } from './sampler.ts'

const base: SamplerSettings = {
  examples: 12,
  devices: 2,
  microBatchSize: 2,
  accumulation: 1,
  epochs: 1,
  maxSteps: null,
  sampling: 'distributed',
  assign: 'interleave',
  remainder: 'drop',
  shuffle: false,
  reshuffle: false,
  seed: 1,
}

/** rows of every micro-batch of every step. */
function allRows(changes: Partial<SamplerSettings>) {
  const sampler = createSampler({ ...base, ...changes })
  return Array.from({ length: sampler.totalSteps }, (_, step) =>
    sampler.plan(step).microBatches.map(({ rows }) => rows),
  )
}

describe('distributed sampling', () => {
  it('device k sees examples k, k+K, k+2K, … (invariant 26)', () => {
    expect(allRows({})).toEqual([
      [
        [
          [0, 2],
          [1, 3],
        ],
      ],
      [
        [
          [4, 6],
          [5, 7],
        ],
      ],
      [
        [
          [8, 10],
          [9, 11],
        ],
      ],
    ])
  })

  it('with block assignment a device sees a contiguous part', () => {
    expect(allRows({ assign: 'block' })).toEqual([
      [
        [
          [0, 1],
          [6, 7],
        ],
      ],
      [
        [
          [2, 3],
          [8, 9],
        ],
      ],
      [
        [
          [4, 5],
          [10, 11],
        ],
      ],
    ])
  })

  it('the tail is padded by repeating the first examples', () => {
    const rows = allRows({ examples: 10, devices: 4, microBatchSize: 3 })
    expect(rows).toEqual([
      [
        [
          [0, 4, 8],
          [1, 5, 9],
          [2, 6, 0],
          [3, 7, 1],
        ],
      ],
    ])
  })

  it('an incomplete micro-batch at the end is dropped', () => {
    expect(allRows({ examples: 10, devices: 2, microBatchSize: 2 })).toHaveLength(2)
  })

  it('epochs repeat one order, unless reshuffled', () => {
    const [first, second] = [allRows({ epochs: 2 }).slice(0, 3), allRows({ epochs: 2 }).slice(3)]
    expect(second).toEqual(first)
    const same = allRows({ epochs: 2, shuffle: true })
    expect(same.slice(3)).toEqual(same.slice(0, 3))
    const fresh = allRows({ epochs: 2, shuffle: true, reshuffle: true })
    expect(fresh.slice(3)).not.toEqual(fresh.slice(0, 3))
  })

  it('the golden left-over case: 25 steps of 4 micro-batches in 5 epochs of 21, schedule length 26', () => {
    const settings = {
      ...base,
      examples: 128,
      microBatchSize: 3,
      accumulation: 4,
      epochs: 5,
      remainder: 'leak',
    } as const
    const sampler = createSampler(settings)
    expect([sampler.totalSteps, sampler.legacyTotalSteps, sampler.stepsPerEpoch]).toEqual([25, 26, 5])
    expect(sampler.plan(4).microBatches).toHaveLength(4)
    const leaking = sampler.plan(5)
    expect(leaking.microBatches.map(({ counted }) => counted)).toEqual([false, true, true, true, true])
    expect(leaking.microBatches[0]?.rows).toEqual([
      [120, 122, 124],
      [121, 123, 125],
    ])
    expect(leaking.accumulation).toBe(4)
  })

  it('the remainder rule "step" makes a step of what is left, with its own divisor', () => {
    const sampler = createSampler({ ...base, examples: 20, accumulation: 2, remainder: 'step' })
    expect(Array.from({ length: sampler.totalSteps }, (_, step) => sampler.plan(step).accumulation)).toEqual([
      2, 2, 1,
    ])
    expect(createSampler({ ...base, examples: 20, accumulation: 2 }).totalSteps).toBe(2)
  })

  it('data that cannot fill one step is refused', () => {
    expect(() => createSampler({ ...base, examples: 3, accumulation: 2 })).toThrow(
      expect.objectContaining({ code: 'DATA_EMPTY' }),
    )
  })

  it('K devices of one micro-batch see together what one device of K-fold size sees', () => {
    fc.assert(
      fc.property(
        fc.record({
          examples: fc.integer({ min: 1, max: 50 }),
          devices: fc.integer({ min: 1, max: 5 }),
          size: fc.integer({ min: 1, max: 4 }),
        }),
        ({ examples, devices, size }) => {
          const padded = examples * devices * size
          const many = allRows({ examples: padded, devices, microBatchSize: size })
            .flat()
            .map((rows) => rows.flat().sort((a, b) => a - b))
          const one = allRows({ examples: padded, devices: 1, microBatchSize: size * devices })
            .flat()
            .map((rows) => rows.flat())
          expect(many).toEqual(one)
        },
      ),
      { seed: 3, numRuns: 40 },
    )
  })
})

describe('sequential sampling', () => {
  it('takes the next examples in order and wraps around at the end', () => {
    const rows = allRows({ sampling: 'sequential', examples: 5, devices: 1, accumulation: 2, maxSteps: 3 })
    expect(rows).toEqual([
      [[[0, 1]], [[2, 3]]],
      [[[4, 0]], [[1, 2]]],
      [[[3, 4]], [[0, 1]]],
    ])
  })
})

describe('batches', () => {
  const example = (ids: number[], masked: number): TokenExample => ({
    inputIds: Int32Array.from(ids),
    labels: Int32Array.from(ids, (id, i) => (i < masked ? -100 : id)),
  })
  const examples = [
    example([1, 5, 6, 7], 2),
    example([1, 8, 9], 1),
    example([1, 4, 4, 4, 2], 4),
    example([1, 3], 1),
  ]
  const plan = createSampler({ ...base, examples: 4, microBatchSize: 1, accumulation: 2 }).plan(0)

  it('rows are padded on the right, targets are the labels one position earlier', () => {
    const [batch] = stepBatches(plan, examples, 0, 'microbatch-mean')
    expect(batch).toMatchObject({ batch: 2, sequence: 3, devices: 2, lossTokens: [2, 2] })
    expect([...batch!.inputIds]).toEqual([1, 5, 6, 1, 8, 0])
    expect([...batch!.targets]).toEqual([-100, 6, 7, 8, 9, -100])
    expect([...batch!.weights]).toEqual([0, 0.25, 0.25, 0.25, 0.25, 0])
  })

  it('microbatch-mean: the weights of each device and micro-batch add up to 1 / accumulation (invariant 25)', () => {
    for (const batch of stepBatches(plan, examples, 0, 'microbatch-mean'))
      for (const device of [0, 1]) {
        const size = batch.weights.length / 2
        const sum = batch.weights
          .subarray(device * size, (device + 1) * size)
          .reduce((total, w) => total + w, 0)
        expect(sum).toBeCloseTo(0.5, 6)
      }
  })

  it('token-mean: every token of a device’s step weighs the same, and all of them 1', () => {
    const batches = stepBatches(plan, examples, 0, 'token-mean')
    const device = (k: number) =>
      batches.flatMap(({ weights }) => [
        ...weights.subarray((k * weights.length) / 2, ((k + 1) * weights.length) / 2),
      ])
    for (const [k, tokens] of [
      [0, 3],
      [1, 3],
    ] as const) {
      const weights = device(k).filter((weight) => weight > 0)
      expect(weights).toHaveLength(tokens)
      for (const weight of weights) expect(weight).toBeCloseTo(1 / tokens, 6)
    }
  })

  it('an evaluation batch weighs all tokens alike', () => {
    const batch = evaluationBatch(examples, 0)
    const tokens = examples.reduce((total, one) => total + lossTokens(one), 0)
    expect(batch.lossTokens).toEqual([tokens])
    expect([...batch.weights].filter((w) => w > 0)).toHaveLength(tokens)
  })
})
