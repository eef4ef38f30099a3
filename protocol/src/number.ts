/**
 * Numbers on the wire. A NaN loss must reach the chart as NaN: msgpack carries it, JSON does not, so JSON
 * answers spell non-finite numbers as strings. Spectra travel as bytes: float64, little-endian.
 */
import { z } from 'zod'

/** Any JavaScript number, NaN and infinities included (zod's own number refuses them). */
export const anyNumber = z
  .custom<number>((value) => typeof value === 'number', 'must be a number')
  .meta({ title: 'number' })

/** A number in a JSON answer. */
export const jsonNumber = z.union([z.number(), z.enum(['NaN', 'Infinity', '-Infinity'])])
export type JsonNumber = z.infer<typeof jsonNumber>

export function toJsonNumber(value: number): JsonNumber {
  if (Number.isFinite(value)) return value
  return Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity'
}

export function fromJsonNumber(value: JsonNumber): number {
  return typeof value === 'number' ? value : Number(value)
}

/** Float64 little-endian bytes; Buffer is a Uint8Array, so it passes. */
export const float64Bytes = z
  .custom<Uint8Array>(
    (value) => value instanceof Uint8Array && value.byteLength % 8 === 0,
    'must be float64 bytes',
  )
  .meta({ title: 'float64 bytes' })

export function toFloat64Bytes(values: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(values.length * 8)
  const view = new DataView(bytes.buffer)
  for (let index = 0; index < values.length; index++) view.setFloat64(index * 8, values[index]!, true)
  return bytes
}

/** Reads a copy: message parsers hand out buffers at odd offsets. */
export function fromFloat64Bytes(bytes: Uint8Array): Float64Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Float64Array.from({ length: bytes.byteLength / 8 }, (_, index) => view.getFloat64(index * 8, true))
}
