/**
 * Kernels whose matrix products can take bfloat16 operands (./compute-dtype.ts), made from a backend's float32 kernels
 * and its `roundBfloat16`. What is rounded, both sides of every product that the model and the adapters consist of:
 *
 *   linear layers     y = r(x) r(w),   dx = r(dy) r(w)ᵀ,   dw = r(x)ᵀ r(dy)
 *   adapters          y += s r(r(x) r(a)) r(b),   u = r(s r(dy) r(b)ᵀ),   da = r(x)ᵀ u,   db = s r(r(x) r(a))ᵀ r(dy),
 *                     dx += u r(a)ᵀ   (with dropout r(x~) for r(x), and dx += dropout(u r(a)ᵀ))
 *   attention         r(q), r(k), r(v), r(dOutput);   loss: r(x), r(head);   HiRA: r(a) r(b);   MoRA: r(C(x)) r(square)
 *
 * with r rounding to nearest, ties to even. What lives only inside attention and inside the loss (scores, probabilities,
 * logits and their gradients) stays float32, as do sums, biases and everything that is no product of matrices.
 */
import type { TensorInfo } from '@tensorflow/tfjs-core'
import type { FusedKernels, KernelName, OperandPrecision } from './kernels.ts'

/** Inputs that are operands of a product, for kernels that need no more than having these rounded. */
const operands = {
  matMul: ['a', 'b'],
  linear: ['x', 'w'],
  // The adapters take part in the gradient alone, which is adapterGradients.
  mutedLinear: ['x', 'w'],
  linearInputGradient: ['dy', 'w', 'dt', 'a'],
  causalAttention: ['q', 'k', 'v'],
  causalAttentionGradient: ['dOutput', 'q', 'k', 'v'],
  crossEntropy: ['x', 'head'],
  hadamardWeight: ['a', 'b'],
  // The other operands are C(x) and Dᵀ(dy), which these kernels round themselves.
  moraMap: ['square'],
  moraInputGradient: ['square'],
  moraSquareGradient: [],
} as const satisfies Partial<Record<KernelName, readonly string[]>>

const products: ReadonlySet<KernelName> = new Set([
  ...(Object.keys(operands) as (keyof typeof operands)[]),
  'lowRankLinear',
  'adapterGradients',
])

/** Whether a kernel multiplies matrices in training: what `operands` in the attributes means something to. */
export const isProduct = (name: KernelName): boolean => products.has(name)

/** How a backend handles what a kernel makes on the way. */
export interface Workspace<T extends TensorInfo> {
  /** Gives up a tensor that a kernel has made. */
  release(tensor: T): void
  /** The same data in another shape of the same size, in place of the tensor. */
  view(tensor: T, shape: number[]): T
}

type Call<T> = (inputs: Record<string, T | undefined>, attributes?: OperandPrecision) => T | T[]

/** The same kernels, with rounded operands where the attribute `operands` is bfloat16. */
export function roundingOperands<T extends TensorInfo>(
  kernels: FusedKernels<T>,
  workspace: Workspace<T>,
): FusedKernels<T> {
  const rounded = { ...roundedInputs(kernels, workspace), ...roundedAdapters(kernels, workspace) }
  const choosing = Object.entries(rounded).map(([name, inBfloat16]) => {
    const inFloat32 = kernels[name as KernelName] as unknown as Call<T>
    const call: Call<T> = (inputs, attributes) =>
      (attributes?.operands === 'bfloat16' ? (inBfloat16 as Call<T>) : inFloat32)(inputs, attributes)
    return [name, call]
  })
  return { ...kernels, ...Object.fromEntries(choosing) }
}

function roundedInputs<T extends TensorInfo>(
  kernels: FusedKernels<T>,
  { release }: Workspace<T>,
): Record<string, Call<T>> {
  const calls = Object.entries(operands).map(([name, names]): [string, Call<T>] => [
    name,
    (inputs, attributes) => {
      const made: T[] = []
      const replaced = { ...inputs }
      for (const input of names) {
        const x = inputs[input]
        if (!x) continue
        const copy = kernels.roundBfloat16({ x })
        made.push(copy)
        replaced[input] = copy
      }
      const outputs = (kernels[name as KernelName] as unknown as Call<T>)(replaced, attributes)
      made.forEach(release)
      return outputs
    },
  ])
  return Object.fromEntries(calls)
}

/** Kernels with a product in between: X A and dY Bᵀ are operands themselves. */
function roundedAdapters<T extends TensorInfo>(
  kernels: FusedKernels<T>,
  { release, view }: Workspace<T>,
): Pick<FusedKernels<T>, 'lowRankLinear' | 'adapterGradients'> {
  const round = (x: T) => kernels.roundBfloat16({ x })
  /** r(factor · op(a) op(b)) of operands that are rounded already. */
  const roundedProduct = (a: T, b: T, transposeB: boolean, factor: number): T => {
    const exact = kernels.matMul({ a, b }, { transposeA: false, transposeB, factor })
    const result = round(exact)
    release(exact)
    return result
  }
  return {
    lowRankLinear({ x, w, a, b, bias }, { scale, dropout }) {
      const [xr, wr, ar, br] = [round(x), round(w), round(a), round(b)]
      const dropped = dropout && kernels.dropout({ x }, dropout)
      const seen = dropped ? round(dropped) : xr
      const base = kernels.linear({ x: xr, w: wr, ...(bias && { bias }) })
      const t = roundedProduct(seen, ar, false, 1)
      const branch = kernels.matMul({ a: t, b: br }, { transposeA: false, transposeB: false, factor: scale })
      const y = kernels.add({ a: base, b: branch })
      for (const made of [xr, wr, ar, br, base, t, branch, ...(dropped ? [dropped, seen] : [])]) release(made)
      return y
    },

    adapterGradients({ x, dy, a, b }, { scale }) {
      const [devices, m, rank] = a.shape as [number, number, number]
      const [rows, n] = dy.shape as [number, number]
      const [ar, br] = [round(a), round(b)]
      const xr = view(round(x), [devices, rows / devices, m])
      const dyr = view(round(dy), [devices, rows / devices, n])
      const u = roundedProduct(dyr, br, true, scale)
      const t = roundedProduct(xr, ar, false, 1)
      const transposed = { transposeA: true, transposeB: false }
      const da = kernels.matMul({ a: xr, b: u }, { ...transposed, factor: 1 })
      const db = kernels.matMul({ a: t, b: dyr }, { ...transposed, factor: scale })
      for (const made of [ar, br, xr, dyr, t]) release(made)
      return [da, db, view(u, [rows, rank])]
    },
  }
}
