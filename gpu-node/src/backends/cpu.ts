/** `cpu`: TensorFlow.js's plain JavaScript backend. Slow and everywhere: for tests and as the last resort. */

import '@tensorflow/tfjs-backend-cpu'
import { setBackend } from '@tensorflow/tfjs-core'
import { registerComposedKernels } from '../ops/composed/index.ts'

export async function startCpu(): Promise<void> {
  registerComposedKernels('cpu')
  await setBackend('cpu')
}
