/**
 * MessagePack (github.com/msgpack/msgpack/blob/master/spec.md) for plain values: null, booleans, numbers, bigints,
 * strings, bytes, arrays, objects. Every double survives, bit for bit but for NaN’s payload: a number is written as an
 * integer only where 32 bits hold it, and -0 stays -0. Integers that no double holds come back as bigint, a string
 * keeps its byte order mark, a view of memory carries its own bytes and no others. What a message may ask of its reader
 * is bounded, before room is made for it: 64 MiB can stand for 64 million empty maps, which take gigabytes.
 *
 * Our own, since no library that we measured keeps all of this, whatever its options: docs/architecture.md has the table.
 */

/** What a message may hold. */
export type MessageBounds = {
  /** Values, keys included, at all levels together. */
  readonly elements: number
  /** Levels of arrays and maps. */
  readonly depth: number
}

/** Of a batch of 2,000 records with 200 scalars each, and room. */
export const generousBounds: MessageBounds = { elements: 1_000_000, depth: 64 }

const textEncoder = new TextEncoder()
const textDecoder = new TextDecoder('utf-8', { ignoreBOM: true })

/**
 * Keys with the value undefined are left out, as in JSON. Throws TypeError on what is no plain value, RangeError where
 * it is nested too deep or a bigint has more than 64 bits.
 */
export function encodeMessage(value: unknown): Uint8Array {
  const writer = new Writer()
  writer.value(value, 0)
  return writer.bytes.subarray(0, writer.length)
}

/**
 * Throws RangeError where bytes are missing, left over or out of bounds, TypeError on extension types and on keys that
 * are no strings. Byte strings are copies.
 */
