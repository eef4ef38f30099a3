import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { constants, getPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { launchCommand } from '@rankscope/launch'
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
      run = startRunProcess(entry, order, {
        record: () => {},
        gang: () => {},
        recordsKept: async () => {},
        exit: () => resolve(),
      })
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

describe.skipIf(process.platform !== 'linux')('a run’s process that is halted', () => {
  it('ends with its daemon all the same, even where that is killed', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'rankscope-run-'))
    const config = {
      name: 'deaf',
      data: { source: { kind: 'task', task: 'programs' } },
      method: { name: 'lora' },
    }
    const daemon = join(folder, 'daemon.ts')
    writeFileSync(
      daemon,
      `import { startRunProcess } from ${JSON.stringify(join(import.meta.dirname, 'run-process.ts'))}
      const order = {
        config: ${JSON.stringify(runConfigSchema.parse(config))},
        roots: { models: [], data: [], anywhere: false },
        folder: ${JSON.stringify(folder)}, cacheFolder: null, threads: 1, memoryBytes: null, checkpointFrom: null,
      }
      const entry = new URL('../testing/daemon/fake-run-entry.ts', ${JSON.stringify(import.meta.url)})
      const run = startRunProcess(entry, order, {
        record: () => { run.signal('SIGSTOP'); console.log(String(run.processId)) },
        recordsKept: async () => {},
        exit: () => process.exit(0),
      })`,
    )
    const [program, ...args] = launchCommand(pathToFileURL(daemon))
    const started = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    const run = await new Promise<number>((resolve) =>
      started.stdout.once('data', (part: Buffer) => resolve(Number(part.toString()))),
    )
    const state = () => {
      const file = `/proc/${run}/stat`
      const status = existsSync(file) ? readFileSync(file, 'utf8') : ') gone'
      return status.slice(status.lastIndexOf(')') + 2).split(' ')[0]
    }
    await expect.poll(state).toBe('T')
    started.kill('SIGKILL')
    await expect.poll(state, { timeout: 10_000 }).toMatch(/^(Z|gone)$/)
    rmSync(folder, { recursive: true })
  })
})
