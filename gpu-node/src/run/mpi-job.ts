/** One MPI job: mpirun or srun, started, asked to end, and killed when it is deaf. What runs it never loads MPI itself. */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { RankscopeError } from '@rankscope/protocol'

/** Ranks of one host: how many, where, and what each of them is. */
export interface HostRanks {
  /** null: this host. */
  readonly address: string | null
  readonly devices: number
  readonly command: readonly string[]
}

export interface Job {
  /** Resolves with how the job ended; throws COLLECTIVE_FAILED where the launcher cannot be started. */
  readonly ended: Promise<string>
  /** Asks, and kills what does not listen. */
  end(): void
}

const killAfterMs = 3000
const endPollMs = 50
const closeAfterMs = 500

/** Open MPI that finds a dead link within seconds rather than hours. */
export const keepAlive = {
  oob_tcp_keepalive_time: '1',
  oob_tcp_keepalive_intvl: '1',
  oob_tcp_keepalive_probes: '3',
} as const

/** A rank that waits inside MPI hands its processor to whoever wants it; Open MPI sees only its own ranks. */
const yielding = { mpi_yield_when_idle: '1' } as const

/**
 * RANKSCOPE_MPIRUN names another launcher, options included. The first host has the first ranks. `settings`: of Open MPI.
 */
export function startJob(hosts: readonly HostRanks[], settings: Readonly<Record<string, string>> = {}): Job {
  const asRoot = process.getuid?.() === 0 ? ['--allow-run-as-root'] : []
  const own = process.env['RANKSCOPE_MPIRUN']?.split(' ').filter((word) => word !== '')
  const [command = 'mpirun', ...before] = own ?? [
    'mpirun',
    ...asRoot,
    ...['--oversubscribe', '--bind-to', 'none'],
  ]
  const ranks = hosts.flatMap(({ address, devices, command: rank }, index) => [
    ...(index > 0 ? [':'] : []),
    ...(address === null ? [] : ['--host', `${address}:${devices}`]),
    ...['-n', String(devices), ...rank],
  ])
  const options = own && hosts.length === 1 ? [] : Object.entries({ ...yielding, ...settings })
  const told = options.flatMap(([name, value]) => ['--mca', name, value])
  return watch(command, [...before, ...told, ...ranks], withoutSlurm())
}

/**
 * Ranks in the allocation of Slurm that this host belongs to, placed as `hosts` says. `folder`: for files that srun reads.
 * `settings`: of Open MPI, as NAME and value.
 */
export function startSrunJob(
  hosts: readonly HostRanks[],
  allocation: string,
  folder: string,
  settings: Readonly<Record<string, string>> = {},
): Job {
  let first = 0
  const programs = hosts.map(({ devices, command }) => {
    const ranks = `${first}-${first + devices - 1}`
    first += devices
    return `${ranks} ${command.join(' ')}`
  })
  const [programFile, hostFile] = [join(folder, 'programs'), join(folder, 'hosts')]
  writeFileSync(programFile, `${programs.join('\n')}\n`)
  writeFileSync(hostFile, hosts.map(({ address, devices }) => `${address}\n`.repeat(devices)).join(''))
  const words = [
    ...[`--jobid=${allocation}`, '--overlap', '--overcommit', '--mpi=pmix', '--cpu-bind=none'],
    ...[`--ntasks=${first}`, `--nodes=${hosts.length}`, '--distribution=arbitrary'],
    ...['--kill-on-bad-exit=1', '--multi-prog', programFile],
  ]
  const told = Object.entries({ ...yielding, ...settings }).map(([name, value]) => [
    `OMPI_MCA_${name}`,
    value,
  ])
  return watch('srun', words, {
    ...withoutSlurm(),
    ...Object.fromEntries(told),
    SLURM_HOSTFILE: hostFile,
  })
}

/** What Slurm tells the task that this process is, or is below of, holds for no job that it starts. */
function withoutSlurm(): NodeJS.ProcessEnv {
  const isToldToTask = (name: string) => /^(SLURM|PMI|PMIX|OMPI_COMM)_/.test(name) && name !== 'SLURM_CONF'
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !isToldToTask(name)))
}

function watch(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Job {
  const job = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], env })
  let complaints = ''
  job.stderr.on('data', (part) => {
    complaints = (complaints + part).slice(-2000)
    // Into the log of the run on this node.
    process.stderr.write(part)
  })
  const leave = () => endNow(job)
  process.once('exit', leave)
  let patience: NodeJS.Timeout | undefined
  const ended = new Promise<string>((resolve, reject) => {
    job.once('error', (cause) => {
      process.off('exit', leave)
      reject(
        new RankscopeError('COLLECTIVE_FAILED', `${command} cannot be started: ${cause.message}`, {
          cause,
          hint: 'Install Open MPI (Debian: openmpi-bin and libopenmpi-dev), or set parallel.mode to virtual.',
        }),
      )
    })
    // What the launcher started may hold on to its output.
    job.once('exit', () => setTimeout(() => job.stderr.destroy(), closeAfterMs).unref())
    job.once('close', (status, signal) => {
      clearTimeout(patience)
      process.off('exit', leave)
      const reason = String(signal ?? `exit code ${status}`)
      const lines = complaints.trim().split('\n').slice(-6)
      resolve(complaints === '' ? reason : `${reason}: ${lines.join(' / ')}`)
    })
  })
  return {
    ended,
    end() {
      job.kill('SIGTERM')
      patience ??= setTimeout(() => job.kill('SIGKILL'), killAfterMs)
    },
  }
}

/**
 * For the moment in which this process leaves, when no timer runs any more: asks the launcher to end its ranks, and kills
 * it when it does not.
 */
function endNow(job: ChildProcess): void {
  job.kill('SIGTERM')
  const clock = new Int32Array(new SharedArrayBuffer(4))
  for (let waitedMs = 0; waitedMs < killAfterMs; waitedMs += endPollMs) {
    if (job.pid === undefined || hasEnded(job.pid)) return
    Atomics.wait(clock, 0, 0, endPollMs)
  }
  job.kill('SIGKILL')
}

/** Gone, or waiting for its parent to notice, which this process no longer does. */
function hasEnded(processId: number): boolean {
  try {
    const status = readFileSync(`/proc/${processId}/stat`, 'utf8')
    return status.slice(status.lastIndexOf(')') + 2).startsWith('Z')
  } catch {
    return true
  }
}