export function decodeMessage(bytes: Uint8Array, bounds: MessageBounds = generousBounds): unknown {
  const reader = new Reader(bytes, bounds)
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
    if (typeof value === 'number') this.number(value)
    else if (typeof value === 'string') this.text(value)
    else if (value === null || value === undefined) this.prefixed(0xc0, 0, 0)
    else if (typeof value === 'boolean') this.prefixed(value ? 0xc3 : 0xc2, 0, 0)
    else if (typeof value === 'bigint') this.bigint(value)
    else if (typeof value !== 'object') throw new TypeError(`a ${typeof value} cannot be sent`)
    else if (ArrayBuffer.isView(value))
      this.binary(new Uint8Array(value.buffer, value.byteOffset, value.byteLength))
    else if (value instanceof ArrayBuffer) this.binary(new Uint8Array(value))
    else if (depth === generousBounds.depth)
      throw new RangeError(`nested more than ${generousBounds.depth} deep`)
    else if (Array.isArray(value)) {
      this.header(value.length, 0x90, 0xdc)
      for (let index = 0; index < value.length; index++) this.value(value[index], depth + 1)
    } else this.object(value as Record<string, unknown>, depth)
  }

  object(object: Record<string, unknown>, depth: number): void {
    const prototype: unknown = Object.getPrototypeOf(object)
    // A date, a map, an error: their keys would not say what they hold.
    if (prototype !== Object.prototype && prototype !== null)
      throw new TypeError(`a ${object.constructor?.name ?? 'class'} cannot be sent`)
    const keys = Object.keys(object)
    let count = 0
    for (const key of keys) if (object[key] !== undefined) count++
    this.header(count, 0x80, 0xde)
    for (const key of keys) {
      const value = object[key]
      if (value === undefined) continue
      this.text(key)
      this.value(value, depth + 1)
    }
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

  bigint(value: bigint): void {
    if (BigInt.asIntN(64, value) !== value && BigInt.asUintN(64, value) !== value)
      throw new RangeError('a bigint of more than 64 bits cannot be sent')
    const start = this.reserve(9)
    this.bytes[start] = value < 0n ? 0xd3 : 0xcf
    this.view.setBigUint64(start + 1, BigInt.asUintN(64, value))
  }

  text(value: string): void {
    if (value.length <= shortText && this.ascii(value)) return
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

  /** Most strings are short keys: a loop beats the encoder there. False, and nothing written, where it is not ASCII. */
  ascii(value: string): boolean {
    const { length } = value
    const start = this.reserve(length + 2)
    let offset = start
    if (length < 0x20) this.bytes[offset++] = 0xa0 | length
    else {
      this.bytes[offset++] = 0xd9
      this.bytes[offset++] = length
    }
    for (let index = 0; index < length; index++) {
      const unit = value.charCodeAt(index)
      if (unit >= 0x80) {
        this.length = start
        return false
      }
      this.bytes[offset++] = unit
    }
    this.length = offset
    return true
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
  elements = 0
  readonly bytes: Uint8Array
  readonly view: DataView
  readonly bounds: MessageBounds

  constructor(bytes: Uint8Array, bounds: MessageBounds) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.bounds = bounds
  }

  /** Step over `count` bytes and return where they began. */
  skip(count: number): number {
    const start = this.offset
    if (count > this.bytes.byteLength - start) throw new RangeError('the message ends too early')
    this.offset += count
    return start
  }

  /** Counts a value and returns its first byte. */
  prefix(): number {
    if (++this.elements > this.bounds.elements)
      throw new RangeError(`a message of more than ${this.bounds.elements} values`)
    return this.bytes[this.skip(1)]!
  }

  unsigned(width: 1 | 2 | 4): number {
    const start = this.skip(width)
    if (width === 1) return this.bytes[start]!
    return width === 2 ? this.view.getUint16(start) : this.view.getUint32(start)
  }

  value(depth: number): unknown {
    const prefix = this.prefix()
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
        return integer(this.view.getBigUint64(this.skip(8)))
      case 0xd0:
        return this.view.getInt8(this.skip(1))
      case 0xd1:
        return this.view.getInt16(this.skip(2))
      case 0xd2:
        return this.view.getInt32(this.skip(4))
      case 0xd3:
        return integer(this.view.getBigInt64(this.skip(8)))
      case 0xdc:
        return this.array(this.unsigned(2), depth)
      case 0xdd:
        return this.array(this.unsigned(4), depth)
      case 0xde:
        return this.map(this.unsigned(2), depth)
      case 0xdf:
        return this.map(this.unsigned(4), depth)
      default:
        return this.text(this.textSize(prefix))
    }
  }

  /** Of a string whose size stands behind its prefix. */
  textSize(prefix: number): number {
    if (prefix === 0xd9) return this.unsigned(1)
    if (prefix === 0xda) return this.unsigned(2)
    if (prefix === 0xdb) return this.unsigned(4)
    throw new TypeError(`unsupported MessagePack type 0x${prefix.toString(16)}`)
  }

  text(size: number): string {
    const start = this.skip(size)
    return size <= shortText
      ? shortTexts.read(this.bytes, start, size)
      : textDecoder.decode(this.bytes.subarray(start, start + size))
  }

  binary(size: number): Uint8Array {
    const start = this.skip(size)
    return new Uint8Array(this.bytes.slice(start, start + size))
  }

  /** Each item takes at least a byte: what cannot be there is refused before room is made for it. */
  enter(items: number, depth: number): void {
    if (depth === this.bounds.depth) throw new RangeError(`nested more than ${this.bounds.depth} deep`)
    if (items > this.bytes.byteLength - this.offset) throw new RangeError('the message ends too early')
  }

  array(count: number, depth: number): unknown[] {
    this.enter(count, depth)
    const items: unknown[] = []
    for (let index = 0; index < count; index++) items.push(this.value(depth + 1))
    return items
  }

  map(count: number, depth: number): Record<string, unknown> {
    this.enter(2 * count, depth)
    const object: Record<string, unknown> = {}
    for (let index = 0; index < count; index++) {
      const prefix = this.prefix()
      const isShort = prefix >= 0xa0 && prefix < 0xc0
      if (!isShort && (prefix < 0xd9 || prefix > 0xdb)) throw new TypeError('a key must be a string')
      const key = this.text(isShort ? prefix & 0x1f : this.textSize(prefix))
      const value = this.value(depth + 1)
      if (key === '__proto__')
        // Assigned, it would be the object’s prototype.
        Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true })
      else object[key] = value
    }
    return object
  }
}

function integer(value: bigint): number | bigint {
  const number = Number(value)
  return Number.isSafeInteger(number) || BigInt(number) === value ? number : value
}

/** Strings up to this size are mostly keys and come again and again. */
const shortText = 32

/** The last short strings read: a comparison of bytes is faster than making the string anew. */
class TextCache {
  readonly #texts: (string | undefined)[] = new Array(1024)

  read(bytes: Uint8Array, start: number, size: number): string {
    if (size === 0) return ''
    const first = bytes[start]!
    const middle = bytes[start + (size >> 1)]!
    const last = bytes[start + size - 1]!
    const slot = (size * 31 + first * 7 + middle * 131 + last * 17) & 1023
    const known = this.#texts[slot]
    if (known !== undefined && known.length === size && isAscii(known, bytes, start)) return known
    const text = textDecoder.decode(bytes.subarray(start, start + size))
    if (text.length === size) this.#texts[slot] = text
    return text
  }
}
const shortTexts = new TextCache()

/** Whether the bytes from `start` on are this text, one byte per unit. */
function isAscii(text: string, bytes: Uint8Array, start: number): boolean {
  for (let index = 0; index < text.length; index++) {
    const byte = bytes[start + index]!
    if (byte >= 0x80 || text.charCodeAt(index) !== byte) return false
  }
  return true
}
