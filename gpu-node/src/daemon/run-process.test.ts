import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { constants, getPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import { runConfigSchema } from '@rankscope/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type RunProcess, startRunProcess } from './run-process.ts'

/** Linux may weigh sessions against one another: `/autogroup-128 nice 0`. */
const weightOf = (processId: number | string) => readFileSync(`/proc/${processId}/autogroup`, 'utf8').trim()
const sessionsAlike = existsSync('/proc/self/autogroup')
  ? null
  : 'skipped: the system does not weigh sessions'

describe('a run’s process gives way', () => {
  let folder = ''
  let run: RunProcess
  let gone: Promise<void>
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'rankscope-run-'))
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
    const entry = new URL('../testing/daemon/fake-run-entry.ts', import.meta.url)
    gone = new Promise((resolve) => {
      run = startRunProcess(entry, order, { record: () => {}, exit: () => resolve() })
    })
  })
  afterEach(async () => {
    run.signal('SIGKILL')
    await gone
    rmSync(folder, { recursive: true })
  })
  const lower = Math.min(getPriority() + 10, constants.priority.PRIORITY_LOW)

  it('to the daemon, whatever priority that has', () => {
    expect(getPriority(run.processId!)).toBe(lower)
  })

  it.skipIf(sessionsAlike)(`as a session of its own to all others ${sessionsAlike ?? ''}`, async () => {
    await expect.poll(() => weightOf(run.processId!)).toMatch(new RegExp(` nice ${lower}$`))
    expect(weightOf(run.processId!).split(' ')[0]).not.toBe(weightOf('self').split(' ')[0])
  })
})
