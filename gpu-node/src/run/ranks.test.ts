/** A job of ranks that goes wrong: launchers and ranks that die, are deaf, or lose the process that started them. */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { launchCommand } from '@rankscope/launch'
import { type RecordBody, runConfigSchema } from '@rankscope/protocol'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { RunControl } from './environment.ts'
import { runRanks } from './ranks.ts'

const mpiMissing =
  spawnSync('mpirun', ['--version']).status === 0
    ? null
    : 'skipped: mpirun is not installed (Debian: openmpi-bin, libopenmpi-dev)'

const config = {
  model: { path: fileURLToPath(new URL('../../../models/rankscope-mini', import.meta.url)) },
  data: { source: { kind: 'task', task: 'arithmetic' } },
  method: { name: 'lora', rank: 2 },
  parallel: { devices: 2, mode: 'processes' },
  training: { globalBatchSize: 2, microBatchSize: 1, maxSteps: 100_000, epochs: 10_000 },
  spectra: { everySteps: null, atEnd: false },
}

describe('a job of ranks', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'rankscope-job-'))
  })
  afterEach(() => {
    vi.unstubAllEnvs()
    rmSync(folder, { recursive: true, force: true })
  })
  /** A program in place of mpirun. */
  const launcher = (code: string) => {
    const file = join(folder, 'launcher.mjs')
    writeFileSync(file, code)
    return `${process.execPath} ${file}`
  }
  const processIdIn = (name: string) => Number(readFileSync(join(folder, name), 'utf8'))
  const leavingRun = (args: string[], environment: Record<string, string>) => {
    const entry = new URL('../testing/run/leaving-run.ts', import.meta.url)
    const [program, ...rest] = launchCommand(entry, JSON.stringify(config), folder, ...args)
    return spawn(program, rest, {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
  }

  it('of which a rank dies with messages unread fails by its code, and takes nobody along', async () => {
    vi.stubEnv(
      'RANKSCOPE_MPIRUN',
      launcher(`
        import { readFileSync, writeFileSync } from 'node:fs'
        import { createConnection } from 'node:net'
        import { serialize } from 'node:v8'
        const { socket } = JSON.parse(readFileSync(process.argv.at(-1), 'utf8'))
        writeFileSync(${JSON.stringify(join(folder, 'rank'))}, String(process.pid))
        const connection = createConnection(socket).pause()
        for (const message of [{ type: 'hello', rank: 0 }, { type: 'flush' }]) {
          const body = serialize(message)
          const length = Buffer.alloc(4)
          length.writeUInt32LE(body.length)
          connection.write(Buffer.concat([length, body]))
        }
        setInterval(() => {}, 1000)`),
    )
    const records: RecordBody[] = []
    const outcome = await runRanks(runConfigSchema.parse(config), {
      roots: { models: [], data: [], anywhere: true },
      folder,
      cacheFolder: null,
      threads: 1,
      memoryBytes: null,
      checkpointFrom: null,
      control: new RunControl(),
      // Answered, and not read: the end of the rank then breaks the connection instead of closing it.
      recordsKept: async () => {
        setTimeout(() => process.kill(processIdIn('rank'), 'SIGKILL'))
      },
      emit: (body) => records.push(body),
    })
    const error = { code: 'COLLECTIVE_FAILED', message: expect.stringContaining('SIGKILL') }
    expect(outcome).toMatchObject({ state: 'failed', error })
    expect(records).toMatchObject([{ kind: 'lifecycle', state: 'failed', error }])
  })

  it('whose launcher is deaf is killed when the run’s process leaves', async () => {
    const run = leavingRun([], {
      RANKSCOPE_MPIRUN: launcher(`
        import { writeFileSync } from 'node:fs'
        process.on('SIGTERM', () => writeFileSync(${JSON.stringify(join(folder, 'asked'))}, ''))
        writeFileSync(${JSON.stringify(join(folder, 'started'))}, String(process.pid))
        setInterval(() => {}, 1000)`),
    })
    await new Promise((resolve) => run.on('close', resolve))
    expect(readdirSync(folder), 'it was asked first').toContain('asked')
    await expect.poll(() => isAlive(processIdIn('started'))).toBe(false)
  })

  it.skipIf(mpiMissing)(`ends by itself where the run’s process was killed ${mpiMissing ?? ''}`, async () => {
    const run = leavingRun(['stay'], { TMPDIR: folder })
    await new Promise((resolve) => run.stdout.once('data', resolve))
    expect(jobProcesses(folder).length).toBeGreaterThan(2)
    run.kill('SIGKILL')
    await expect.poll(() => jobProcesses(folder), { timeout: 20_000 }).toEqual([])
  })
})

/** One that waits for its parent to notice has ended. */
function isAlive(processId: number): boolean {
  try {
    const status = readFileSync(`/proc/${processId}/stat`, 'utf8')
    return !status.slice(status.lastIndexOf(')') + 2).startsWith('Z')
  } catch {
    return false
  }
}

/** Launcher and ranks, by the path of their order. */
function jobProcesses(folder: string): number[] {
  const ids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return ids.map(Number).filter((processId) => {
    try {
      return readFileSync(`/proc/${processId}/cmdline`, 'utf8').includes(join(folder, 'rankscope-ranks-'))
    } catch {
      return false
    }
  })
}
