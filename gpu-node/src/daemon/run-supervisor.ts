/**
 * The runs of this node: starts a process for each assignment, writes what it tells into the spool, passes commands
 * on, and finds the last word for a process that ended without one. When the spool or the disk is full the processes
 * are halted (SIGSTOP) until there is room: a trainer waits for the disk’s room, never for the network.
 */
import { appendFileSync, existsSync, realpathSync } from 'node:fs'
import { dirname, join, sep } from 'node:path'
import {
  type Assignment,
  deviceSlots,
  type ErrorPayload,
  errorPayload,
  type GangMessage,
  type NodeCommand,
  RankscopeError,
  type RecordBody,
  type Remains,
} from '@rankscope/protocol'
import type { Roots } from '../run/run.ts'
import { whenAwakeFor } from './patience.ts'
import { killLeftover, processStart, residentMemoryBytes } from './process-identity.ts'
import { fitBody, RecordQueue, refusedFile } from './record-queue.ts'
import { explainExit, type RunExit } from './run-exit.ts'
import { RunFolders } from './run-folders.ts'
import { type RunProcess, startRunProcess } from './run-process.ts'
import { isLastWord, type RunKey, type Spool, type SpooledRecord } from './spool.ts'

export interface SupervisorOptions {
  readonly spool: Spool
  readonly nodeId: string
  tellGang(message: GangMessage): void
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
  /** Checkpoints of a run that are kept at most, and what all checkpoints here may take; null: no such limit. */
  readonly keepCheckpoints: number | null
  readonly checkpointBytes: number | null
  /** How long a stopped run may go on before its process is killed. */
  readonly stopGraceMs: number
  /** How long to wait before a full disk is tried again. */
  readonly diskRetryMs: number
  readonly runEntry: URL
  /** New records are on disk. */
  spooled(): void
  report(line: string): void
}

interface ActiveRun extends RunKey {
  readonly name: string
  readonly process: RunProcess
  /** Slots that it takes here. */
  readonly devices: number
  /** Holds ranks of a run that another node leads: it has no records of its own. */
  readonly follows: boolean
  /** The last word was said; the slot is free although the process may still be leaving. */
  done: boolean
  stopping: boolean
  endPatience: (() => void) | null
  readonly gone: Promise<void>
  leave(): void
}

