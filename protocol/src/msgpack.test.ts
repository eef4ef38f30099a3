import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeMessage, encodeMessage } from './msgpack.ts'

const roundTrip = (value: unknown) => decodeMessage(encodeMessage(value))

describe('MessagePack', () => {
  it('carries every double: NaN, infinities, -0, and integral ones beyond 64 bits', () => {
    for (const value of [NaN, Infinity, -Infinity, -0, 3.4e38, -1e20, 2 ** 53, 2 ** 64, -(2 ** 31), 5e-324])
      expect(Object.is(roundTrip(value), value), String(value)).toBe(true)
    fc.assert(
      fc.property(fc.double(), (value) => {
        expect(roundTrip(value)).toBe(value)
      }),
    )
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        expect(roundTrip(value)).toBe(value)
      }),
    )
  })

  it('carries any tree of plain values, whatever its sizes', () => {
    const leaf = fc.oneof(
      fc.double(),
      fc.maxSafeInteger(),
      fc.boolean(),
      fc.constant(null),
      fc.string({ unit: 'grapheme', maxLength: 400 }),
      fc.uint8Array({ maxLength: 400 }),
    )
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        leaf,
        fc.array(tie('tree'), { maxLength: 20 }),
        fc.dictionary(fc.string(), tie('tree'), { maxKeys: 20, noNullPrototype: true }),
      ),
    }))
    fc.assert(
      fc.property(tree, (value) => {
        expect(roundTrip(value)).toEqual(value)
      }),
      { numRuns: 200 },
    )
  })

  it('carries long strings, byte strings and arrays', () => {
    const value = [
      'é'.repeat(70_000),
      new Uint8Array(70_000).fill(7),
      Array.from({ length: 70_000 }, () => 1),
    ]
    expect(roundTrip(value)).toEqual(value)
  })

  it('leaves out keys whose value is undefined', () => {
    expect(roundTrip({ a: undefined, b: 1 })).toEqual({ b: 1 })
  })

  it('refuses truncated, overlong and deeply nested bytes instead of guessing', () => {
    const bytes = encodeMessage({ records: [1.5, 'text', new Uint8Array(40)] })
    for (let size = 0; size < bytes.length; size++)
      expect(() => decodeMessage(bytes.subarray(0, size))).toThrow(RangeError)
    expect(() => decodeMessage(new Uint8Array([...bytes, 0]))).toThrow(RangeError)
    expect(() => decodeMessage(new Uint8Array(1000).fill(0x91))).toThrow(RangeError)
    expect(() => decodeMessage(new Uint8Array([0xdd, 0xff, 0xff, 0xff, 0xff]))).toThrow(RangeError)
  })
})
