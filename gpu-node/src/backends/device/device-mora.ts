/** The fused kernels of MoRA (ops/kernels.ts) on the device backend. */
import type { TensorInfo } from '@tensorflow/tfjs-core'
import type { FusedKernels, OperandPrecision } from '../../ops/kernels.ts'
import type { DeviceBackend } from './device-backend.ts'
import type { Pointer } from './device-calls.ts'

export function moraKernels(backend: DeviceBackend) {
  const { library } = backend
  const at = (tensor: TensorInfo): bigint => backend.address(tensor)
  /** NULL for tables without rows. */
  const tables = (cos: TensorInfo, sin: TensorInfo): [Pointer, Pointer] =>
    cos.shape[0] === 0 ? [null, null] : [at(cos), at(sin)]
  const rounds = (operands: OperandPrecision['operands']) => (operands === 'bfloat16' ? 1 : 0)
  return {
    moraMap: ({ x, square, cos, sin, sum }, { columns, operands }) => {
      const [rows, inputs] = x.shape as [number, number]
      const y = sum ? backend.takeOver(sum) : backend.allocate([rows, columns])
      const sizes = [rows, inputs, columns, square.shape[0]!] as const
      const flags = [sum ? 1 : 0, rounds(operands)] as const
      library.mora_map(at(y), at(x), at(square), ...tables(cos, sin), ...sizes, ...flags)
      return y
    },

    moraInputGradient: ({ dy, square, cos, sin, sum }, { columns, operands }) => {
      const [rows, outputs] = dy.shape as [number, number]
      const dx = sum ? backend.takeOver(sum) : backend.allocate([rows, columns])
      const sizes = [rows, columns, outputs, square.shape[0]!] as const
      const flags = [sum ? 1 : 0, rounds(operands)] as const
      library.mora_input_gradient(at(dx), at(dy), at(square), ...tables(cos, sin), ...sizes, ...flags)
      return dx
    },

    moraSquareGradient: ({ x, dy, cos, sin }, { size, operands }) => {
      const [rows, inputs] = x.shape as [number, number]
      const gradient = backend.allocate([size, size])
      const sizes = [rows, inputs, dy.shape[1]!, size] as const
      const pointers = [at(gradient), at(x), at(dy), ...tables(cos, sin)] as const
      library.mora_square_gradient(...pointers, ...sizes, rounds(operands))
      return gradient
    },
  } satisfies Partial<FusedKernels>
}
