/** Row-wise and elementwise fused kernels as loops over host memory. Shapes and formulas: ../kernels.ts. */
import type { Tensor } from '@tensorflow/tfjs-core'
import { float32BitsToBfloat16 } from '../../../half-floats.ts'
import { fillDropoutMask } from '../../../ops/dropout-mask.ts'
import type { FusedKernels } from '../../../ops/kernels.ts'
import type { HostMemory } from './memory.ts'
import { sigmoid } from './sigmoid.ts'
import { squaresOf } from './sums.ts'

export function hostPointwise({ allocate, floats, integers }: HostMemory) {
  return {
    columnSum: ({ x }) => {
      const out = allocate([x.shape[1]!])
      const [sums, values] = [floats(out).fill(0), floats(x)]
      for (let i = 0, j = 0; i < values.length; i++, j++) {
        if (j === sums.length) j = 0
        sums[j]! += values[i]!
      }
      return out
    },

    columnDot: ({ a, b }) => {
      const out = allocate([a.shape[1]!])
      const [sums, left, right] = [floats(out).fill(0), floats(a), floats(b)]
      for (let i = 0, j = 0; i < left.length; i++, j++) {
        if (j === sums.length) j = 0
        sums[j]! += left[i]! * right[i]!
      }
      return out
    },

    scaleColumns: ({ y, s }) => {
      const out = allocate(y.shape)
      const [scaled, values, factors] = [floats(out), floats(y), floats(s)]
      for (let i = 0, j = 0; i < values.length; i++, j++) {
        if (j === factors.length) j = 0
        scaled[i] = values[i]! * factors[j]!
      }
      return out
    },

    rmsNorm: ({ x, gain }, { epsilon }) => {
      const [rows, width] = x.shape as [number, number]
      const [out, inverseRms] = [allocate(x.shape), allocate([rows])]
      const [y, inverse, values, factors] = [floats(out), floats(inverseRms), floats(x), floats(gain)]
      for (let row = 0; row < rows; row++) {
        const start = row * width
        const factor = 1 / Math.sqrt(squaresOf(values, start, start + width) / width + epsilon)
        inverse[row] = factor
        for (let j = 0; j < width; j++) y[start + j] = values[start + j]! * factor * factors[j]!
      }
      return [out, inverseRms]
    },

    rmsNormInputGradient: ({ dy, x, gain, inverseRms, sum }) => {
      const [rows, width] = x.shape as [number, number]
      const out = allocate(x.shape)
      const [dx, dOut, values] = [floats(out), floats(dy), floats(x)]
      const [factors, inverse] = [floats(gain), floats(inverseRms)]
      const before = sum ? floats(sum) : dx.fill(0)
      for (let row = 0; row < rows; row++) {
        const start = row * width
        let dot = 0
        for (let i = start, j = 0; j < width; i++, j++) dot += dOut[i]! * factors[j]! * values[i]!
        const factor = inverse[row]!
        const projection = (dot / width) * factor * factor
        for (let i = start, j = 0; j < width; i++, j++)
          dx[i] = before[i]! + factor * (dOut[i]! * factors[j]! - values[i]! * projection)
      }
      return out
    },

    rmsNormGainGradient: ({ dy, x, inverseRms }) => {
      const [rows, width] = x.shape as [number, number]
      const out = allocate([width])
      const [dGain, dOut, values] = [floats(out).fill(0), floats(dy), floats(x)]
      const inverse = floats(inverseRms)
      for (let row = 0; row < rows; row++) {
        const start = row * width
        const factor = inverse[row]!
        for (let j = 0; j < width; j++) dGain[j]! += dOut[start + j]! * values[start + j]! * factor
      }
      return out
    },

    rope: ({ x, cos, sin }, { sequence, heads, headDim, inverse }) => {
      const rows = x.shape[0]!
      const half = headDim / 2
      const sign = inverse ? -1 : 1
      const out = allocate(x.shape)
      const [y, values, cosines, sines] = [floats(out), floats(x), floats(cos), floats(sin)]
      for (let row = 0; row < rows; row++) {
        const angles = (row % sequence) * half
        for (let head = 0; head < heads; head++) {
          const start = (row * heads + head) * headDim
          for (let j = 0; j < half; j++) {
            const c = cosines[angles + j]!
            const s = sign * sines[angles + j]!
            const first = values[start + j]!
            const second = values[start + half + j]!
            y[start + j] = first * c - second * s
            y[start + half + j] = second * c + first * s
          }
        }
      }
      return out
    },

    swiglu: ({ gate, up }) => {
      const out = allocate(gate.shape)
      const [y, gates, ups] = [floats(out), floats(gate), floats(up)]
      for (let i = 0; i < y.length; i++) y[i] = gates[i]! * sigmoid(gates[i]!) * ups[i]!
      return out
    },

    swigluGradient: ({ dy, gate, up }) => {
      const outputs: [Tensor, Tensor] = [allocate(gate.shape), allocate(gate.shape)]
      const [dGate, dUp] = [floats(outputs[0]), floats(outputs[1])]
      const [dOut, gates, ups] = [floats(dy), floats(gate), floats(up)]
      for (let i = 0; i < dOut.length; i++) {
        const s = sigmoid(gates[i]!)
        const silu = gates[i]! * s
        dGate[i] = dOut[i]! * ups[i]! * (s + silu * (1 - s))
        dUp[i] = dOut[i]! * silu
      }
      return outputs
    },

    dropout: ({ x }, { keys, threshold, factor }) => {
      const out = allocate(x.shape)
      const [y, values] = [floats(out), floats(x)]
      fillDropoutMask(y, keys, { size: (2 * y.length) / keys.length, threshold, factor })
      for (let i = 0; i < y.length; i++) y[i]! *= values[i]!
      return out
    },

    roundBfloat16: ({ x }) => {
      const out = allocate(x.shape)
      const [to, from] = [bitsOf(floats(out)), bitsOf(floats(x))]
      for (let i = 0; i < to.length; i++) to[i] = float32BitsToBfloat16(from[i]!) << 16
      return out
    },

    embedding: ({ ids, table }) => {
      const width = table.shape[1]!
      const out = allocate([ids.size, width])
      const [y, rows] = [floats(out), floats(table)]
      integers(ids).forEach((id, i) => {
        y.set(rows.subarray(id * width, (id + 1) * width), i * width)
      })
      return out
    },

    embeddingGradient: ({ dy, ids }, { vocabulary }) => {
      const width = dy.shape[1]!
      const out = allocate([vocabulary, width])
      const [dTable, dOut] = [floats(out).fill(0), floats(dy)]
      integers(ids).forEach((id, i) => {
        for (let j = 0; j < width; j++) dTable[id * width + j]! += dOut[i * width + j]!
      })
      return out
    },
  } satisfies Partial<FusedKernels<Tensor>>
}

/** The same memory as words. */
function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length)
}
