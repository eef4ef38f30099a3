/**
 * Columns repeated and folded, each the other's gradient: what MoRA's compression and decompression are made of.
 *
 *   wrap: x [N, w] → y [N, W],  y_j = x_(j mod w)                (repeats for W > w, cuts for W < w)
 *   fold: y [N, W] → x [N, w],  x_j = Σ_(i ≡ j mod w) y_i
 */
import type { Tensor } from '@tensorflow/tfjs-core'
import { concat, customGrad, pad, reshape, slice, sum } from '@tensorflow/tfjs-core'

export function wrapColumns(x: Tensor, width: number): Tensor {
  const from = x.shape[1]!
  if (from === width) return x
  return customGrad((input) => ({
    value: wrap(input as Tensor, width),
    gradFunc: (dy: Tensor) => fold(dy, from),
  }))(x)
}

export function foldColumns(x: Tensor, width: number): Tensor {
  const from = x.shape[1]!
  if (from === width) return x
  return customGrad((input) => ({
    value: fold(input as Tensor, width),
    gradFunc: (dy: Tensor) => wrap(dy, from),
  }))(x)
}

function wrap(x: Tensor, width: number): Tensor {
  const [rows, from] = x.shape as [number, number]
  const whole = Math.floor(width / from)
  const rest = width - whole * from
  const parts: Tensor[] = Array(whole).fill(x)
  if (rest > 0) parts.push(slice(x, [0, 0], [rows, rest]))
  return concat(parts, 1)
}

function fold(x: Tensor, width: number): Tensor {
  const [rows, from] = x.shape as [number, number]
  const blocks = Math.ceil(from / width)
  const missing = blocks * width - from
  const filled =
    missing > 0
      ? pad(x, [
          [0, 0],
          [0, missing],
        ])
      : x
  return sum(reshape(filled, [rows, blocks, width]), 1)
}