export class RunSupervisor {
  readonly #options: SupervisorOptions
  readonly #folders: RunFolders
  readonly #queue: RecordQueue
  readonly #runs = new Map<string, ActiveRun>()
  #closing = false
  #onCheckpoint: (run: RunKey) => void = () => {}

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#folders = new RunFolders(options.runsFolder)
    this.#queue = new RecordQueue({
      spool: options.spool,
      spoolBytes: options.spoolBytes,
      retryMs: options.diskRetryMs,
      spooled: options.spooled,
      report: options.report,
      hold: () => {
        for (const run of this.#runs.values()) if (!run.stopping) run.process.signal('SIGSTOP')
      },
      release: () => {
        for (const run of this.#runs.values()) run.process.signal('SIGCONT')
      },
    })
    this.#endLeftovers()
  }

  /** Starts a run. Throws NODE_BUSY without a free slot or room on the disk; the same assignment again changes nothing. */
  assign(assignment: Assignment): void {
    const { runId, attempt, name, config, resumeFrom, gang } = assignment
    const { spool, slots, threadsPerRun, keepCheckpoints, nodeId } = this.#options
    const own = gang?.find((member) => member.nodeId === nodeId)
    if (gang && !own) throw new RankscopeError('MESSAGE_INVALID', 'the run was given to other nodes')
    const follows = gang !== null && gang[0]?.nodeId !== nodeId
    const devices = own?.devices ?? deviceSlots(config)
    if (!/^[\w-]+$/.test(runId))
      throw new RankscopeError('MESSAGE_INVALID', `a run id may hold letters, digits, _ and - only: ${runId}`)
    if (this.#runs.has(keyOf(assignment))) return
    this.#endOlderAttempts(runId, attempt)
    const free = slots - this.#occupied()
    if (free < Math.min(devices, slots))
      throw new RankscopeError(
        'NODE_BUSY',
        free <= 0
          ? `all ${slots} slots of the node are taken`
          : `${free} of ${slots} slots of the node are free, the run takes ${devices}`,
      )
    const folder = this.#prepare(assignment, follows)
    if (folder === null) return

    let checkpointFrom: string | null
    let roots = this.#options.roots
    try {
      const of = config.job.kind === 'evaluation' ? config.job.of : null
      if (of === null)
        checkpointFrom = resumeFrom === null || follows ? null : this.#newestCheckpoint(runId, resumeFrom)
      else {
        const found = this.#remains(of)
        checkpointFrom = of.what === 'checkpoint' ? found : null
        // An export is a model like those that the owner offers, and lies in the run's own folder.
        if (of.what === 'model') roots = { ...roots, models: [...roots.models, dirname(found)] }
      }
    } catch (error) {
      this.#queue.add({ runId, attempt }, { kind: 'lifecycle', state: 'failed', error: errorPayload(error) })
      return
    }
    const process = startRunProcess(
      this.#options.runEntry,
      {
        config,
        roots,
        folder,
        cacheFolder: this.#options.cacheFolder,
        threads: config.resources.threads ?? threadsPerRun * devices,
        memoryBytes: this.#freeMemoryBytes(),
        checkpointFrom,
        formerPlaces: this.#folders.formerPlaces(runId, attempt),
        ...(keepCheckpoints !== null && { keepAtMost: keepCheckpoints }),
        onFullDisk: 'wait',
        ...(gang && { gang: { nodeId, members: gang } }),
      },
      {
        gang: (to, body) => this.#options.tellGang({ runId, attempt, from: nodeId, to, body }),
        record: (timeMs, body) => this.#receive(run, timeMs, body),
        recordsKept: () => this.#queue.kept(),
        exit: (exit) => this.#finish(run, exit),
      },
    )
    let leave = () => {}
    const gone = new Promise<void>((resolve) => {
      leave = resolve
    })
    const state = { done: false, stopping: false, endPatience: null }
    const run: ActiveRun = { runId, attempt, name, process, devices, follows, gone, leave, ...state }
    this.#runs.set(keyOf(run), run)
    this.#note(() => {
      if (process.processId !== null && !follows)
        spool.setProcess(run, process.processId, processStart(process.processId))
    })
    const shared = gang ? `, ${devices} of ${config.parallel.devices} devices` : ''
    this.#options.report(
      `${name}: started (attempt ${attempt}, process ${process.processId ?? '?'}${shared})`,
    )
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

  /** Another node that shares a run says something. Throws NOT_FOUND where no process serves that attempt here. */
  hear({ runId, attempt, from, body }: GangMessage): void {
    const run = this.#runs.get(keyOf({ runId, attempt }))
    if (run === undefined)
      throw new RankscopeError('NOT_FOUND', `attempt ${attempt} of run ${runId} is not alive on this node`)
    run.process.hear(from, body)
  }

  /** The server has no use for these any more. */
  abandon(runs: readonly RunKey[]): void {
    for (const key of runs) {
      const run = this.#runs.get(keyOf(key))
      if (run !== undefined && !run.done) this.#stop(run)
    }
  }

  /** What exports after the fact need of the runs here. */
  exportSurroundings() {
    return {
      folder: ({ runId, attempt }: RunKey) => this.#folders.attempt(runId, attempt),
      checkpoints: (runId: string) => this.#folders.checkpoints(runId),
      freeMemoryBytes: () => this.#freeMemoryBytes(),
      record: (run: RunKey, body: RecordBody) => this.#queue.add(run, body),
    }
  }

  /** The run was deleted: its processes end and its folders go. Resolves to the bytes that this frees. */
  async forget(runId: string): Promise<number> {
    const alive = [...this.#runs.values()].filter((run) => run.runId === runId)
    for (const run of alive) {
      run.stopping = true
      run.process.signal('SIGKILL')
    }
    await Promise.all(alive.map((run) => run.gone))
    const bytes = this.#folders.remove(runId)
    if (bytes > 0)
      this.#options.report(`removed the folders of the deleted run ${runId}: ${mebibytes(bytes)} MiB freed`)
    return bytes
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

  /** The server took records. */
  relieved(): void {
    this.#queue.relieved()
  }

  /** A record that the server cannot take is kept aside, and the run’s log tells of it. */
  setAside({ position, record }: SpooledRecord, error: ErrorPayload): void {
    const { runId, attempt, seq, body } = record
    const told = `record ${seq} of attempt ${attempt} (${body.kind}) was refused by the server (${error.code}: ${error.message.slice(0, 500)})`
    this.#options.report(`${runId}: ${told}; it is kept in the spool’s table set_aside`)
    this.#note(() => this.#options.spool.setAside(position, `${error.code}: ${error.message}`))
    // A log that was refused is not told by another one, which may fare the same.
    if (body.kind === 'log') return
    const message = `${told}. It is kept on the node, everything else was delivered.`
    this.#queue.add({ runId, attempt }, { kind: 'log', level: 'error', message })
    // Without a last word the run would be taken for lost.
    if (isLastWord(body)) this.#queue.add({ runId, attempt }, { ...body, error: null } as RecordBody)
  }

  /** The server refuses a record for the time being. */
  tellOfDelay({ record }: SpooledRecord): void {
    const { runId, attempt, seq, body } = record
    const message = `record ${seq} of attempt ${attempt} (${body.kind}) was refused by the server; it is tried again`
    this.#queue.add({ runId, attempt }, { kind: 'log', level: 'warning', message })
  }

  /**
   * Ends all processes: asks each for a checkpoint, waits for it up to `graceMs`, then kills. No last word is written:
   * the server takes the runs for lost and starts them again from that checkpoint.
   */
  async shutdown(graceMs: number): Promise<void> {
    const alive = [...this.#runs.values()]
    const missing = new Set(alive.filter((run) => !run.done).map(keyOf))
    const checkpoints = new Promise<void>((resolve) => {
      this.#onCheckpoint = (run) => {
        missing.delete(keyOf(run))
        if (missing.size === 0) resolve()
      }
      if (missing.size === 0) resolve()
    })
    let endPatience = () => {}
    const patience = new Promise<void>((resolve) => {
      endPatience = whenAwakeFor(graceMs, resolve)
    })
    const left = Promise.all(alive.map((run) => run.gone))
    // A halted process cannot hear; its last records may go beyond what the spool is to hold.
    for (const run of alive) run.process.signal('SIGCONT')
    for (const run of alive) run.process.request('checkpoint')
    await Promise.race([checkpoints, patience, left])
    endPatience()
    this.#closing = true
    for (const run of this.#runs.values()) run.process.signal('SIGKILL')
    await left
    this.#queue.flush()
    this.#queue.close()
  }

  #receive(run: ActiveRun, timeMs: number, value: RecordBody): void {
    if (run.done || run.follows) return
    const body = fitBody(value)
    if (body.kind !== value?.kind) {
      this.#note(() =>
        appendFileSync(
          join(this.#folders.attempt(run.runId, run.attempt), refusedFile),
          `${JSON.stringify({ timeMs, body: value })}\n`,
        ),
      )
    }
    if (isLastWord(body)) {
      run.done = true
      this.#options.report(`${run.name}: ${(body as { state?: string }).state}`)
    }
    this.#queue.add(run, body, timeMs)
    if (body.kind !== 'checkpoint') return
    this.#onCheckpoint(run)
    this.#note(() => this.#makeRoom())
  }

  #stop(run: ActiveRun): void {
    run.stopping = true
    run.process.request('stop')
    // A halted process cannot hear; it may write its last records whatever the spool holds.
    if (this.#queue.isHolding) run.process.signal('SIGCONT')
    run.endPatience ??= whenAwakeFor(this.#options.stopGraceMs, () => run.process.signal('SIGKILL'))
  }

  #finish(run: ActiveRun, exit: RunExit): void {
    run.endPatience?.()
    this.#runs.delete(keyOf(run))
    // What a process was writing when it was killed.
    this.#note(() => this.#folders.removeAside(run.runId, run.attempt))
    if (run.follows) this.#options.report(`${run.name}: its part here has ended`)
    else if (!run.done && !this.#closing) {
      run.done = true
      const body: RecordBody = run.stopping
        ? { kind: 'lifecycle', state: 'stopped', error: null }
        : { kind: 'lifecycle', state: 'failed', error: explainExit(exit) }
      this.#queue.add(run, body)
      this.#options.report(`${run.name}: ${body.error === null ? 'stopped' : body.error.message}`)
    }
    run.leave()
  }

  /** The attempt’s folder, which one that follows has no records in, or null where the assignment was known already. Throws NODE_BUSY where the disk is full. */
  #prepare({ runId, attempt }: RunKey, follows: boolean): string | null {
    try {
      if (this.#queue.diskFault !== null) throw new Error(this.#queue.diskFault)
      const folder = this.#folders.attempt(runId, attempt)
      if (follows) return folder
      return this.#options.spool.open({ runId, attempt }) ? folder : null
    } catch (error) {
      const { message, hint } = errorPayload(error)
      throw new RankscopeError('NODE_BUSY', `the node cannot write: ${message}`, {
        cause: error,
        ...(hint !== null && { hint }),
      })
    }
  }

  /** What an older attempt still writes nobody wants. */
  #endOlderAttempts(runId: string, before: number): void {
    for (const run of this.#runs.values()) {
      if (run.runId !== runId || run.attempt >= before || run.done) continue
      run.done = true
      run.process.signal('SIGKILL')
    }
  }

  /** For what helps only: a full disk must not keep it from running. */
  #note(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#options.report(`not written: ${errorPayload(error).message}`)
    }
  }

  #makeRoom(): void {
    const { checkpointBytes, report } = this.#options
    if (checkpointBytes === null) return
    const removed = this.#folders.makeRoom(checkpointBytes, (runId) => this.#isOver(runId))
    for (const { runId, path, bytes } of removed)
      report(
        `removed ${path} of run ${runId} (${mebibytes(bytes)} MiB): checkpoints take more than --checkpoint-gib`,
      )
  }

  /** Whether the run’s newest attempt here has said that it finished. */
  #isOver(runId: string): boolean {
    return this.#options.spool.finished(runId)
  }

  #occupied(): number {
    return [...this.#runs.values()].filter((run) => !run.done).reduce((sum, run) => sum + run.devices, 0)
  }

  #freeMemoryBytes(): number {
    const used = this.active().reduce((sum, run) => sum + (run.residentMemoryBytes ?? 0), 0)
    return Math.max(0, this.#options.memoryBytes - used)
  }

  /**
   * The newest checkpoint of the run on this disk, which may be newer than the one that the server heard of, and older
   * than one that has gone. Throws PATH_FORBIDDEN or CHECKPOINT_BROKEN.
   */
  #newestCheckpoint(runId: string, wanted: string): string {
    const { root } = this.#folders
    if (existsSync(wanted) && !realpathSync(wanted).startsWith(realpathSync(root) + sep))
      throw new RankscopeError('PATH_FORBIDDEN', `the checkpoint ${wanted} lies outside this node’s runs`)
    const newest = this.#folders.checkpoints(runId)[0]
    if (newest) return newest.path
    throw new RankscopeError('CHECKPOINT_BROKEN', `there is no checkpoint at ${wanted} on this node`, {
      hint: 'start the run afresh, or on the node that wrote it',
    })
  }

  /** What a run left here, for an evaluation. Throws CHECKPOINT_BROKEN, MODEL_NOT_FOUND or PATH_FORBIDDEN. */
  #remains({ runId, what, path }: Remains): string {
    const hint = 'The run may have been deleted, or its older checkpoints removed as newer ones came.'
    if (what === 'checkpoint') {
      const known = this.#folders.checkpoints(runId).find((checkpoint) => checkpoint.path === path)
      if (known) return known.path
      throw new RankscopeError('CHECKPOINT_BROKEN', `${path} is no checkpoint of run ${runId} on this node`, {
        hint,
      })
    }
    if (!existsSync(path))
      throw new RankscopeError('MODEL_NOT_FOUND', `there is no model at ${path}`, { hint })
    const home = join(this.#folders.root, runId)
    if (existsSync(home) && realpathSync(path).startsWith(realpathSync(home) + sep)) return path
    throw new RankscopeError('PATH_FORBIDDEN', `${path} lies outside the folder of run ${runId}`)
  }

  /** Processes of an earlier daemon: they leave by themselves when the channel closes; a stuck one is killed. */
  #endLeftovers(): void {
    const { spool, report } = this.#options
    for (const { runId, attempt, processId, processStart: start } of spool.unfinished()) {
      if (processId !== null && start !== null && killLeftover(processId, start))
        report(`killed process ${processId}, left by an earlier daemon`)
      this.#note(() => this.#folders.removeAside(runId, attempt))
      const message = 'The node daemon was started anew; this attempt ended with the old one.'
      this.#queue.add({ runId, attempt }, { kind: 'log', level: 'warning', message })
      this.#note(() => spool.abandon({ runId, attempt }))
    }
    // Before the server is told anything: these records belong to what waits for it.
    this.#queue.flush()
  }
}

function keyOf({ runId, attempt }: RunKey): string {
  return `${runId}/${attempt}`
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1)
}
