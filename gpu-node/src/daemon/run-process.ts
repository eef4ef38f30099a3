/** One run’s process as the daemon sees it: started, asked, watched until it is gone. */
import { type ChildProcess, fork } from 'node:child_process'
import { createWriteStream, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { launcher } from '@rankscope/launch'
import type { RecordBody } from '@rankscope/protocol'
import { giveWay } from '../priority.ts'
import type { RunRequest } from '../run/run.ts'
import { RecentMemoryKills, type RunExit } from './run-exit.ts'
import type { MessageFromRun, MessageToRun, RunOrder } from './run-messages.ts'

export interface RunProcess {
  readonly processId: number | null
  request(request: RunRequest): void
  /** From another node that shares the run. */
  hear(from: string, body: Uint8Array<ArrayBuffer>): void
  signal(signal: NodeJS.Signals): void
}

export interface RunProcessEvents {
  record(timeMs: number, body: RecordBody): void
  /** To another node that shares the run. */
  gang(to: string, body: Uint8Array<ArrayBuffer>): void
  /** Resolves when the records so far are on disk. */
  recordsKept(): Promise<void>
  /** After the last record, when the process and its output are closed. Called once. */
  exit(exit: RunExit): void
}

const keptLines = 40
const logBytes = 16 * 2 ** 20
/** What the kernel counted longer ago than twice this has nothing to do with how a process ended. */
const memoryTurnMs = 2000

/** Forks `entry` (a TypeScript module that calls `serveRun`) and sends it the order. */
export function startRunProcess(entry: URL, order: RunOrder, events: RunProcessEvents): RunProcess {
  mkdirSync(order.folder, { recursive: true })
  const memoryKills = new RecentMemoryKills()
  const turns = setInterval(() => memoryKills.turn(), memoryTurnMs)
  turns.unref()
  const child = fork(launcher, [fileURLToPath(entry)], {
    execArgv: [],
    // A session of its own: it is weighed apart from the daemon (priority.ts), and Ctrl-C in a terminal reaches the
    // daemon only, which decides what happens to runs.
    detached: true,
    // Idle OpenMP threads that spin take the processor away from the runs beside them.
    env: { ...process.env, OMP_NUM_THREADS: String(order.threads), OMP_WAIT_POLICY: 'passive' },
    serialization: 'advanced',
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  if (child.pid !== undefined) giveWay(child.pid)
  const lastLines = keepOutput(child, join(order.folder, 'process.log'))

  let failure: string | null = null
  child.on('message', (message) => {
    const told = message as MessageFromRun
    if (told.type === 'record') events.record(told.timeMs, told.body)
    else if (told.type === 'gang') events.gang(told.to, told.body)
    else void events.recordsKept().then(() => send(child, { type: 'flushed', flush: told.flush }))
  })
  // A process that never started, or a channel that broke: `close` follows and tells.
  child.on('error', (error) => {
    failure = error.message
  })
  child.on('close', (code, signal) => {
    clearInterval(turns)
    events.exit({
      code,
      signal,
      lastLines: failure === null ? lastLines : [...lastLines, failure],
      kernelKilledForMemory: memoryKills.any,
    })
  })
  send(child, { type: 'start', order })

  return {
    processId: child.pid ?? null,
    hear: (from, body) => send(child, { type: 'gang', from, body }),
    request: (request) => send(child, { type: 'request', request }),
    signal: (signal) => {
      child.kill(signal)
    },
  }
}

/** A process that is going down takes no message; its exit tells the rest. */
function send(child: ChildProcess, message: MessageToRun): void {
  if (child.connected) child.send(message, () => {})
}

/** Writes stdout and stderr to the run’s log, and keeps the last lines of stderr. */
function keepOutput(child: ChildProcess, file: string): string[] {
  const log = createWriteStream(file, { flags: 'a' })
  // A full disk costs the log, not the daemon; the last lines are kept in memory all the same.
  log.on('error', () => {})
  const lastLines: string[] = []
  let written = 0
  const write = (line: string) => {
    if (written > logBytes) return
    written += line.length + 1
    log.write(`${line}\n`)
    if (written > logBytes) log.write('(the log is full; later lines are left out)\n')
  }
  createInterface({ input: child.stdout! }).on('line', write)
  createInterface({ input: child.stderr! }).on('line', (line) => {
    write(line)
    lastLines.push(line)
    if (lastLines.length > keptLines) lastLines.shift()
  })
  child.on('close', () => log.end())
  return lastLines
}
