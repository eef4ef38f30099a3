/**
 * MessagePack (github.com/msgpack/msgpack/blob/master/spec.md) for plain values: null, booleans, numbers, strings,
 * bytes, arrays, objects. Every double survives, bit for bit but for NaN’s payload: a number is written as an
 * integer only where 32 bits hold it, and -0 stays -0. (notepack.io 2.2, behind socket.io-msgpack-parser 3.0,
 * writes integral doubles beyond 2⁶⁴ modulo 2⁶⁴, so that a diverged loss of 3.4e38 arrives as 0.)
 */

const maximumDepth = 64
const textEncoder = new TextEncoder()
const textDecoder = new TextDecoder('utf-8')

/** Keys with the value undefined are left out, as in JSON. Throws TypeError on functions, symbols, bigints. */
export function encodeMessage(value: unknown): Uint8Array {
  const writer = new Writer()
  writer.value(value, 0)
  return writer.bytes.subarray(0, writer.length)
}

/** Throws RangeError where bytes are missing or left over, TypeError on extension types. Byte strings are copies. */
export function decodeMessage(bytes: Uint8Array): unknown {
  const reader = new Reader(bytes)
  const value = reader.value(0)
  if (reader.offset !== bytes.byteLength) throw new RangeError('bytes are left over after the message')
  return value
}

class Writer {
  bytes = new Uint8Array(512)
  length = 0
  view = new DataView(this.bytes.buffer)

  /** Make room for `count` more bytes and return where they begin. */
  reserve(count: number): number {
    const start = this.length
    this.length += count
    if (this.length > this.bytes.byteLength) {
      const grown = new Uint8Array(Math.max(this.length, this.bytes.byteLength * 2))
      grown.set(this.bytes)
      this.bytes = grown
      this.view = new DataView(grown.buffer)
    }
    return start
  }

  /** A prefix byte and a big-endian unsigned number of 1, 2 or 4 bytes. */
  prefixed(prefix: number, width: 0 | 1 | 2 | 4, number: number): void {
    const start = this.reserve(1 + width)
    this.bytes[start] = prefix
    if (width === 1) this.view.setUint8(start + 1, number)
    else if (width === 2) this.view.setUint16(start + 1, number)
    else if (width === 4) this.view.setUint32(start + 1, number)
  }

  value(value: unknown, depth: number): void {
    if (depth > maximumDepth) throw new RangeError(`nested more than ${maximumDepth} deep`)
    if (value === null || value === undefined) this.prefixed(0xc0, 0, 0)
    else if (typeof value === 'number') this.number(value)
    else if (typeof value === 'string') this.text(value)
    else if (typeof value === 'boolean') this.prefixed(value ? 0xc3 : 0xc2, 0, 0)
    else if (value instanceof Uint8Array) this.binary(value)
    else if (value instanceof ArrayBuffer) this.binary(new Uint8Array(value))
    else if (Array.isArray(value)) {
      this.header(value.length, 0x90, 0xdc)
      for (const item of value) this.value(item, depth + 1)
    } else if (typeof value === 'object') {
      const entries = Object.entries(value).filter(([, item]) => item !== undefined)
      this.header(entries.length, 0x80, 0xde)
      for (const [key, item] of entries) {
        this.text(key)
        this.value(item, depth + 1)
      }
    } else throw new TypeError(`a ${typeof value} cannot be sent`)
  }

  number(value: number): void {
    if (!Number.isInteger(value) || value > 0xffffffff || value < -0x80000000 || Object.is(value, -0)) {
      const start = this.reserve(9)
      this.bytes[start] = 0xcb
      this.view.setFloat64(start + 1, value)
    } else if (value >= 0) {
      if (value < 0x80) this.prefixed(value, 0, 0)
      else if (value < 0x100) this.prefixed(0xcc, 1, value)
      else if (value < 0x10000) this.prefixed(0xcd, 2, value)
      else this.prefixed(0xce, 4, value)
    } else if (value >= -0x20) this.prefixed(value & 0xff, 0, 0)
    else if (value >= -0x80) this.prefixed(0xd0, 1, value & 0xff)
    else if (value >= -0x8000) this.prefixed(0xd1, 2, value & 0xffff)
    else this.prefixed(0xd2, 4, value >>> 0)
  }

  text(value: string): void {
    // Three bytes hold any UTF-16 unit; write behind the widest prefix, then move back behind the real one.
    const start = this.reserve(5 + value.length * 3)
    const { written } = textEncoder.encodeInto(value, this.bytes.subarray(start + 5))
    const width = written < 0x20 ? 0 : written < 0x100 ? 1 : written < 0x10000 ? 2 : 4
    this.length = start
    if (width === 0) this.prefixed(0xa0 | written, 0, 0)
    else this.prefixed(width === 1 ? 0xd9 : width === 2 ? 0xda : 0xdb, width, written)
    this.bytes.copyWithin(this.length, start + 5, start + 5 + written)
    this.length += written
  }

