/**
 * Which backends run on this machine, found out in a process of its own: a native library that crashes or takes its
 * time concerns neither the daemon nor its heartbeat.
 */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { launcher } from '@rankscope/launch'
import { backendReportSchema, type NodeHello } from '@rankscope/protocol'
import { z } from 'zod'

export const backendsSchema = z.strictObject({
  backends: z.array(backendReportSchema),
  selectedBackend: z.string(),
})
export type Backends = Pick<NodeHello, 'backends' | 'selectedBackend'>

/** Never fails: where the probe itself dies, the report says how. */
export function probeBackends(threads: number): Promise<Backends> {
  return new Promise((resolve) => {
    const entry = fileURLToPath(new URL('./backend-probe.ts', import.meta.url))
    const child = fork(launcher, [entry, String(threads)], {
      execArgv: [],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    let found: Backends | null = null
    let errors = ''
    child.stderr!.on('data', (chunk: Buffer) => {
      errors = (errors + chunk.toString()).slice(-2000)
    })
    child.on('message', (message) => {
      found = backendsSchema.parse(message)
    })
    child.on('close', (code, signal) => {
      const detail = `the check ended with ${signal ?? `exit code ${code}`} ${errors}`.trim()
      resolve(found ?? { backends: [{ name: 'auto', available: false, detail }], selectedBackend: 'none' })
    })
  })
}
