/** float16 and bfloat16 as bits: to and from the bits of a float32. */

let float16Table: Uint32Array | undefined

/** float32 bits of each of the 65,536 float16 values, made on first use (256 KiB). */
export function float16ToFloat32Bits(): Uint32Array {
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
export function float32BitsToFloat16(bits: number): number {
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
