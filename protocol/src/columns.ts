/**
 * Columns of numbers as bytes, for answers that carry many: float64 or float32, little-endian; steps as a first one and
 * the distances between neighbours, as narrow as the widest of them needs. Answers made of them are MessagePack
 * (`encodeMessage`, `decodeMessage`), content type `application/x-msgpack`.
 */
import { z } from 'zod'
import { field } from './field.ts'

export const columnAnswerType = 'application/x-msgpack'

export const precisionSchema = field(z.enum(['float64', 'float32']).default('float64'), {
  title: 'Precision',
  description: 'float32 halves the answer and rounds to about seven digits; steps and counts stay exact.',
})
export type Precision = z.output<typeof precisionSchema>

export const columnBytes = z
  .custom<Uint8Array>((value) => value instanceof Uint8Array, 'must be bytes')
  .meta({ title: 'column' })

export function encodeColumn(values: ArrayLike<number>, precision: Precision): Uint8Array {
  const width = precision === 'float64' ? 8 : 4
  const bytes = new Uint8Array(values.length * width)
  const view = new DataView(bytes.buffer)
  for (let index = 0; index < values.length; index++)
    if (width === 8) view.setFloat64(index * 8, values[index]!, true)
    else view.setFloat32(index * 4, values[index]!, true)
  return bytes
}

/** Reads a copy: message parsers hand out buffers at odd offsets. */
export function decodeColumn(bytes: Uint8Array, precision: Precision): Float64Array {
  const width = precision === 'float64' ? 8 : 4
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const values = new Float64Array(Math.floor(bytes.byteLength / width))
  for (let index = 0; index < values.length; index++)
    values[index] = width === 8 ? view.getFloat64(index * 8, true) : view.getFloat32(index * 4, true)
  return values
}

export function encodeCounts(counts: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(counts.length * 4)
  const view = new DataView(bytes.buffer)
  for (let index = 0; index < counts.length; index++) view.setUint32(index * 4, counts[index]!, true)
  return bytes
}

export function decodeCounts(bytes: Uint8Array): Uint32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Uint32Array.from({ length: bytes.byteLength / 4 }, (_, index) => view.getUint32(index * 4, true))
}

/** Ascending steps. `width`: bytes of a distance, unsigned; 8 means float64. Empty: no step has `first` null. */
export const stepColumnSchema = z.strictObject({
  first: z.int().nullable(),
  width: z.union([z.literal(1), z.literal(2), z.literal(4), z.literal(8)]),
  deltas: columnBytes,
})
export type StepColumn = z.infer<typeof stepColumnSchema>

export function encodeSteps(steps: ArrayLike<number>): StepColumn {
  if (steps.length === 0) return { first: null, width: 1, deltas: new Uint8Array(0) }
  let widest = 0
  for (let index = 1; index < steps.length; index++)
    widest = Math.max(widest, steps[index]! - steps[index - 1]!)
  const width = widest < 2 ** 8 ? 1 : widest < 2 ** 16 ? 2 : widest < 2 ** 32 ? 4 : 8
  const deltas = new Uint8Array((steps.length - 1) * width)
  const view = new DataView(deltas.buffer)
  for (let index = 1; index < steps.length; index++) {
    const delta = steps[index]! - steps[index - 1]!
    const offset = (index - 1) * width
    if (width === 1) view.setUint8(offset, delta)
    else if (width === 2) view.setUint16(offset, delta, true)
    else if (width === 4) view.setUint32(offset, delta, true)
    else view.setFloat64(offset, delta, true)
  }
  return { first: steps[0]!, width, deltas }
}

export function decodeSteps({ first, width, deltas }: StepColumn): Float64Array {
  if (first === null) return new Float64Array(0)
  const view = new DataView(deltas.buffer, deltas.byteOffset, deltas.byteLength)
  const steps = new Float64Array(deltas.byteLength / width + 1)
  steps[0] = first
  for (let index = 1; index < steps.length; index++) {
    const offset = (index - 1) * width
    const delta =
      width === 1
        ? view.getUint8(offset)
        : width === 2
          ? view.getUint16(offset, true)
          : width === 4
            ? view.getUint32(offset, true)
            : view.getFloat64(offset, true)
    steps[index] = steps[index - 1]! + delta
  }
  return steps
}
