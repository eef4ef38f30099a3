/**
 * Linear layers in the paper's orientation: x [N,m], W [m,n], y = x W.
 *
 * - `linear`: everything trainable (full fine-tuning) or frozen.
 * - `lowRankLinear`: y = x W + scale (x A) B with A [m,r], B [r,n] (LoRA, PiSSA).
 * - `mutedLinear`: HD-PiSSA with the mute taken to its limit (arXiv 2505.18777 §4.3): K adapters A_k [m,r],
 *   B_k [r,n] get gradients but add nothing to the output.
 *
 * With G = dL/dy: dW = xᵀ G, dx = G Wᵀ (+ scale (G Bᵀ) Aᵀ), dA = scale xᵀ (G Bᵀ), dB = scale (x A)ᵀ G.
 */

import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import { clone, engine, registerGradient, reshape, tidy, zerosLike } from '@tensorflow/tfjs-core'
import { detachKernel, runFused } from './kernels.ts'
import { assertShape, registerFusedGradient } from './register.ts'

/** factor * op(a) op(b); both of rank 2, or both of rank 3 with equal first axis. */
export function matMul(
  a: Tensor,
  b: Tensor,
  { transposeA = false, transposeB = false, factor = 1 } = {},
): Tensor {
  const innerA = a.shape[a.rank - (transposeA ? 2 : 1)]
  const innerB = b.shape[b.rank - (transposeB ? 1 : 2)]
  const batchFits = a.rank === b.rank && (a.rank === 2 || (a.rank === 3 && a.shape[0] === b.shape[0]))
  assertShape(batchFits && innerA === innerB, 'matMul', a, b)
  return runFused('matMul', { a, b }, { transposeA, transposeB, factor })
}

export function linear(x: Tensor, w: Tensor, bias?: Tensor): Tensor2D {
  assertShape(x.rank === 2 && w.rank === 2 && x.shape[1] === w.shape[0], 'linear', x, w)
  return runFused('linear', { x, w, ...(bias && { bias }) }) as Tensor2D
}

/** x W + scale (x A) B (+ bias) */
export function lowRankLinear(
  x: Tensor,
  w: Tensor,
  a: Tensor,
  b: Tensor,
  scale: number,
  bias?: Tensor,
): Tensor2D {
  const [m, n] = w.shape
  const fits = x.shape[1] === m && a.shape[0] === m && a.shape[1] === b.shape[0] && b.shape[1] === n
  assertShape(x.rank === 2 && fits, 'lowRankLinear', x, w, a, b)
  return runFused('lowRankLinear', { x, w, a, b, ...(bias && { bias }) }, { scale })[0] as Tensor2D
}

/**
 * x W (+ bias) exactly; rows of virtual device k are N/K contiguous rows of x, and with X_k, G_k those rows:
 *   gA_k = scale X_kᵀ (G_k B_kᵀ), gB_k = scale (X_k A_k)ᵀ G_k, dx = G Wᵀ (no adapter term).
 * W has no gradient here: the method moves it by the adapters' deltas. `adapterInput` (default x) stands for X_k in the
 * adapters' gradients, where dropout changes it; nothing flows back through it.
 */
export function mutedLinear(
  x: Tensor,
  w: Tensor,
  a: Tensor,
  b: Tensor,
  scale: number,
  bias?: Tensor,
  adapterInput: Tensor = x,
): Tensor2D {
  const [devices, m, r] = a.shape as [number, number, number]
  const fits = x.shape[1] === m && w.shape[0] === m && b.shape[1] === r && b.shape[2] === w.shape[1]
  const rowsFit = b.shape[0] === devices && (x.shape[0] as number) % devices === 0
  assertShape(a.rank === 3 && fits && rowsFit, 'mutedLinear', x, w, a, b)
  const inputs = { x, w, a, b, adapterInput: detach(adapterInput), ...(bias && { bias }) }
  return runFused('mutedLinear', inputs, { scale }) as Tensor2D
}

/** The same values, a dead end for gradients. */
export function detach(x: Tensor): Tensor {
  return engine().runKernel(detachKernel, { x })
}

registerGradient({
  kernelName: detachKernel,
  gradFunc: (dy) => ({ x: () => zerosLike(dy as Tensor) }),
})

registerFusedGradient('matMul', {
  saveInputs: ['a', 'b'],
  gradient: (dy, [a, b], { transposeA, transposeB, factor }) => {
    const product = (left: Tensor, right: Tensor, ta: boolean, tb: boolean) =>
      runFused('matMul', { a: left, b: right }, { transposeA: ta, transposeB: tb, factor })
    return {
      a: () => (transposeA ? product(b!, dy, transposeB, true) : product(dy, b!, false, !transposeB)),
      b: () => (transposeB ? product(dy, a!, true, transposeA) : product(a!, dy, !transposeA, false)),
    }
  },
})

registerFusedGradient('linear', {
  saveInputs: ['x', 'w'],
  gradient: (dy, [x, w]) => ({
    x: () => runFused('linearInputGradient', { dy, w: w! }),
    w: () => transposedProduct(x!, dy),
    bias: () => runFused('columnSum', { x: dy }),
  }),
})

registerFusedGradient('lowRankLinear', {
  saveInputs: ['x', 'w', 'a', 'b'],
  saveOutputs: [false, true],
  gradient: (dy, [x, w, a, b, t], { scale }) => {
    const dt = runFused('matMul', { a: dy, b: b! }, { transposeA: false, transposeB: true, factor: scale })
    return {
      x: () => runFused('linearInputGradient', { dy, w: w!, dt, a: a! }),
      w: () => transposedProduct(x!, dy),
      a: () => transposedProduct(x!, dt),
      b: () => transposedProduct(t!, dy, scale),
      bias: () => runFused('columnSum', { x: dy }),
    }
  },
})

registerFusedGradient('mutedLinear', {
  saveInputs: ['w', 'a', 'b', 'adapterInput'],
  gradient: (dy, [w, a, b, adapterInput], { scale }) => {
    const devices = a!.shape[0] as number
    const perDevice = (t: Tensor) => reshape(t, [devices, t.shape[0]! / devices, t.shape[1]!])
    return {
      x: () => runFused('linearInputGradient', { dy, w: w! }),
      a: () =>
        tidy(() => {
          const u = matMul(perDevice(dy), b!, { transposeB: true, factor: scale })
          return transposedProduct(perDevice(adapterInput!), u)
        }),
      b: () =>
        tidy(() => {
          const t = matMul(perDevice(adapterInput!), a!)
          return transposedProduct(t, perDevice(dy), scale)
        }),
      bias: () => runFused('columnSum', { x: dy }),
      adapterInput: () => zerosLike(adapterInput!),
    }
  },
})

/** factor * aᵀ b, per slice where of rank 3. */
function transposedProduct(a: Tensor, b: Tensor, factor = 1): Tensor {
  return runFused('matMul', { a, b }, { transposeA: true, transposeB: false, factor })
}

/** Residual connection: a + b of equal shape. */
export function add(a: Tensor, b: Tensor): Tensor {
  assertShape(a.size === b.size && a.rank === b.rank, 'add', a, b)
  return runFused('add', { a, b })
}

registerFusedGradient('add', {
  saveInputs: [],
  gradient: (dy) => ({ a: () => clone(dy), b: () => clone(dy) }),
})
