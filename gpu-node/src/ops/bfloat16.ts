/** Rounding to bfloat16 (8 significant bits, the range of float32) of values that stay float32. */
import type { Tensor } from '@tensorflow/tfjs-core'
import { clone } from '@tensorflow/tfjs-core'
import { registerFusedGradient } from './register.ts'
import { runFused } from './registry.ts'

/** To nearest, ties to even; for gradients the identity (straight-through). */
export function roundBfloat16(x: Tensor): Tensor {
  return runFused('roundBfloat16', { x })
}

registerFusedGradient('roundBfloat16', {
  saveInputs: [],
  gradient: (dy) => ({ x: () => clone(dy) }),
})
