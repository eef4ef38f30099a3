/**
 * The runs of this node: starts a process for each assignment, writes what it tells into the spool, passes commands
 * on, and finds the last word for a process that ended without one. When the spool is full the processes are halted
 * (SIGSTOP) until the server has taken enough: a trainer waits for the disk’s room, never for the network.
 */
import { existsSync, realpathSync } from 'node:fs'
import { join, sep } from 'node:path'
import {
  type Assignment,
  errorPayload,
  type NodeCommand,
  RankscopeError,
  type RecordBody,
  recordBodySchema,
} from '@rankscope/protocol'
import type { Roots } from '../run/run.ts'
import { killLeftover, processStart, residentMemoryBytes } from './process-identity.ts'
import { explainExit, type RunExit } from './run-exit.ts'
import { type RunProcess, startRunProcess } from './run-process.ts'
import { isLastWord, type NewRecord, type RunKey, type Spool } from './spool.ts'

export interface SupervisorOptions {
  readonly spool: Spool
  /** `<runId>/<attempt>` below it is the folder of a run. */
  readonly runsFolder: string
  readonly cacheFolder: string
  readonly roots: Roots
  readonly slots: number
  readonly threadsPerRun: number
  /** Memory of this machine that runs may take together. */
  readonly memoryBytes: number
  /** Bytes in the spool above which runs are halted. */
  readonly spoolBytes: number
  /** How long a stopped run may go on before its process is killed. */
  readonly stopGraceMs: number
  readonly runEntry: URL
  /** New records are on disk. */
  spooled(): void
  report(line: string): void
}

interface ActiveRun extends RunKey {
  readonly name: string
  readonly process: RunProcess
  /** The last word was said; the slot is free although the process may still be leaving. */
  done: boolean
  stopping: boolean
  killTimer: NodeJS.Timeout | null
}

