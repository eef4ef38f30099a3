/** The in-place updates of the contract (ops/update-kernels.ts) on the device backend: they write to a parameter's memory. */
import type { Tensor } from '@tensorflow/tfjs-core'
import { engine, util } from '@tensorflow/tfjs-core'
import type { AdamSettings, UpdateKernels } from '../../ops/update-kernels.ts'
import type { DeviceBackend } from './device-backend.ts'

/** RS_STORED_* of rankscope.h. */
const storedForms = { F32: 0, BF16: 1, F16: 2 } as const

export function createDeviceUpdates(backend: DeviceBackend): UpdateKernels {
  const { library } = backend
  const at = (tensor: Tensor): bigint => backend.address(tensor)
  const changed = (tensor: Tensor): bigint => backend.addressToChange(tensor)
  const adam = (s: AdamSettings) => [s.learningRate, s.beta1, s.beta2, s.epsilon] as const

  return {
    upload(values, shape) {
      const made = backend.allocate(shape)
      library.upload(backend.address(made), values, values.byteLength)
      backend.narrowCopies?.lasts(made.dataId)
      return engine().makeTensorFromTensorInfo(made, backend)
    },

    widen({ bytes, dtype, transposed }, shape) {
      const made = backend.allocate(shape)
      const [rows = 1, columns = 1] = transposed ? [...shape].reverse() : [1, util.sizeFromShape(shape)]
      library.widen(backend.address(made), bytes, rows, columns, storedForms[dtype], transposed ? 1 : 0)
      backend.narrowCopies?.lasts(made.dataId)
      return engine().makeTensorFromTensorInfo(made, backend)
    },

    accumulate: (target, x, factor) => library.accumulate(changed(target), at(x), factor, target.size),

    compensatedAccumulate: (target, compensation, x, factor) =>
      library.compensated_accumulate(changed(target), at(compensation), at(x), factor, target.size),

    copy: (target, source) => library.copy(changed(target), at(source), target.size * 4),

    scale: (target, factor) => {
      if (factor === 0) library.fill(changed(target), target.size, 0)
      else library.scale(changed(target), at(target), factor, target.size)
    },

    async sumOfSquares(tensors) {
      const sizes = BigInt64Array.from(tensors, ({ size }) => BigInt(size))
      return library.sumOfSquares(BigInt64Array.from(tensors, at), sizes)
    },

    adamW: (change) => {
      const { parameter, m, v, gradient, weightDecay, step, gradientFactor } = change
      library.adamw(
        ...([changed(parameter), at(m), at(v), at(gradient), parameter.size, ...adam(change)] as const),
        weightDecay,
        step,
        gradientFactor,
      )
    },

    adamDelta: (change) => {
      const { delta, m, v, gradient, step, gradientFactor } = change
      library.adam_delta(
        ...([at(delta), at(m), at(v), at(gradient), delta.size, ...adam(change)] as const),
        step,
        gradientFactor,
      )
    },

    lowRankUpdate: (target, left, right, factor) => {
      const [m, n, inner] = [target.shape[0]!, target.shape[1]!, left.shape[1]!]
      const [w, l, r] = [changed(target), at(left), at(right)]
      library.gemm(0, 0, m, n, inner, factor, l, inner, r, n, 1, w, n, 1, 0, 0, 0)
    },

    directUpdate: ({ w, a, b, deltaA, deltaB, factor, secondOrder }) => {
      const [devices, m, rank] = a.shape as [number, number, number]
      const n = b.shape[2]!
      backend.withScratch(2 * devices * rank * (m + n), (scratch) =>
        library.hd_pissa_apply(
          ...([
            changed(w),
            at(a),
            at(b),
            at(deltaA),
            at(deltaB),
            scratch,
            devices,
            m,
            n,
            rank,
            factor,
          ] as const),
          secondOrder ? 1 : 0,
        ),
      )
    },

    writeRows: (target, rows, x) => {
      const width = x.shape[1]!
      library.write_rows(changed(target), rows, at(x), rows.length, width, target.size / width)
    },
  }
}