  binary(value: Uint8Array): void {
    const size = value.byteLength
    if (size < 0x100) this.prefixed(0xc4, 1, size)
    else if (size < 0x10000) this.prefixed(0xc5, 2, size)
    else this.prefixed(0xc6, 4, size)
    const start = this.reserve(size)
    this.bytes.set(value, start)
  }

  /** Head of an array or a map: up to 15 entries in the prefix itself. */
  header(count: number, short: number, long: number): void {
    if (count < 16) this.prefixed(short | count, 0, 0)
    else if (count < 0x10000) this.prefixed(long, 2, count)
    else this.prefixed(long + 1, 4, count)
  }
}

class Reader {
  offset = 0
  readonly bytes: Uint8Array
  readonly view: DataView

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** Step over `count` bytes and return where they began. */
  skip(count: number): number {
    const start = this.offset
    if (count > this.bytes.byteLength - start) throw new RangeError('the message ends too early')
    this.offset += count
    return start
  }

  unsigned(width: 1 | 2 | 4): number {
    const start = this.skip(width)
    if (width === 1) return this.view.getUint8(start)
    return width === 2 ? this.view.getUint16(start) : this.view.getUint32(start)
  }

  value(depth: number): unknown {
    if (depth > maximumDepth) throw new RangeError(`nested more than ${maximumDepth} deep`)
    const prefix = this.unsigned(1)
    if (prefix < 0x80) return prefix
    if (prefix < 0x90) return this.map(prefix & 0x0f, depth)
    if (prefix < 0xa0) return this.array(prefix & 0x0f, depth)
    if (prefix < 0xc0) return this.text(prefix & 0x1f)
    if (prefix >= 0xe0) return prefix - 0x100
    switch (prefix) {
      case 0xc0:
        return null
      case 0xc2:
        return false
      case 0xc3:
        return true
      case 0xc4:
        return this.binary(this.unsigned(1))
      case 0xc5:
        return this.binary(this.unsigned(2))
      case 0xc6:
        return this.binary(this.unsigned(4))
      case 0xca:
        return this.view.getFloat32(this.skip(4))
      case 0xcb:
        return this.view.getFloat64(this.skip(8))
      case 0xcc:
        return this.unsigned(1)
      case 0xcd:
        return this.unsigned(2)
      case 0xce:
        return this.unsigned(4)
      case 0xcf:
        return Number(this.view.getBigUint64(this.skip(8)))
      case 0xd0:
        return this.view.getInt8(this.skip(1))
      case 0xd1:
        return this.view.getInt16(this.skip(2))
      case 0xd2:
        return this.view.getInt32(this.skip(4))
      case 0xd3:
        return Number(this.view.getBigInt64(this.skip(8)))
      case 0xd9:
        return this.text(this.unsigned(1))
      case 0xda:
        return this.text(this.unsigned(2))
      case 0xdb:
        return this.text(this.unsigned(4))
      case 0xdc:
        return this.array(this.unsigned(2), depth)
      case 0xdd:
        return this.array(this.unsigned(4), depth)
      case 0xde:
        return this.map(this.unsigned(2), depth)
      case 0xdf:
        return this.map(this.unsigned(4), depth)
      default:
        throw new TypeError(`unsupported MessagePack type 0x${prefix.toString(16)}`)
    }
  }

  text(size: number): string {
    const start = this.skip(size)
    // Most strings are short keys: a loop beats the decoder there, as long as all is ASCII.
    if (size <= 24) {
      let text = ''
      for (let index = start; index < start + size; index++) {
        const byte = this.bytes[index]!
        if (byte >= 0x80) return textDecoder.decode(this.bytes.subarray(start, start + size))
        text += String.fromCharCode(byte)
      }
      return text
    }
    return textDecoder.decode(this.bytes.subarray(start, start + size))
  }

  binary(size: number): Uint8Array {
    const start = this.skip(size)
    return new Uint8Array(this.bytes.slice(start, start + size))
  }

  array(count: number, depth: number): unknown[] {
    const items: unknown[] = []
    for (let index = 0; index < count; index++) items.push(this.value(depth + 1))
    return items
  }

  map(count: number, depth: number): Record<string, unknown> {
    const entries: [string, unknown][] = []
    for (let index = 0; index < count; index++) {
      const key = this.value(depth + 1)
      if (typeof key !== 'string') throw new TypeError('a key must be a string')
      entries.push([key, this.value(depth + 1)])
    }
    // fromEntries defines own properties, so a key named __proto__ stays a key.
    return Object.fromEntries(entries)
  }
}
