/** Starts the CUDA backend in a process of its own and says what came of it; RANKSCOPE_PROBE_BYTES are asked for then. */
import { cudaBackend, runningCudaBackend } from '../../backends/cuda.ts'

try {
  const { description, notes } = await cudaBackend.start({ threads: 1 })
  const wanted = Number(process.env['RANKSCOPE_PROBE_BYTES'] ?? 0)
  if (wanted > 0) runningCudaBackend()!.allocate([wanted / 4])
  console.log(`started: ${[description, ...(notes ?? [])].join('; ')}`)
} catch (error) {
  const { code, message, hint } = error as { code?: string; message: string; hint?: string }
  console.log(`${code}: ${message} ${hint ?? ''}`)
}
