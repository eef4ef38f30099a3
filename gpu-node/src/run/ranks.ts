/**
 * A run with one process per device: starts an MPI job and forwards what its ranks tell. The process that calls this
 * never loads MPI itself. A job is all or nothing: when a rank is lost the launcher ends the others, and the run fails
 * with COLLECTIVE_FAILED, to be started again from its checkpoint.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { launchCommand } from '@rankscope/launch'
import { errorPayload, RankscopeError, type RecordBody, type RunConfig } from '@rankscope/protocol'
import type { RunEnvironment, RunOutcome, RunRequest } from './environment.ts'
import { MessageReader, writeMessage } from './rank-messages.ts'

/** What every rank is told, as a JSON file. */
export interface RankOrder {
  readonly config: RunConfig
  readonly socket: string
  readonly environment: Pick<
    RunEnvironment,
    | 'roots'
    | 'folder'
    | 'cacheFolder'
    | 'threads'
    | 'memoryBytes'
    | 'checkpointFrom'
    | 'formerPlaces'
    | 'keepAtMost'
    | 'onFullDisk'
  >
}

export type FromRank =
  | { readonly type: 'hello'; readonly rank: number }
  | { readonly type: 'record'; readonly body: RecordBody }
  | { readonly type: 'outcome'; readonly rank: number; readonly outcome: RunOutcome }
  /** To be answered when the records before it are kept. */
  | { readonly type: 'flush' }
export type ToRank = { readonly type: 'request'; readonly request: RunRequest } | { readonly type: 'flushed' }

/** What the ranks have said so far. */
interface Told {
  /** Rank 0's. */
  outcome: RunOutcome | null
  /** The first of another rank. */
  failure: Extract<RunOutcome, { state: 'failed' }> | null
  /** Whether rank 0 told of a failure itself. */
  failed: boolean
  steps: number
}

const requestPollMs = 100
const killAfterMs = 3000
const endPollMs = 50

/** Runs `config` with K ranks. Never throws, as executeRun. RANKSCOPE_MPIRUN names another launcher, options included. */
export async function runRanks(config: RunConfig, environment: RunEnvironment): Promise<RunOutcome> {
  const folder = mkdtempSync(join(tmpdir(), 'rankscope-ranks-'))
  const { devices } = config.parallel
  const { roots, cacheFolder, threads, memoryBytes, checkpointFrom, emit } = environment
  const { formerPlaces, keepAtMost, onFullDisk } = environment
  const order: RankOrder = {
    config,
    socket: join(folder, 'ranks.sock'),
    environment: {
      roots,
      folder: environment.folder,
      cacheFolder,
      threads: Math.max(1, Math.floor((config.resources.threads ?? threads) / devices)),
      memoryBytes: memoryBytes === null ? null : memoryBytes / devices,
      checkpointFrom,
      ...(formerPlaces && { formerPlaces }),
      ...(keepAtMost !== undefined && { keepAtMost }),
      ...(onFullDisk && { onFullDisk }),
    },
  }
  const orderFile = join(folder, 'order.json')
  writeFileSync(orderFile, JSON.stringify(order))
  const told: Told = { outcome: null, failure: null, failed: false, steps: 0 }
  const heard: Promise<void>[] = []
  const server = createServer((socket) => {
    heard.push(listen(socket, environment, told))
  })
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(order.socket, resolve)
    })
    const ended = await launch(devices, orderFile)
    // What the ranks said last may still be on its way; one that outlives its job is not waited for.
    await Promise.race([Promise.all(heard), setTimeout(killAfterMs, undefined, { ref: false })])
    // Where every rank fails alike, the run fails once.
    if (told.failure && !told.failed) emit({ kind: 'lifecycle', state: 'failed', error: told.failure.error })
    const outcome = told.failed ? told.outcome : (told.failure ?? told.outcome)
    if (outcome) return outcome
    throw new RankscopeError('COLLECTIVE_FAILED', `the MPI job ended (${ended}) before its run did`, {
      hint: 'A rank was lost; start the run again from its checkpoint.',
    })
  } catch (error) {
    const payload = errorPayload(error)
    emit({ kind: 'lifecycle', state: 'failed', error: payload })
    return { state: 'failed', steps: told.steps, error: payload }
  } finally {
    server.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * Records come from rank 0 alone; an outcome from every rank, of which a failure counts first. Resolves when the rank has
 * closed its connection.
 */
function listen(socket: Socket, environment: RunEnvironment, told: Told): Promise<void> {
  const { emit, control } = environment
  const recordsKept = () => environment.recordsKept?.()
  let requests: NodeJS.Timeout | undefined
  const sent = new Set<RunRequest>()
  const send = (request: RunRequest) => writeMessage(socket, { type: 'request', request } satisfies ToRank)
  const reader = new MessageReader((value) => {
    const message = value as FromRank
    switch (message.type) {
      case 'hello':
        if (message.rank !== 0) return
        requests = setInterval(() => {
          const { leave } = control
          if (control.takeCheckpointRequest()) send('checkpoint')
          if (leave === null || sent.has(leave)) return
          sent.add(leave)
          send(leave)
        }, requestPollMs)
        return
      case 'record':
        if (message.body.kind === 'lifecycle' && message.body.state === 'failed') told.failed = true
        if (message.body.kind === 'scalars') told.steps = message.body.step
        emit(message.body)
        return
      case 'flush':
        void Promise.resolve(recordsKept()).then(() =>
          writeMessage(socket, { type: 'flushed' } satisfies ToRank),
        )
        return
      case 'outcome':
        if (message.rank === 0) told.outcome = message.outcome
        else if (message.outcome.state === 'failed') told.failure ??= message.outcome
        return
      default:
        message satisfies never
    }
  })
  socket.on('data', (part) => reader.push(part))
  // A rank that dies breaks its connection; the job's end tells why.
  socket.on('error', () => undefined)
  return new Promise((resolve) => {
    socket.on('close', () => {
      clearInterval(requests)
      resolve()
    })
  })
}

/** Resolves with how the job ended. Throws COLLECTIVE_FAILED where the launcher cannot be started. */
function launch(size: number, orderFile: string): Promise<string> {
  const asRoot = process.getuid?.() === 0 ? ['--allow-run-as-root'] : []
  const own = process.env['RANKSCOPE_MPIRUN']?.split(' ').filter((word) => word !== '')
  const [command = 'mpirun', ...options] = own ?? [
    'mpirun',
    ...asRoot,
    '--oversubscribe',
    '--bind-to',
    'none',
  ]
  const rank = launchCommand(new URL('./rank-entry.ts', import.meta.url), orderFile)
  return new Promise((resolve, reject) => {
    const job = spawn(command, [...options, '-n', String(size), ...rank], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let complaints = ''
    job.stderr.on('data', (part) => {
      complaints = (complaints + part).slice(-2000)
    })
    const end = () => endNow(job)
    process.once('exit', end)
    job.once('error', (cause) => {
      process.off('exit', end)
      reject(
        new RankscopeError('COLLECTIVE_FAILED', `${command} cannot be started: ${cause.message}`, {
          cause,
          hint: 'Install Open MPI (Debian: openmpi-bin and libopenmpi-dev), or set parallel.mode to virtual.',
        }),
      )
    })
    job.once('close', (status, signal) => {
      process.off('exit', end)
      const reason = signal ?? `exit code ${status}`
      resolve(
        complaints === ''
          ? String(reason)
          : `${reason}: ${complaints.trim().split('\n').slice(-6).join(' / ')}`,
      )
    })
  })
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
