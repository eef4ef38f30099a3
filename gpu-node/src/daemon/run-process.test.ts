import { mkdtempSync, rmSync } from 'node:fs'
import { constants, getPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import { runConfigSchema } from '@rankscope/protocol'
import { expect, it } from 'vitest'
import { startRunProcess } from './run-process.ts'

it('a run’s process gives way to the daemon, whatever priority that has', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rankscope-run-'))
  const order = {
    config: runConfigSchema.parse({
      name: 'deaf',
      data: { source: { kind: 'task', task: 'programs' } },
      method: { name: 'lora' },
    }),
    roots: { models: [], data: [], anywhere: false },
    folder,
    cacheFolder: join(folder, 'cache'),
    threads: 1,
    memoryBytes: null,
    checkpointFrom: null,
  }
  await new Promise<void>((resolve) => {
    const entry = new URL('./fake-run-entry.ts', import.meta.url)
    const run = startRunProcess(entry, order, { record: () => {}, exit: () => resolve() })
    const lower = Math.min(getPriority() + 10, constants.priority.PRIORITY_LOW)
    expect(getPriority(run.processId!)).toBe(lower)
    run.signal('SIGKILL')
  })
  rmSync(folder, { recursive: true })
})
