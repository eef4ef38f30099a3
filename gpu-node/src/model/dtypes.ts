/**
 * Element types of safetensors files, and their conversion to and from the numbers that we compute with.
 *
 * float16 and bfloat16 are rounded to nearest, ties to even, when written. Reading is exact for every
 * floating-point type except F64 into float32. Bytes are little-endian, as are all machines that Node runs on.
 */

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
      return decodeHalves(new Uint16Array(alignedCopy(bytes).buffer), float16ToFloat32Bits())
    case 'BF16': {
      const halves = new Uint16Array(alignedCopy(bytes).buffer)
      const bits = new Uint32Array(halves.length)
      for (let i = 0; i < halves.length; i++) bits[i] = (halves[i] as number) << 16
      return new Float32Array(bits.buffer)
    }
  }
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

let float16Table: Uint32Array | undefined

/** float32 bits of each of the 65,536 float16 values, made on first use (256 KiB). */
function float16ToFloat32Bits(): Uint32Array {
  if (float16Table) return float16Table
  const values = new Float32Array(0x10000)
  for (let half = 0; half < 0x10000; half++) {
    const sign = half & 0x8000 ? -1 : 1
    const exponent = (half >> 10) & 0x1f
    const fraction = half & 0x3ff
    if (exponent === 0x1f) values[half] = fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
    else if (exponent === 0) values[half] = sign * fraction * 2 ** -24
    else values[half] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
  }
  float16Table = new Uint32Array(values.buffer)
  return float16Table
}

/** Nearest float16 of a float32 given by its bits; ties to even, overflow to infinity. */
function float32BitsToFloat16(bits: number): number {
  const sign = (bits >>> 16) & 0x8000
  const magnitude = bits & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00
  if (magnitude >= 0x477ff000) return sign | 0x7c00
  if (magnitude >= 0x38800000) return sign | roundShift(magnitude - 0x38000000, 13)
  if (magnitude < 0x33000000) return sign
  const exponent = magnitude >>> 23
  return sign | roundShift((magnitude & 0x7fffff) | 0x800000, 126 - exponent)
}

/** Nearest bfloat16 of a float32 given by its bits; ties to even, NaN stays NaN. */
export function float32BitsToBfloat16(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40
  return roundShift(bits >>> 0, 16)
}

/** `value / 2^shift` rounded to the nearest integer, ties to even; `value` is an unsigned 32-bit integer. */
function roundShift(value: number, shift: number): number {
  const quotient = shift < 32 ? value >>> shift : 0
  const rest = value - quotient * 2 ** shift
  const half = 2 ** (shift - 1)
  return rest > half || (rest === half && quotient & 1) ? quotient + 1 : quotient
}
