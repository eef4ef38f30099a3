/** Dropout composed of TensorFlow.js ops: the mask is made on the host. Definition: ../kernels.ts. */
import type { Tensor } from '@tensorflow/tfjs-core'
import { mul, tensor } from '@tensorflow/tfjs-core'
import { fillDropoutMask } from '../dropout-mask.ts'
import type { FusedKernels } from '../kernels.ts'

export const composedDropout = {
  dropout: ({ x }, { keys, threshold, factor }) => {
    const mask = new Float32Array(x.size)
    fillDropoutMask(mask, keys, { size: x.size / (keys.length / 2), threshold, factor })
    return mul(x, tensor(mask, x.shape))
  },
} satisfies Partial<FusedKernels<Tensor>>
