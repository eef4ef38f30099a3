/**
 * Linear layers in the paper's orientation: x [N,m], W [m,n], y = x W.
 *
 * - `linear`: everything trainable (full fine-tuning) or frozen.
 * - `lowRankLinear`: y = x W + scale (x A) B with A [m,r], B [r,n] (LoRA, PiSSA); with dropout x~ takes x's place in the
 *   adapter, recomputed for the gradient and never kept.
 * - `mutedLinear`: HD-PiSSA with the mute taken to its limit (arXiv 2505.18777 §4.3): K adapters A_k [m,r],
 *   B_k [r,n] get gradients but add nothing to the output.
 *
 * With G = dL/dy: dW = xᵀ G, dx = G Wᵀ (+ scale (G Bᵀ) Aᵀ), dA = scale xᵀ (G Bᵀ), dB = scale (x A)ᵀ G.
 */

import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import { clone, engine, registerGradient, reshape, zerosLike } from '@tensorflow/tfjs-core'
import type { DropoutAttributes } from './kernels.ts'
import { addingToSum, assertShape, registerFusedGradient } from './register.ts'
import { detachKernel, runFused } from './registry.ts'

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

/** x W + scale (x~ A) B (+ bias), x~ = dropout(x) where there is dropout, else x; rows of an example are contiguous. */
export function lowRankLinear(
  x: Tensor,
  w: Tensor,
  a: Tensor,
  b: Tensor,
  scale: number,
  bias?: Tensor,
  dropout?: DropoutAttributes,
): Tensor2D {
  const [m, n] = w.shape
  const fits = x.shape[1] === m && a.shape[0] === m && a.shape[1] === b.shape[0] && b.shape[1] === n
  assertShape(x.rank === 2 && fits, 'lowRankLinear', x, w, a, b)
  const attributes = { scale, ...(dropout && { dropout }) }
  return runFused('lowRankLinear', { x, w, a, b, ...(bias && { bias }) }, attributes) as Tensor2D
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
    x: inputGradient(dy, w!),
    w: () => transposedProduct(x!, dy),
    bias: () => runFused('columnSum', { x: dy }),
  }),
})

registerFusedGradient('lowRankLinear', {
  saveInputs: ['x', 'w', 'a', 'b'],
  gradient: (dy, [x, w, a, b], { scale, dropout }) => {
    const oneDevice = (t: Tensor) => reshape(t, [1, ...t.shape])
    const adapters = { a: oneDevice(a!), b: oneDevice(b!) }
    const seen = dropout ? runFused('dropout', { x: x! }, dropout) : x!
    const [da, db, dt] = runFused('adapterGradients', { x: seen, dy, ...adapters }, { scale })
    if (dropout) seen.dispose()
    return {
      x: inputGradient(dy, w!, { dt, a: a!, ...(dropout && { dropout }) }),
      w: () => transposedProduct(x!, dy),
      a: () => reshape(da, a!.shape),
      b: () => reshape(db, b!.shape),
      bias: () => runFused('columnSum', { x: dy }),
    }
  },
})

registerFusedGradient('mutedLinear', {
  saveInputs: ['w', 'a', 'b', 'adapterInput'],
  gradient: (dy, [w, a, b, adapterInput], { scale }) => {
    const [da, db] = runFused('adapterGradients', { x: adapterInput!, dy, a: a!, b: b! }, { scale })
    return {
      x: inputGradient(dy, w!),
      a: () => da,
      b: () => db,
      bias: () => runFused('columnSum', { x: dy }),
      adapterInput: () => zerosLike(adapterInput!),
    }
  },
})

/** dy Wᵀ (+ dt aᵀ, through dropout), added to the gradients of other layers with the same input. */
function inputGradient(
  dy: Tensor,
  w: Tensor,
  adapter?: { dt: Tensor; a: Tensor; dropout?: DropoutAttributes },
): () => Tensor {
  const { dropout, ...factors } = adapter ?? {}
  return addingToSum((sum) =>
    runFused('linearInputGradient', { dy, w, ...factors, ...(sum && { sum }) }, dropout ? { dropout } : {}),
  )
}

/** aᵀ b */
function transposedProduct(a: Tensor, b: Tensor): Tensor {
  return runFused('matMul', { a, b }, { transposeA: true, transposeB: false, factor: 1 })
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
