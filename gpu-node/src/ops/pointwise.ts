/**
 * Everything between the linear layers that works row by row: RMSNorm, rotary positions, SwiGLU, embedding, and the
 * elementwise parts of DoRA and HiRA.
 */

import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import { mul, tidy } from '@tensorflow/tfjs-core'
import type { RopeShape } from './kernels.ts'
import { matMul } from './linear.ts'
import { addingToSum, assertShape, registerFusedGradient } from './register.ts'
import { runFused } from './registry.ts'

/** x [N,D] / sqrt(mean(x²) + epsilon) * gain [D] */
export function rmsNorm(x: Tensor, gain: Tensor, epsilon: number): Tensor2D {
  assertShape(x.rank === 2 && gain.size === x.shape[1], 'rmsNorm', x, gain)
  return runFused('rmsNorm', { x, gain }, { epsilon })[0] as Tensor2D
}

registerFusedGradient('rmsNorm', {
  saveInputs: ['x', 'gain'],
  saveOutputs: [false, true],
  gradient: (dy, [x, gain, inverseRms]) => ({
    x: addingToSum((sum) =>
      runFused('rmsNormInputGradient', {
        ...{ dy, x: x!, gain: gain!, inverseRms: inverseRms! },
        ...(sum && { sum }),
      }),
    ),
    gain: () => runFused('rmsNormGainGradient', { dy, x: x!, inverseRms: inverseRms! }),
  }),
})

/**
 * Rotary positions, half-split: x [N, heads*headDim]; cos, sin [>= sequence, headDim/2]; row i of x has position
 * i mod sequence. For rows at positions of their own (decoding) pass the rows of cos and sin for them, sequence = N.
 */
export function rope(x: Tensor, cos: Tensor, sin: Tensor, shape: Omit<RopeShape, 'inverse'>): Tensor2D {
  const { sequence, heads, headDim } = shape
  const rowsFit = x.shape[0]! % sequence === 0 && cos.shape[0]! >= sequence && sin.shape[0]! >= sequence
  const widthFits = x.shape[1] === heads * headDim && cos.shape[1] === headDim / 2
  assertShape(rowsFit && widthFits, 'rope', x, cos, sin)
  return runFused('rope', { x, cos, sin }, { sequence, heads, headDim, inverse: false }) as Tensor2D
}

registerFusedGradient('rope', {
  saveInputs: ['cos', 'sin'],
  gradient: (dy, [cos, sin], shape) => ({
    x: () => runFused('rope', { x: dy, cos: cos!, sin: sin! }, { ...shape, inverse: !shape.inverse }),
  }),
})

/** silu(gate) * up, elementwise */
export function swiglu(gate: Tensor, up: Tensor): Tensor2D {
  assertShape(gate.size === up.size, 'swiglu', gate, up)
  return runFused('swiglu', { gate, up }) as Tensor2D
}

registerFusedGradient('swiglu', {
  saveInputs: ['gate', 'up'],
  gradient: (dy, [gate, up]) => {
    const [dGate, dUp] = runFused('swigluGradient', { dy, gate: gate!, up: up! })
    return { gate: () => dGate, up: () => dUp }
  },
})

/** Rows of table [V,D] at ids (int32 [N]) -> [N,D] */
export function embedding(ids: Tensor, table: Tensor): Tensor2D {
  assertShape(ids.rank === 1 && ids.dtype === 'int32' && table.rank === 2, 'embedding', ids, table)
  return runFused('embedding', { ids, table }, { vocabulary: table.shape[0]! }) as Tensor2D
}

registerFusedGradient('embedding', {
  saveInputs: ['ids'],
  gradient: (dy, [ids], { vocabulary }) => ({
    table: () => runFused('embeddingGradient', { dy, ids: ids! }, { vocabulary }),
  }),
})

/** y [N,n] with column j multiplied by s_j (the magnitudes of DoRA) */
export function scaleColumns(y: Tensor, s: Tensor): Tensor2D {
  assertShape(y.rank === 2 && s.size === y.shape[1], 'scaleColumns', y, s)
  return runFused('scaleColumns', { y, s }) as Tensor2D
}

registerFusedGradient('scaleColumns', {
  saveInputs: ['y', 's'],
  gradient: (dy, [y, s]) => ({
    y: () => runFused('scaleColumns', { y: dy, s: s! }),
    s: () => runFused('columnDot', { a: dy, b: y! }),
  }),
})

/** w0 [m,n] ⊙ (1 + a [m,r] b [r,n]) (HiRA) */
export function hadamardWeight(w0: Tensor, a: Tensor, b: Tensor): Tensor2D {
  const fits = w0.shape[0] === a.shape[0] && a.shape[1] === b.shape[0] && b.shape[1] === w0.shape[1]
  assertShape(fits, 'hadamardWeight', w0, a, b)
  return runFused('hadamardWeight', { w0, a, b }) as Tensor2D
}

registerFusedGradient('hadamardWeight', {
  saveInputs: ['w0', 'a', 'b'],
  gradient: (dy, [w0, a, b]) => ({
    w0: () => runFused('hadamardWeight', { w0: dy, a: a!, b: b! }),
    a: () => tidy(() => matMul(mul(w0!, dy), b!, { transposeB: true })),
    b: () => tidy(() => matMul(a!, mul(w0!, dy), { transposeA: true })),
  }),
})