export class RunSupervisor {
  readonly #options: SupervisorOptions
  readonly #runs = new Map<string, ActiveRun>()
  #waiting: NewRecord[] = []
  #halted = false
  #idle: (() => void)[] = []

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#endLeftovers()
  }

  /** Starts a run. Throws NODE_BUSY without a free slot; the same assignment again changes nothing. */
  assign(assignment: Assignment): void {
    const { runId, attempt, name, config, resumeFrom } = assignment
    const { spool, slots, threadsPerRun } = this.#options
    if (!/^[\w-]+$/.test(runId))
      throw new RankscopeError('MESSAGE_INVALID', `a run id may hold letters, digits, _ and - only: ${runId}`)
    if (this.#runs.has(keyOf(assignment))) return
    if (this.#occupied() >= slots)
      throw new RankscopeError('NODE_BUSY', `all ${slots} slots of the node are taken`)
    if (!spool.open({ runId, attempt })) return

    try {
      if (resumeFrom !== null) this.#checkCheckpoint(resumeFrom)
    } catch (error) {
      this.#write({ runId, attempt }, { kind: 'lifecycle', state: 'failed', error: errorPayload(error) })
      return
    }
    const process = startRunProcess(
      this.#options.runEntry,
      {
        config,
        roots: this.#options.roots,
        folder: join(this.#options.runsFolder, runId, String(attempt)),
        cacheFolder: this.#options.cacheFolder,
        threads: config.resources.threads ?? threadsPerRun,
        memoryBytes: this.#freeMemoryBytes(),
        checkpointFrom: resumeFrom,
      },
      {
        record: (timeMs, body) => this.#receive(run, timeMs, body),
        exit: (exit) => this.#finish(run, exit),
      },
    )
    const run: ActiveRun = { runId, attempt, name, process, done: false, stopping: false, killTimer: null }
    this.#runs.set(keyOf(run), run)
    if (process.processId !== null) spool.setProcess(run, process.processId, processStart(process.processId))
    this.#options.report(`${name}: started (attempt ${attempt}, process ${process.processId ?? '?'})`)
  }

  /** Passes a command on. Throws NOT_FOUND where no process serves that attempt any more. */
  command({ runId, attempt, command }: NodeCommand): void {
    const run = this.#runs.get(keyOf({ runId, attempt }))
    if (run === undefined || run.done)
      throw new RankscopeError('NOT_FOUND', `attempt ${attempt} of run ${runId} is not alive on this node`)
    this.#options.report(`${run.name}: ${command}`)
    if (command === 'stop') this.#stop(run)
    else run.process.request(command)
  }

  /** The server has no use for these any more. */
  abandon(runs: readonly RunKey[]): void {
    for (const key of runs) {
      const run = this.#runs.get(keyOf(key))
      if (run !== undefined && !run.done) this.#stop(run)
    }
  }

  /** Runs that this node speaks for: a process is alive, or the last word still waits in the spool. */
  active(): { runId: string; attempt: number; residentMemoryBytes: number | null }[] {
    const alive = [...this.#runs.values()].map(({ runId, attempt, process }) => ({
      runId,
      attempt,
      residentMemoryBytes: process.processId === null ? null : residentMemoryBytes(process.processId),
    }))
    const told = this.#options.spool
      .untold()
      .filter((key) => !this.#runs.has(keyOf(key)))
      .map((key) => ({ ...key, residentMemoryBytes: null }))
    return [...alive, ...told]
  }

  /** The server took records: let halted runs go on when there is room again. */
  relieved(): void {
    if (!this.#halted || this.#options.spool.bytes > this.#options.spoolBytes * 0.8) return
    this.#halted = false
    this.#options.report('the spool has room again: runs go on')
    for (const run of this.#runs.values()) run.process.signal('SIGCONT')
  }

  /**
   * Ends all processes: asks each for a checkpoint, waits for it up to `graceMs`, then kills. No last word is written:
   * the server takes the runs for lost and starts them again from that checkpoint.
   */
  async shutdown(graceMs: number): Promise<void> {
    const alive = [...this.#runs.values()]
    if (alive.length === 0) return
    const checkpoints = new Promise<void>((resolve) => {
      const missing = new Set(alive.filter((run) => !run.done).map(keyOf))
      this.#onCheckpoint = (run) => {
        missing.delete(keyOf(run))
        if (missing.size === 0) resolve()
      }
      if (missing.size === 0) resolve()
      const timer = setTimeout(resolve, graceMs)
      void this.#whenIdle().then(() => {
        clearTimeout(timer)
        resolve()
      })
    })
    for (const run of alive) run.process.request('checkpoint')
    await checkpoints
    this.#closing = true
    for (const run of this.#runs.values()) run.process.signal('SIGKILL')
    await this.#whenIdle()
    this.#flush()
  }

  #closing = false
  #onCheckpoint: (run: RunKey) => void = () => {}

  #receive(run: ActiveRun, timeMs: number, value: RecordBody): void {
    if (run.done) return
    const parsed = recordBodySchema.safeParse(value)
    const body: RecordBody = parsed.success
      ? parsed.data
      : {
          kind: 'log',
          level: 'error',
          message: `a ${String(value?.kind)} record did not fit the protocol and was left out: ${parsed.error.message}`,
        }
    if (isLastWord(body)) {
      run.done = true
      this.#options.report(`${run.name}: ${(body as { state?: string }).state}`)
    }
    this.#write(run, body, timeMs)
    if (body.kind === 'checkpoint') this.#onCheckpoint(run)
  }

  /** Records that arrive in one turn of the event loop share one transaction; a slow disk makes larger ones. */
  #write({ runId, attempt }: RunKey, body: RecordBody, timeMs = Date.now()): void {
    if (this.#waiting.length === 0) setImmediate(() => this.#flush())
    this.#waiting.push({ runId, attempt, timeMs, body })
  }

  #flush(): void {
    if (this.#waiting.length === 0) return
    const records = this.#waiting
    this.#waiting = []
    this.#options.spool.append(records)
    this.#options.spooled()
    if (this.#options.spool.bytes <= this.#options.spoolBytes) return
    if (!this.#halted)
      this.#options.report(
        `the spool holds ${Math.round(this.#options.spool.bytes / 2 ** 20)} MiB that the server has not taken: runs wait`,
      )
    this.#halted = true
    for (const run of this.#runs.values()) if (!run.stopping) run.process.signal('SIGSTOP')
  }

  #stop(run: ActiveRun): void {
    run.stopping = true
    run.process.request('stop')
    // A halted process cannot hear; it may write its last records whatever the spool holds.
    if (this.#halted) run.process.signal('SIGCONT')
    run.killTimer ??= setTimeout(() => run.process.signal('SIGKILL'), this.#options.stopGraceMs)
  }

  #finish(run: ActiveRun, exit: RunExit): void {
    if (run.killTimer !== null) clearTimeout(run.killTimer)
    this.#runs.delete(keyOf(run))
    if (!run.done && !this.#closing) {
      run.done = true
      const body: RecordBody = run.stopping
        ? { kind: 'lifecycle', state: 'stopped', error: null }
        : { kind: 'lifecycle', state: 'failed', error: explainExit(exit) }
      this.#write(run, body)
      this.#options.report(`${run.name}: ${body.error === null ? 'stopped' : body.error.message}`)
    }
    if (this.#runs.size === 0) for (const resolve of this.#idle.splice(0)) resolve()
  }

  #whenIdle(): Promise<void> {
    return this.#runs.size === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve))
  }

  #occupied(): number {
    return [...this.#runs.values()].filter((run) => !run.done).length
  }

  #freeMemoryBytes(): number {
    const used = this.active().reduce((sum, run) => sum + (run.residentMemoryBytes ?? 0), 0)
    return Math.max(0, this.#options.memoryBytes - used)
  }

  /** A checkpoint must be one of this node’s own. Throws PATH_FORBIDDEN or CHECKPOINT_BROKEN. */
  #checkCheckpoint(path: string): void {
    if (!existsSync(path))
      throw new RankscopeError('CHECKPOINT_BROKEN', `there is no checkpoint at ${path} on this node`, {
        hint: 'start the run afresh, or on the node that wrote it',
      })
    if (!realpathSync(path).startsWith(realpathSync(this.#options.runsFolder) + sep))
      throw new RankscopeError('PATH_FORBIDDEN', `the checkpoint ${path} lies outside this node’s runs`)
  }

  /** Processes of an earlier daemon: they leave by themselves when the channel closes; a stuck one is killed. */
  #endLeftovers(): void {
    const { spool, report } = this.#options
    for (const { runId, attempt, processId, processStart: start } of spool.unfinished()) {
      if (processId !== null && start !== null && killLeftover(processId, start))
        report(`killed process ${processId}, left by an earlier daemon`)
      const message = 'The node daemon was started anew; this attempt ended with the old one.'
      spool.append([{ runId, attempt, timeMs: Date.now(), body: { kind: 'log', level: 'warning', message } }])
      spool.abandon({ runId, attempt })
    }
  }
}

function keyOf({ runId, attempt }: RunKey): string {
  return `${runId}/${attempt}`
}
