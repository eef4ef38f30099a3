/**
 * Columns repeated and folded, each the other's gradient: what MoRA's compression and decompression are made of.
 *
 *   wrap: x [N, w] → y [N, W],  y_j = x_(j mod w)                (repeats for W > w, cuts for W < w)
 *   fold: y [N, W] → x [N, w],  x_j = Σ_(i ≡ j mod w) y_i
 *
 * Backends that keep data in this process's memory copy whole rows here; TensorFlow.js's own concat and slice would go
 * element by element.
 */
import type { Tensor } from '@tensorflow/tfjs-core'
import { concat, customGrad, getBackend, pad, reshape, slice, sum, tensor2d } from '@tensorflow/tfjs-core'

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

const hostBackends = new Set(['native', 'wasm', 'cpu'])

function wrap(x: Tensor, width: number): Tensor {
  const [rows, from] = x.shape as [number, number]
  if (hostBackends.has(getBackend())) {
    const source = x.dataSync() as Float32Array
    const result = new Float32Array(rows * width)
    for (let row = 0; row < rows; row++)
      for (let start = 0; start < width; start += from) {
        const count = Math.min(from, width - start)
        result.set(source.subarray(row * from, row * from + count), row * width + start)
      }
    return tensor2d(result, [rows, width])
  }
  const whole = Math.floor(width / from)
  const rest = width - whole * from
  const parts: Tensor[] = Array(whole).fill(x)
  if (rest > 0) parts.push(slice(x, [0, 0], [rows, rest]))
  return concat(parts, 1)
}

function fold(x: Tensor, width: number): Tensor {
  const [rows, from] = x.shape as [number, number]
  if (hostBackends.has(getBackend())) {
    const source = x.dataSync() as Float32Array
    const result = new Float32Array(rows * width)
    for (let row = 0; row < rows; row++)
      for (let start = 0; start < from; start += width) {
        const count = Math.min(width, from - start)
        for (let j = 0; j < count; j++) result[row * width + j]! += source[row * from + start + j]!
      }
    return tensor2d(result, [rows, width])
  }
  const blocks = Math.ceil(from / width)
  const missing: [number, number] = [0, blocks * width - from]
  return sum(reshape(pad(x, [[0, 0], missing]), [rows, blocks, width]), 1)
}
