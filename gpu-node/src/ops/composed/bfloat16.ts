/** Rounding to bfloat16 composed of TensorFlow.js ops: arithmetic alone, since bits are out of reach there. */
import type { Tensor } from '@tensorflow/tfjs-core'
import { abs, add, greaterEqual, less, mul, sub, where } from '@tensorflow/tfjs-core'
import type { FusedKernels } from '../kernels.ts'

const smallestNormal = 2 ** -126
/** From here on the splitting below would overflow. */
const large = 2 ** 100
const largeScale = 2 ** -32
/** A float32 near this number is a multiple of 2⁻¹³³, the distance of subnormal bfloat16 numbers. */
const subnormalGrid = 1.5 * 2 ** -110

export const composedBfloat16 = {
  roundBfloat16: ({ x }) => {
    const size = abs(x)
    const scaled = where(greaterEqual(size, large), mul(x, largeScale), x)
    const split = splitHead(scaled)
    const normal = where(greaterEqual(size, large), mul(split, 1 / largeScale), split)
    const subnormal = sub(add(x, subnormalGrid), subnormalGrid)
    const rounded = where(less(size, smallestNormal), subnormal, normal)
    // Infinities, which the splitting turns into NaN, and NaN itself.
    return where(less(size, Number.POSITIVE_INFINITY), rounded, x)
  },
} satisfies Partial<FusedKernels<Tensor>>

/**
 * The 8 leading significant bits, ties to even (Veltkamp's splitting; Dekker 1971): c = (2¹⁶ + 1) x, c − (c − x). Equal to
 * rounding by bits for each of the 2²³ significands.
 */
function splitHead(x: Tensor): Tensor {
  const c = mul(x, 2 ** 16 + 1)
  return sub(c, sub(c, x))
}
