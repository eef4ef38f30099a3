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

  it('carries integers of 64 bits exactly, as bigint where no double holds them', () => {
    for (const value of [2n ** 63n + 1n, 2n ** 64n - 1n, 1n - 2n ** 63n, 2n ** 53n + 1n])
      expect(roundTrip(value)).toBe(value)
    expect([5n, 2n ** 63n, -(2n ** 63n)].map(roundTrip)).toEqual([5, 2 ** 63, -(2 ** 63)])
    expect(() => encodeMessage(2n ** 64n)).toThrow(RangeError)
  })

  it('keeps a byte order mark at the beginning of a string, whatever its length', () => {
    for (const rest of ['', 'a', 'é', 'a'.repeat(30), 'é'.repeat(300), 'a'.repeat(70_000)])
      expect(roundTrip({ [`\ufeff${rest}`]: `\ufeff${rest}` })).toEqual({
        [`\ufeff${rest}`]: `\ufeff${rest}`,
      })
  })

  it('gives a lone surrogate, which is no text, the mark for what cannot be written', () => {
    for (const length of [0, 10, 100, 5000])
      expect(roundTrip(`${'a'.repeat(length)}\ud800b`)).toBe(`${'a'.repeat(length)}\ufffdb`)
  })

  it('writes of a view its own bytes, and reads copies', () => {
    const floats = new Float64Array([1, NaN, -0, 3])
    const bytesOf = (view: ArrayBufferView) =>
      new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice()
    const views = [
      floats.subarray(1, 3),
      new DataView(floats.buffer, 8, 5),
      new Uint8Array(floats.buffer, 3, 2),
      Buffer.from('some text').subarray(2, 4),
      new Uint8Array(0),
    ]
    for (const view of views) expect(roundTrip(view)).toStrictEqual(bytesOf(view))
    expect(roundTrip(floats.buffer)).toStrictEqual(bytesOf(floats))
    const message = encodeMessage(new Uint8Array(40).fill(1))
    const read = decodeMessage(message) as Uint8Array
    message.fill(0)
    expect(read[0]).toBe(1)
  })

  it('refuses to write what is no plain value', () => {
    for (const value of [() => 1, Symbol('a'), new Date(), new Map(), new Error('e'), /a/])
      expect(() => encodeMessage({ value })).toThrow(TypeError)
    const circle: unknown[] = []
    circle.push(circle)
    expect(() => encodeMessage(circle)).toThrow(RangeError)
  })

  it('keeps a key named __proto__ a key', () => {
    const object: unknown = JSON.parse('{"__proto__": {"a": 1}, "constructor": 2}')
    expect(JSON.stringify(roundTrip(object))).toBe(JSON.stringify(object))
    expect(Object.getPrototypeOf(roundTrip(object))).toBe(Object.prototype)
  })

  it('refuses extensions and keys that are no strings', () => {
    for (const bytes of [
      // A date, and what one library takes for a record’s definition, an error, undefined; the type that is never used.
      [0xd6, 0xff, 0, 0, 0, 1],
      [0xd4, 0x72, 0x40],
      [0xc7, 1, 0x65, 0],
      [0xd4, 0, 0],
      [0xc1],
      [0x81, 1, 1],
      [0x81, 0x90, 1],
    ])
      expect(() => decodeMessage(Uint8Array.from(bytes)), bytes.join()).toThrow(TypeError)
  })

  it('builds nothing from a message of more values than allowed: 64 MiB of empty maps', () => {
    const bytes = new Uint8Array(64 * 2 ** 20).fill(0x80)
    bytes.set([0xdd, 0x03, 0xff, 0xff, 0xfb])
    const before = process.memoryUsage().heapUsed
    const started = performance.now()
    expect(() => decodeMessage(bytes)).toThrow('more than 1000000 values')
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(256 * 2 ** 20)
    expect(performance.now() - started).toBeLessThan(5000)
    expect(() => decodeMessage(encodeMessage([1, 2, 3]), { elements: 3, depth: 64 })).toThrow(RangeError)
    expect(decodeMessage(encodeMessage([1, 2, 3]), { elements: 4, depth: 1 })).toEqual([1, 2, 3])
    expect(() => decodeMessage(encodeMessage([[1]]), { elements: 9, depth: 1 })).toThrow(RangeError)
  })

  it('makes no room for what a message only announces', () => {
    for (const head of [
      [0xdd, 0xff, 0xff, 0xff, 0xff],
      [0xdf, 0xff, 0xff, 0xff, 0xff],
      [0xdb, 0xff, 0xff, 0xff, 0xff],
      [0xc6, 0xff, 0xff, 0xff, 0xff],
    ])
      for (const depth of [1, 20])
        expect(() =>
          decodeMessage(Uint8Array.from(Array.from({ length: depth }, () => head).flat())),
        ).toThrow(RangeError)
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
