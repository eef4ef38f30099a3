/**
 * Exports after the fact on this node: one at a time, each in a process of its own beside the runs. What is written goes into
 * the run's folder, and a record of the run tells of it as of every other export, so that it outlives this daemon; a job that
 * the daemon's end interrupts is gone, and leaves nothing.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { launcher } from '@rankscope/launch'
import {
  type ErrorPayload,
  type ExportJob,
  errorPayload,
  isExportOver,
  RankscopeError,
  type RecordBodyOf,
  type StartExport,
} from '@rankscope/protocol'
import type { CheckpointFolder } from '../checkpoint-folders.ts'
import { giveWay } from '../priority.ts'
import type { Roots } from '../run/environment.ts'
import type { ExportOrder, ExportResult } from '../run/execute-export.ts'
import type { RunKey } from './spool.ts'

export type MessageFromExport =
  | { readonly type: 'progress'; readonly progress: number | null; readonly detail: string | null }
  | { readonly type: 'done'; readonly result: ExportResult }
  | { readonly type: 'failed'; readonly error: ErrorPayload }

export interface ExportJobsOptions {
  readonly roots: Roots
  readonly threads: number
  /** The folder of an attempt. */
  folder(run: RunKey): string
  /** Checkpoints of a run on this disk, of all attempts, newest first. */
  checkpoints(runId: string): readonly CheckpointFolder[]
  freeMemoryBytes(): number
  /** Keeps a record of the run. */
  record(run: RunKey, body: RecordBodyOf<'artifact'> | RecordBodyOf<'log'>): void
  /** A job has changed. */
  changed(job: ExportJob): void
  report(line: string): void
}

interface Entry {
  job: ExportJob
  readonly order: ExportOrder
  process: ChildProcess | null
}

/** Jobs that are over are told of for so long as there are no more than these. */
const keptJobs = 100

const entryFile = fileURLToPath(new URL('./export-entry.ts', import.meta.url))

export class ExportJobs {
  readonly #options: ExportJobsOptions
  readonly #entries = new Map<string, Entry>()

  constructor(options: ExportJobsOptions) {
    this.#options = options
  }

