import { describe, expect, test } from 'vitest'
import { Random } from './random.ts'

describe('Random', () => {
  test('a state follows the published recurrence of xoshiro128**', () => {
    const random = Random.restore({ words: [1, 2, 3, 4], spareNormal: null })
    const drawn = Array.from({ length: 4 }, () => random.uint32())
    // From the reference implementation in C with s = {1, 2, 3, 4}.
    expect(drawn).toEqual([11520, 0, 5927040, 70819200])
  })

  test('equal seeds give equal streams, neighbouring and large seeds give others', () => {
    const first = (seed: number) => new Random(seed).uint32()
    expect(first(7)).toBe(first(7))
    const seeds = [0, 1, 2, 3, 2 ** 32, 2 ** 32 + 1, 2 ** 40, -1, -2]
    expect(new Set(seeds.map(first)).size).toBe(seeds.length)
  })

  test('a saved state, written as JSON, continues bit for bit, even between the halves of a normal pair', () => {
    const random = new Random(11)
    random.normal()
    const copy = Random.restore(JSON.parse(JSON.stringify(random.save())))
    const draw = (r: Random) => [r.normal(), r.uniform(), r.integer(0, 1000), r.normal(), r.normal()]
    expect(draw(copy)).toEqual(draw(random))
  })

  test('uniform has mean 1/2 and variance 1/12, normal has mean 0 and variance 1', () => {
    const random = new Random(3)
    const moments = (values: Float64Array) => {
      const mean = values.reduce((a, b) => a + b, 0) / values.length
      return [mean, values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length]
    }
    const [uniformMean, uniformVariance] = moments(random.fillUniform(new Float64Array(200_000)))
    expect(uniformMean).toBeCloseTo(0.5, 2)
    expect(uniformVariance).toBeCloseTo(1 / 12, 3)
    const [normalMean, normalVariance] = moments(random.fillNormal(new Float64Array(200_000)))
    expect(Math.abs(normalMean!)).toBeLessThan(0.01)
    expect(normalVariance).toBeCloseTo(1, 1)
  })

  test('integers cover their range evenly', () => {
    const random = new Random(5)
    const counts = new Array<number>(7).fill(0)
    for (let i = 0; i < 70_000; i++) counts[random.integer(-3, 4) + 3]!++
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500)
  })

  test('shuffle permutes, and depends on the seed alone', () => {
    const shuffled = (seed: number) => new Random(seed).shuffle([...Array(50).keys()])
    expect(shuffled(1)).toEqual(shuffled(1))
    expect(shuffled(1)).not.toEqual(shuffled(2))
    expect(shuffled(1).toSorted((a, b) => a - b)).toEqual([...Array(50).keys()])
  })

  test('a fork depends on state and label and leaves its parent where it was', () => {
    const parent = new Random(9)
    const before = parent.save()
    expect(parent.fork('a').uint32()).toBe(parent.fork('a').uint32())
    expect(parent.fork('a').uint32()).not.toBe(parent.fork('b').uint32())
    expect(parent.save()).toEqual(before)
  })
})
