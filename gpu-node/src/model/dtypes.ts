/**
 * Element types of safetensors files, and their conversion to and from the numbers that we compute with.
 *
 * float16 and bfloat16 are rounded to nearest, ties to even, when written. Reading is exact for every
 * floating-point type except F64 into float32. Bytes are little-endian, as are all machines that Node runs on.
 */
import { float16ToFloat32Bits, float32BitsToBfloat16, float32BitsToFloat16 } from '../half-floats.ts'

/** Bytes per element of every element type of the format that has whole bytes. */
export const elementBytes = {
  F64: 8,
  I64: 8,
  U64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  F8_E5M2: 1,
  F8_E4M3: 1,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const satisfies Record<string, number>

export type Dtype = keyof typeof elementBytes
/** The types that hold a model's weights. */
export const floatDtypes = ['F64', 'F32', 'F16', 'BF16'] as const
export type FloatDtype = (typeof floatDtypes)[number]

export function isDtype(name: string): name is Dtype {
  return Object.hasOwn(elementBytes, name)
}

export function isFloatDtype(name: string): name is FloatDtype {
  return (floatDtypes as readonly string[]).includes(name)
}

/** The elements of `bytes` as float32. */
export function decodeFloat32(bytes: Uint8Array, dtype: FloatDtype): Float32Array {
  switch (dtype) {
    case 'F32':
      return new Float32Array(alignedCopy(bytes).buffer)
    case 'F64':
      return Float32Array.from(new Float64Array(alignedCopy(bytes).buffer))
    case 'F16':
      return decodeHalves(halvesOf(bytes), float16ToFloat32Bits())
    case 'BF16': {
      const halves = halvesOf(bytes)
      const bits = new Uint32Array(halves.length)
      for (let i = 0; i < halves.length; i++) bits[i] = (halves[i] as number) << 16
      return new Float32Array(bits.buffer)
    }
  }
}

/**
 * A row-major bfloat16 matrix [rows, columns] as float32, transposed: widened on its way, in blocks that fit the cache, which
 * saves a pass over memory and a second matrix.
 */
export function decodeBfloat16Transposed(bytes: Uint8Array, rows: number, columns: number): Float32Array {
  const halves = halvesOf(bytes)
  const bits = new Uint32Array(halves.length)
  const block = 32
  for (let rowStart = 0; rowStart < rows; rowStart += block) {
    const rowEnd = Math.min(rowStart + block, rows)
    for (let columnStart = 0; columnStart < columns; columnStart += block) {
      const columnEnd = Math.min(columnStart + block, columns)
      // Along the result's rows: a block of it is written to the end before the next.
      for (let column = columnStart; column < columnEnd; column++)
        for (let row = rowStart; row < rowEnd; row++)
          bits[column * rows + row] = (halves[row * columns + column] as number) << 16
    }
  }
  return new Float32Array(bits.buffer)
}

/** The elements of `bytes` as float64; exact for every type. */
export function decodeFloat64(bytes: Uint8Array, dtype: FloatDtype): Float64Array {
  if (dtype === 'F64') return new Float64Array(alignedCopy(bytes).buffer)
  return Float64Array.from(decodeFloat32(bytes, dtype))
}

/** `values` as the bytes of `dtype`, rounded to nearest even where the type is narrower. */
export function encodeFloats(values: Float32Array | Float64Array, dtype: FloatDtype): Uint8Array {
  switch (dtype) {
    case 'F64':
      return bytesOf(values instanceof Float64Array ? values : Float64Array.from(values))
    case 'F32':
      return bytesOf(asFloat32(values))
    case 'F16':
      return bytesOf(roundHalves(asFloat32(values), float32BitsToFloat16))
    case 'BF16':
      return bytesOf(roundHalves(asFloat32(values), float32BitsToBfloat16))
  }
}

function asFloat32(values: Float32Array | Float64Array): Float32Array {
  return values instanceof Float32Array ? values : Float32Array.from(values)
}

/** The memory of a typed array seen as bytes, without a copy. */
export function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
}

/** Seen in place where they lie at an even address. */
function halvesOf(bytes: Uint8Array): Uint16Array {
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % 2 === 0 ? bytes : alignedCopy(bytes)
  return new Uint16Array(buffer, byteOffset, byteLength / 2)
}

/** A private copy whose buffer starts at offset 0, so that it can be viewed as wider elements. */
function alignedCopy(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes)
}

function decodeHalves(halves: Uint16Array, table: Uint32Array): Float32Array {
  const bits = new Uint32Array(halves.length)
  for (let i = 0; i < halves.length; i++) bits[i] = table[halves[i] as number] as number
  return new Float32Array(bits.buffer)
}

function roundHalves(values: Float32Array, round: (bits: number) => number): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const halves = new Uint16Array(values.length)
  for (let i = 0; i < halves.length; i++) halves[i] = round(bits[i] as number)
  return halves
}
