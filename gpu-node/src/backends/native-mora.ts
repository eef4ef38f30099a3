/** The fused kernels of MoRA (ops/kernels.ts) on the native backend. */
import type { TensorInfo } from '@tensorflow/tfjs-core'
import type { FusedKernels } from '../ops/kernels.ts'
import type { NativeBackend } from './native-backend.ts'
import type { Pointer } from './native-library.ts'

export function moraKernels(backend: NativeBackend) {
  const { library } = backend
  const at = (tensor: TensorInfo): bigint => backend.address(tensor)
  /** NULL for tables without rows. */
  const tables = (cos: TensorInfo, sin: TensorInfo): [Pointer, Pointer] =>
    cos.shape[0] === 0 ? [null, null] : [at(cos), at(sin)]
  return {
    moraMap: ({ x, square, cos, sin, sum }, { columns }) => {
      const [rows, inputs] = x.shape as [number, number]
      const y = sum ? backend.takeOver(sum) : backend.allocate([rows, columns])
      const sizes = [rows, inputs, columns, square.shape[0]!] as const
      library.mora_map(at(y), at(x), at(square), ...tables(cos, sin), ...sizes, sum ? 1 : 0)
      return y
    },

    moraInputGradient: ({ dy, square, cos, sin, sum }, { columns }) => {
      const [rows, outputs] = dy.shape as [number, number]
      const dx = sum ? backend.takeOver(sum) : backend.allocate([rows, columns])
      const sizes = [rows, columns, outputs, square.shape[0]!] as const
      library.mora_input_gradient(at(dx), at(dy), at(square), ...tables(cos, sin), ...sizes, sum ? 1 : 0)
      return dx
    },

    moraSquareGradient: ({ x, dy, cos, sin }, { size }) => {
      const [rows, inputs] = x.shape as [number, number]
      const gradient = backend.allocate([size, size])
      const sizes = [rows, inputs, dy.shape[1]!, size] as const
      library.mora_square_gradient(at(gradient), at(x), at(dy), ...tables(cos, sin), ...sizes)
      return gradient
    },
  } satisfies Partial<FusedKernels>
}
