import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  decodeColumn,
  decodeCounts,
  decodeSteps,
  encodeColumn,
  encodeCounts,
  encodeSteps,
} from './columns.ts'
import { decodeMessage, encodeMessage } from './msgpack.ts'

/** As it arrives: at an odd offset of a larger buffer. */
function travelled(bytes: Uint8Array): Uint8Array {
  const message = decodeMessage(encodeMessage({ pad: 'x', bytes })) as { bytes: Uint8Array }
  return message.bytes
}

describe('columns', () => {
  it('carry every double: NaN, infinities, −0, the least and the greatest', () => {
    const values = [Number.NaN, Infinity, -Infinity, -0, 5e-324, Number.MAX_VALUE, 1 / 3]
    const column = travelled(encodeColumn(values, 'float64'))
    expect([...decodeColumn(column, 'float64')]).toEqual(values)
    expect([...decodeColumn(encodeColumn(values, 'float32'), 'float32')]).toEqual([
      ...Float32Array.from(values),
    ])
  })

  it('of steps are exact and as narrow as the widest distance', () => {
    const distance = fc.oneof(fc.nat(300), fc.nat(70_000), fc.nat(2 ** 33))
    fc.assert(
      fc.property(fc.nat(2 ** 50), fc.array(distance, { maxLength: 40 }), (first, distances) => {
        const steps = [first]
        for (const one of distances) steps.push(steps.at(-1)! + one)
        const column = encodeSteps(steps)
        expect([...decodeSteps(column)]).toEqual(steps)
      }),
      { numRuns: 300, seed: 1 },
    )
    expect(encodeSteps([10, 20, 30])).toMatchObject({ first: 10, width: 1 })
    expect(encodeSteps([0, 2 ** 53 - 1])).toMatchObject({ width: 8 })
    expect([...decodeSteps(encodeSteps([]))]).toEqual([])
  })

  it('of counts are exact', () => {
    expect([...decodeCounts(encodeCounts([0, 7, 2 ** 32 - 1]))]).toEqual([0, 7, 2 ** 32 - 1])
  })
})
