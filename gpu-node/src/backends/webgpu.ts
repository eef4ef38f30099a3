/** `webgpu`: TensorFlow.js on any vendor's GPU through Dawn. */
import type { Backend } from './backend.ts'
import { unavailable } from './backend.ts'

export const webgpuBackend: Backend = {
  name: 'webgpu',
  async start() {
    throw unavailable('webgpu', 'not part of this version')
  },
}