  list(): ExportJob[] {
    return [...this.#entries.values()].map(({ job }) => job)
  }

  /** Takes a job on; the same again changes nothing. Throws CHECKPOINT_BROKEN or PATH_FORBIDDEN. */
  start({ jobId, runId, checkpoint, request }: StartExport): ExportJob {
    const known = this.#entries.get(jobId)
    if (known) return known.job
    const from = this.#checkpoint(runId, checkpoint)
    // `<run>/<attempt>/checkpoints/step-<n>`
    const attempt = Number(dirname(from.place).split(/[\\/]/).at(-1))
    const run = { runId, attempt }
    const name = `${request.as}-step-${from.step}-${jobId.slice(0, 8)}`
    const job: ExportJob = {
      jobId,
      ...run,
      step: from.step,
      request,
      state: 'waiting',
      progress: null,
      detail: null,
      error: null,
      path: null,
      bytes: null,
      notes: [],
      outlook: null,
      createdMs: Date.now(),
      endedMs: null,
    }
    const order: ExportOrder = {
      checkpoint: from.path,
      request,
      folder: join(this.#options.folder(run), 'exports', name),
      roots: this.#options.roots,
      threads: this.#options.threads,
      memoryBytes: null,
    }
    this.#entries.set(jobId, { job, order, process: null })
    this.#forgetOld()
    this.#next()
    return this.#entries.get(jobId)!.job
  }

  /** Ends a job, and what it wrote so far goes. One that is over stays as it is. */
  cancel(jobId: string): void {
    const entry = this.#entries.get(jobId)
    if (!entry) throw new RankscopeError('NOT_FOUND', `there is no export ${jobId} on this node`)
    if (isExportOver(entry.job.state)) return
    this.#end(entry, { state: 'cancelled' })
    entry.process?.kill('SIGKILL')
  }

  /** The run was deleted: what is written of it ends. Resolves when no process writes any more. */
  async forget(runId: string): Promise<void> {
    const entries = [...this.#entries.values()].filter(({ job }) => job.runId === runId)
    await Promise.all(entries.map((entry) => this.#stop(entry)))
    for (const { job } of entries) this.#entries.delete(job.jobId)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#entries.values()].map((entry) => this.#stop(entry)))
  }

  async #stop(entry: Entry): Promise<void> {
    if (!isExportOver(entry.job.state)) this.#end(entry, { state: 'cancelled' })
    const { process } = entry
    if (process === null) return
    const gone = new Promise((resolve) => process.once('close', resolve))
    process.kill('SIGKILL')
    await gone
  }

  #checkpoint(runId: string, wanted: string | null): CheckpointFolder {
    const known = this.#options.checkpoints(runId)
    const found = wanted === null ? known[0] : known.find(({ path }) => path === wanted)
    if (found) return found
    throw new RankscopeError(
      'CHECKPOINT_BROKEN',
      wanted === null
        ? `this node has no checkpoint of run ${runId}`
        : `${wanted} is no checkpoint of run ${runId} on this node`,
      {
        hint: 'A run leaves one at its end unless checkpoint.atEnd is false, and when it is paused; older ones are removed as newer ones come.',
      },
    )
  }

  /** Starts the job that waits longest where none is under way. */
  #next(): void {
    const entries = [...this.#entries.values()]
    if (entries.some(({ process }) => process !== null)) return
    const entry = entries.find(({ job }) => job.state === 'waiting')
    if (!entry) return
    const child = fork(launcher, [entryFile], {
      execArgv: [],
      detached: true,
      env: { ...process.env, OMP_NUM_THREADS: String(entry.order.threads), OMP_WAIT_POLICY: 'passive' },
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    if (child.pid !== undefined) giveWay(child.pid)
    entry.process = child
    let errors = ''
    child.stderr!.on('data', (part: Buffer) => {
      errors = (errors + part.toString()).slice(-4000)
    })
    child.on('error', (error) => {
      errors += error.message
    })
    child.on('message', (message) => this.#hear(entry, message as MessageFromExport))
    child.on('close', (code, signal) => {
      entry.process = null
      rmSync(`${entry.order.folder}.partial`, { recursive: true, force: true })
      if (!isExportOver(entry.job.state)) {
        const how = signal === null ? `exit code ${code}` : signal
        const error = new RankscopeError('RUN_CRASHED', `the export’s process ended (${how})`, {
          hint: errors.trim() || 'It may have run out of memory; see the system’s log.',
        })
        this.#end(entry, { state: 'failed', error: error.toPayload() })
      }
      this.#next()
    })
    const order = { ...entry.order, memoryBytes: this.#options.freeMemoryBytes() }
    child.send(order, () => {})
    this.#change(entry, { state: 'running' })
    const { runId, request, step } = entry.job
    this.#options.report(`exporting step ${step} of run ${runId} as ${request.as}`)
  }

  #hear(entry: Entry, message: MessageFromExport): void {
    // Cancelled while the message was under way.
    if (isExportOver(entry.job.state)) {
      if (message.type === 'done') rmSync(entry.order.folder, { recursive: true, force: true })
      return
    }
    switch (message.type) {
      case 'progress':
        this.#change(entry, { progress: message.progress, detail: message.detail })
        break
      case 'failed':
        this.#end(entry, { state: 'failed', error: message.error })
        break
      case 'done':
        this.#finish(entry, message.result)
        break
      default:
        message satisfies never
    }
  }

  #finish(entry: Entry, { written, notes, outlook }: ExportResult): void {
    const { job } = entry
    try {
      for (const note of notes) this.#options.record(job, { kind: 'log', level: 'info', message: note })
      if (written && job.request.as !== 'outlook')
        this.#options.record(job, { kind: 'artifact', artifact: job.request.as, ...written })
    } catch (error) {
      this.#options.report(`not recorded: ${errorPayload(error).message}`)
    }
    this.#end(entry, {
      state: 'finished',
      path: written?.path ?? null,
      bytes: written?.bytes ?? null,
      notes: [...notes],
      outlook,
    })
  }

  #end(entry: Entry, change: Partial<ExportJob>): void {
    this.#change(entry, { ...change, progress: null, detail: null, endedMs: Date.now() })
  }

  #change(entry: Entry, change: Partial<ExportJob>): void {
    entry.job = { ...entry.job, ...change }
    this.#options.changed(entry.job)
  }

  #forgetOld(): void {
    const over = [...this.#entries.values()].filter(({ job }) => isExportOver(job.state))
    for (const { job } of over.slice(0, Math.max(0, over.length - keptJobs))) this.#entries.delete(job.jobId)
  }
}
