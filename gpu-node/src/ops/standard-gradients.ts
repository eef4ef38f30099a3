/**
 * Gradients of the standard TensorFlow.js kernels that methods are written in beside the fused ops: arithmetic with
 * broadcasting, sums, shapes, parts, rows by index.
 *
 * TensorFlow.js keeps its own in tfjs-core/dist/register_all_gradients, which Node cannot import (ES modules without
 * file extensions), and in the bundle of @tensorflow/tfjs. Those registered already are left alone.
 */
import type { GradConfig, NamedAttrMap, Tensor } from '@tensorflow/tfjs-core'
import {
  broadcast_util,
  cast,
  clone,
  div,
  getGradient,
  mul,
  neg,
  ones,
  pad,
  registerGradient,
  reshape,
  scatterND,
  slice,
  split,
  sqrt,
  square,
  sum,
  transpose,
  util,
} from '@tensorflow/tfjs-core'

/** Gradient of an operand that may have been broadcast: summed over the axes in which it was repeated. */
function unbroadcast(gradient: Tensor, operand: Tensor): Tensor {
  const axes = broadcast_util.getReductionAxes(operand.shape, gradient.shape)
  return reshape(axes.length > 0 ? sum(gradient, axes) : gradient, operand.shape)
}

/** Gradients of inputs a and b by what each multiplies dy by. */
function binary(
  a: (dy: Tensor, a: Tensor, b: Tensor) => Tensor,
  b: (dy: Tensor, a: Tensor, b: Tensor) => Tensor,
): Omit<GradConfig, 'kernelName'> {
  return {
    inputsToSave: ['a', 'b'],
    gradFunc: (dy, [left, right]) => ({
      a: () => unbroadcast(a(dy as Tensor, left!, right!), left!),
      b: () => unbroadcast(b(dy as Tensor, left!, right!), right!),
    }),
  }
}

/** Gradient of an op of one input x. */
function unary(
  gradient: (dy: Tensor, x: Tensor, attributes: NamedAttrMap) => Tensor,
): Omit<GradConfig, 'kernelName'> {
  return {
    inputsToSave: ['x'],
    gradFunc: (dy, [x], attributes) => ({ x: () => gradient(dy as Tensor, x!, attributes) }),
  }
}

/** Gradient of an op that needs nothing of its input. */
function linearIn(input: string, gradient: (dy: Tensor) => Tensor): Omit<GradConfig, 'kernelName'> {
  return { gradFunc: (dy) => ({ [input]: () => gradient(dy as Tensor) }) }
}

const rules: Record<string, Omit<GradConfig, 'kernelName'>> = {
  Add: binary(
    (dy) => dy,
    (dy) => dy,
  ),
  Sub: binary(
    (dy) => dy,
    (dy) => neg(dy),
  ),
  Multiply: binary(
    (dy, _, b) => mul(dy, b),
    (dy, a) => mul(dy, a),
  ),
  RealDiv: binary(
    (dy, _, b) => div(dy, b),
    (dy, a, b) => neg(div(mul(dy, a), square(b))),
  ),

  Neg: linearIn('x', (dy) => neg(dy)),
  Square: unary((dy, x) => mul(dy, mul(x, 2))),
  Sqrt: unary((dy, x) => div(dy, mul(sqrt(x), 2))),
  Identity: linearIn('x', (dy) => cast(dy, 'float32')),
  Cast: linearIn('x', (dy) => clone(dy)),
  Reshape: unary((dy, x) => reshape(dy, x.shape)),
  ExpandDims: {
    inputsToSave: ['input'],
    gradFunc: (dy, [input]) => ({ input: () => reshape(dy as Tensor, input!.shape) }),
  },

  Sum: unary((dy, x, { axis }) => {
    const summed = util.parseAxisParam(axis as number | number[], x.shape)
    const kept = x.shape.map((size, i) => (summed.includes(i) ? 1 : size))
    return mul(reshape(dy, kept), ones(x.shape))
  }),

  Transpose: unary((dy, _, { perm }) => {
    const inverse: number[] = []
    for (const [to, from] of (perm as number[]).entries()) inverse[from] = to
    return transpose(dy, inverse)
  }),

  Slice: unary((dy, x, { begin }) => {
    const start = x.shape.map((_, i) => (begin as number[])[i] ?? 0)
    return pad(
      dy,
      x.shape.map((size, i): [number, number] => [start[i]!, size - start[i]! - dy.shape[i]!]),
    )
  }),

  PadV2: unary((dy, x, { paddings }) =>
    slice(
      dy,
      (paddings as number[][]).map(([before]) => before!),
      x.shape,
    ),
  ),

  Concat: {
    saveAllInputs: true,
    gradFunc: (dy, inputs, { axis }) => {
      const along = util.parseAxisParam(axis as number, inputs[0]!.shape)[0]!
      const sizes = inputs.map((input) => input.shape[along]!)
      const parts = split(dy as Tensor, sizes, along)
      return Object.fromEntries(parts.map((part, i) => [String(i), () => part]))
    },
  },

  // Rows by index only: what embedding tables and permutations of rows need.
  GatherV2: {
    inputsToSave: ['x', 'indices'],
    gradFunc: (dy, [x, indices], { axis }) => ({
      x: () => {
        if (axis !== 0) throw new Error('the gradient of gather is there for axis 0 alone')
        const count = indices!.size
        const rows = reshape(dy as Tensor, [count, ...x!.shape.slice(1)])
        return scatterND(reshape(indices!, [count, 1]), rows, x!.shape)
      },
    }),
  },
}

for (const [kernelName, rule] of Object.entries(rules))
  if (!getGradient(kernelName)) registerGradient({ kernelName, ...rule })
