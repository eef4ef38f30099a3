/**
 * All runs, in memory as the store has them. Every change goes through here: to the store first, then to the
 * listeners. Revisions keep a late answer from overwriting a newer one.
 */
import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import type { RunConfig, RunRecord, StoredRecord } from '@rankscope/protocol'
import { RankscopeError } from '@rankscope/protocol'
import { pronounceableName } from '../names.ts'
import type { AppendResult, NewRun, RunChange, Store, StoredRun } from '../store/store.ts'

export type RunBookEvents = {
  /** A run was created or changed. */
  run: [run: StoredRun]
  deleted: [runId: string]
  /** Records of one run that were just committed, ascending by cursor. */
  records: [runId: string, records: StoredRecord[]]
}

export class RunBook extends EventEmitter<RunBookEvents> {
  readonly #store: Store
  readonly #runs: Map<string, StoredRun>
  #namesGiven: number

  private constructor(store: Store, runs: StoredRun[]) {
    super({ captureRejections: true })
    this.#store = store
    this.#runs = new Map(runs.map((run) => [run.runId, run]))
    this.#namesGiven = runs.length
  }

  static async open(store: Store): Promise<RunBook> {
    return new RunBook(store, await store.listRuns())
  }

  /** In order of creation. */
  list(): StoredRun[] {
    return [...this.#runs.values()]
  }

  find(runId: string): StoredRun | undefined {
    return this.#runs.get(runId)
  }

  /** NOT_FOUND where there is none. */
  get(runId: string): StoredRun {
    const run = this.#runs.get(runId)
    if (!run) throw new RankscopeError('NOT_FOUND', `there is no run ${runId}`)
    return run
  }

  /** All or none. */
  async create(configs: readonly RunConfig[], nowMs: number): Promise<StoredRun[]> {
    const created = await this.#store.createRuns(this.prepare(configs, nowMs))
    this.adopt(created)
    return created
  }

  /** New runs with ids and names, for whoever has the store create them. */
  prepare(configs: readonly RunConfig[], nowMs: number): NewRun[] {
    return configs.map((config) => ({
      runId: randomBytes(9).toString('base64url'),
      name:
        config.name ??
        pronounceableName(
          config.job.kind === 'evaluation' ? 'evaluation' : config.method.name,
          this.#namesGiven++,
        ),
      config,
      createdMs: nowMs,
    }))
  }

  /** Runs that the store has just created. */
  adopt(created: readonly StoredRun[]): void {
    for (const run of created) this.#take(run)
  }

  /**
   * Change a run by what `compute` makes of its present form; null from it means: leave it. Computed anew
   * where records changed the run meanwhile. Null where nothing was changed or the run is gone.
   */
  async change(runId: string, compute: (run: StoredRun) => RunChange | null): Promise<StoredRun | null> {
    for (;;) {
      const run = this.#runs.get(runId)
      const change = run && compute(run)
      if (!run || !change) return null
      const changed = await this.#store.updateRun(runId, run.revision, change)
      if (changed) {
        this.#take(changed)
        return changed
      }
      // Another change was committed first; its answer comes from the same store and so has arrived, or will.
      const current = this.#runs.get(runId)
      if (current?.revision === run.revision) await this.#refresh(runId)
    }
  }

  async append(nodeId: string, records: RunRecord[]): Promise<AppendResult> {
    const result = await this.#store.append(nodeId, records)
    const fresh = new Map<string, StoredRecord[]>()
    for (const [index, cursor] of result.cursors.entries()) {
      if (cursor === null) continue
      const record = { ...records[index]!, cursor }
      const others = fresh.get(record.runId)
      if (others) others.push(record)
      else fresh.set(record.runId, [record])
    }
    for (const run of result.runs) this.#take(run)
    for (const [runId, ofRun] of fresh) this.emit('records', runId, ofRun)
    return result
  }

  /** How many records it had, and the nodes that were ever given it. NOT_FOUND where there is none. */
  async remove(runId: string): Promise<{ records: number; nodeIds: string[] }> {
    const removed = await this.#store.deleteRun(runId)
    if (!removed) throw new RankscopeError('NOT_FOUND', `there is no run ${runId}`)
    this.#runs.delete(runId)
    this.emit('deleted', runId)
    return removed
  }

  #take(run: StoredRun): void {
    const known = this.#runs.get(run.runId)
    if (known && known.revision >= run.revision) return
    this.#runs.set(run.runId, run)
    this.emit('run', run)
  }

  async #refresh(runId: string): Promise<void> {
    const runs = await this.#store.listRuns()
    const stored = runs.find((run) => run.runId === runId)
    if (stored) this.#take(stored)
    else this.#runs.delete(runId)
  }
}
