/** Small differentiable operations on TensorFlow.js's own kernels: masks of dropout, norms of DoRA, shapes. */
import { add, customGrad, div, mul, reshape, type Tensor } from '@tensorflow/tfjs-core'

/** x ⊘ constant, equal shapes; the constant has no gradient. Exactly 1 where they are equal. */
export function overConstant<T extends Tensor>(x: T, constant: Tensor): T {
  return elementwise(x, constant, div)
}

/** y and dx are the same operation on x and dy, since the operation is linear in its first operand. */
function elementwise<T extends Tensor>(
  x: T,
  constant: Tensor,
  operation: (a: Tensor, b: Tensor) => Tensor,
): T {
  const run = customGrad((input, save) => {
    ;(save as unknown as (tensors: Tensor[]) => void)([constant])
    return {
      value: operation(input as Tensor, constant),
      gradFunc: (dy: Tensor, saved: Tensor[]) => operation(dy, saved[0]!),
    }
  })
  return run(x) as T
}

/** y [N, n] + row [n]; the row has no gradient. */
export function plusRow<T extends Tensor>(y: T, row: Tensor): T {
  return customGrad((input) => ({
    value: add(input as Tensor, row),
    gradFunc: (dy: Tensor) => dy.clone(),
  }))(y) as T
}

/** The same values in another shape. */
export function reshaped(x: Tensor, shape: number[]): Tensor {
  return customGrad((input) => ({
    value: reshape(input as Tensor, shape),
    gradFunc: (dy: Tensor) => reshape(dy, x.shape),
  }))(x)
}

/** −x */
export function negated<T extends Tensor>(x: T): T {
  return customGrad((input) => ({
    value: mul(input as Tensor, -1),
    gradFunc: (dy: Tensor) => mul(dy, -1),
  }))(x) as T
}
