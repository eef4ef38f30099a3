/**
 * Exports after the fact, as their nodes tell of them. Held in memory only: a node knows its jobs and tells of all of them
 * after each hello, and what was written is a record of the run.
 */
import { randomUUID } from 'node:crypto'
import {
  type ErrorPayload,
  type ExportJob,
  type ExportRequest,
  type ExportsTold,
  isExportOver,
  RankscopeError,
} from '@rankscope/protocol'
import type { RunBook } from '../runs/run-book.ts'

/** What the book needs of the links to nodes. */
export interface ExportLinks {
  startExport(
    nodeId: string,
    request: { jobId: string; runId: string; checkpoint: string | null; request: ExportRequest },
  ): Promise<ExportJob>
  cancelExport(nodeId: string, jobId: string): Promise<void>
}

type KnownJob = { nodeId: string; job: ExportJob }

const keptJobs = 1000

export class ExportBook {
  readonly #runs: RunBook
  readonly #links: ExportLinks
  readonly #now: () => number
  readonly #jobs = new Map<string, KnownJob>()

  constructor(options: { runs: RunBook; links: ExportLinks; now: () => number }) {
    this.#runs = options.runs
    this.#links = options.links
    this.#now = options.now
  }

  /** Newest first. */
  ofRun(runId: string): ExportJob[] {
    return [...this.#jobs.values()]
      .flatMap(({ job }) => (job.runId === runId ? [job] : []))
      .sort((one, other) => other.createdMs - one.createdMs)
  }

  /** Asks the node that holds the run's files. Throws NOT_FOUND, NODE_LOST, and what the node answers. */
  async create(runId: string, request: ExportRequest, checkpoint: string | null): Promise<ExportJob> {
    const { nodeId, name } = this.#runs.get(runId)
    if (nodeId === null)
      throw new RankscopeError('NOT_FOUND', `no node holds files of ${name}`, {
        hint: 'It has not been started yet, or its node was forgotten.',
      })
    const jobId = randomUUID()
    const job = await this.#links.startExport(nodeId, { jobId, runId, checkpoint, request })
    // It may have told of more already.
    if (!this.#jobs.has(jobId)) this.#keep(nodeId, job)
    return this.#jobs.get(jobId)!.job
  }

  async cancel(runId: string, jobId: string): Promise<ExportJob> {
    const known = this.#jobs.get(jobId)
    if (known?.job.runId !== runId) throw new RankscopeError('NOT_FOUND', `the run has no export ${jobId}`)
    if (!isExportOver(known.job.state)) await this.#links.cancelExport(known.nodeId, jobId)
    return this.#jobs.get(jobId)!.job
  }

  /** A node tells of its own jobs. */
  told({ nodeId, jobs, isAll }: ExportsTold): void {
    for (const job of jobs) {
      const known = this.#jobs.get(job.jobId)
      if (known === undefined || known.nodeId === nodeId) this.#keep(nodeId, job)
    }
    if (!isAll) return
    const alive = new Set(jobs.map(({ jobId }) => jobId))
    const error: ErrorPayload = new RankscopeError('NODE_LOST', 'the node was started anew meanwhile', {
      hint: 'Ask for the export again; nothing of it was left.',
    }).toPayload()
    for (const { nodeId: of, job } of [...this.#jobs.values()])
      if (of === nodeId && !alive.has(job.jobId) && !isExportOver(job.state))
        this.#keep(nodeId, { ...job, state: 'failed', error, progress: null, endedMs: this.#now() })
  }

  #keep(nodeId: string, job: ExportJob): void {
    this.#jobs.set(job.jobId, { nodeId, job })
    if (this.#jobs.size <= keptJobs) return
    for (const [jobId, { job: old }] of this.#jobs)
      if (isExportOver(old.state)) {
        this.#jobs.delete(jobId)
        return
      }
  }
}
