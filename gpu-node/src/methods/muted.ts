/**
 * The muted layers of HD-PiSSA: outputs are X W, adapters get gradients (arXiv 2505.18777 §4.3).
 *
 * Three ways to the same gradients. Exactly muted (γ → 0): low-rank products only. With dropout on the weight, or with
 * a literal γ, the released code goes through the dense gradient D_k = X_kᵀ G_k of the muted product, and so does this:
 *
 *   weight dropout:  T = mask / (1 − p) ⊙ s D_k,     gA_k = T B_kᵀ,   gB_k = A_kᵀ T
 *   literal γ:       Y_k = X_k W + γ s (X_k A_k) B_k,   T = γ s D_k,   gA_k = (T B_kᵀ) / γ,   gB_k = (A_kᵀ T) / γ
 *
 * where everything of size γ may underflow in float32, and `flushSubnormals` replaces subnormal numbers by zero as
 * many GPU kernels do.
 */
import type { MethodConfigOf } from '@rankscope/protocol'
import type { Tensor, Tensor2D, Variable } from '@tensorflow/tfjs-core'
import { abs, customGrad, less, mul, reshape, tensor3d, where, zerosLike } from '@tensorflow/tfjs-core'
import { type LinearHook, plainLinear } from '../model/llama.ts'
import type { Model } from '../model/model.ts'
import { add, linear, matMul, mutedLinear } from '../ops/linear.ts'
import type { Dropout } from './dropout.ts'
import type { PassPosition, TargetModule } from './method.ts'

interface MutedUnit {
  readonly target: TargetModule
  /** Adapters of the devices in this process. */
  readonly ownA: Variable
  readonly ownB: Variable
}

interface MutedContext {
  readonly units: ReadonlyMap<string, MutedUnit>
  readonly dropout: Dropout
  /** s */
  readonly scale: number
  readonly model: Model
}

type MutedConfig = Pick<MethodConfigOf<'hd-pissa'>, 'mute' | 'dropout' | 'dropoutMode'>

export function mutedHook(
  config: MutedConfig,
  { units, dropout, scale, model }: MutedContext,
): { linear: LinearHook; beginPass(position: PassPosition): void } {
  const layer = (unit: MutedUnit, x: Tensor2D): Tensor2D => {
    const { target, ownA: a, ownB: b } = unit
    const devices = a.shape[0]!
    const { weight, bias } = target
    if (config.mute !== 'exact') return denseMuted(unit, x, { scale, ...config.mute })
    if (!dropout.active) return mutedLinear(x, weight, a, b, scale, bias)
    if (config.dropoutMode === 'weight') {
      const shape: [number, number, number] = [devices, target.rows, target.columns]
      const mask = dropout.mask(target.name, devices * target.rows, target.columns, target.rows)
      return denseMuted(unit, x, { scale, mask: () => tensor3d(mask, shape) })
    }
    return mutedLinear(x, weight, a, b, scale, bias, dropout.apply(target.name, x))
  }
  const plain = plainLinear(model)
  return {
    beginPass: (position) => dropout.beginPass(position),
    linear(module, x) {
      const unit = units.get(module)
      if (unit) return layer(unit, x)
      return plain(module, x)
    },
  }
}

type DenseMute =
  | { readonly scale: number; readonly mask: () => Tensor }
  | { readonly scale: number; readonly literal: number; readonly flushSubnormals: boolean }

/** A muted layer whose adapter gradients come from the dense D [K, m, n]. */
function denseMuted({ target, ownA: a, ownB: b }: MutedUnit, x: Tensor2D, mute: DenseMute): Tensor2D {
  const { weight, bias } = target
  const devices = a.shape[0]!
  const perDevice = (t: Tensor) => reshape(t, [devices, t.shape[0]! / devices, t.shape[1]!])
  const whole = (t: Tensor) => reshape(t, [t.shape[0]! * t.shape[1]!, t.shape[2]!])
  const gamma = 'literal' in mute ? mute.literal * mute.scale : 0

  const forward = (input: Tensor): Tensor => {
    const y = linear(input, weight, bias)
    if (gamma === 0) return y
    return add(y, whole(matMul(matMul(perDevice(input), a), b, { factor: gamma })))
  }
  const inputGradient = (dy: Tensor): Tensor => {
    const dx = matMul(dy, weight, { transposeB: true })
    if (gamma === 0) return dx
    const branch = matMul(matMul(perDevice(dy), b, { transposeB: true, factor: gamma }), a, {
      transposeB: true,
    })
    return add(dx, whole(branch))
  }
  const adapterGradients = (input: Tensor, dy: Tensor): [Tensor, Tensor] => {
    const dense = matMul(perDevice(input), perDevice(dy), { transposeA: true })
    if (!('literal' in mute)) {
      const masked = mul(mul(dense, mute.mask()), mute.scale)
      return [matMul(masked, b, { transposeB: true }), matMul(a, masked, { transposeA: true })]
    }
    const flushed = (t: Tensor) => (mute.flushSubnormals ? flush(t) : t)
    const muted = flushed(mul(dense, gamma))
    const unmute = (t: Tensor) => mul(flushed(t), 1 / mute.literal)
    return [unmute(matMul(muted, b, { transposeB: true })), unmute(matMul(a, muted, { transposeA: true }))]
  }
  const run = customGrad((input, _a, _b, save) => {
    ;(save as unknown as (tensors: Tensor[]) => void)([input as Tensor])
    return {
      value: forward(input as Tensor),
      gradFunc: (dy: Tensor, saved: Tensor[]) => [inputGradient(dy), ...adapterGradients(saved[0]!, dy)],
    }
  })
  return run(x, a, b) as Tensor2D
}

const smallestNormal = 2 ** -126

/** Subnormal numbers become zero. */
function flush(t: Tensor): Tensor {
  return where(less(abs(t), smallestNormal), zerosLike(t), t)
}
