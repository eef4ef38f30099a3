/**
 * All sweeps, in memory as the store has them, and what holds their runs to their state: while a sweep is paused, none of
 * its runs waits or trains; once it is stopped, none does again. A state is kept first and carried out afterwards, run by
 * run, as often as a run changes; so it survives a restart, and no run slips through between two states.
 */
import { randomBytes } from 'node:crypto'
import { importedState, type SweepArchive } from '@rankscope/experiments'
import {
  acceptedCommands,
  RankscopeError,
  type RunCommand,
  type RunConfig,
  type RunState,
  type SweepCommand,
  type SweepOverview,
  type SweepPoint,
  type SweepSpec,
  type SweepState,
  type SweepView,
} from '@rankscope/protocol'
import { emptyProgress } from '../runs/projection.ts'
import type { RunBook } from '../runs/run-book.ts'
import type { Scheduler } from '../scheduler/shell.ts'
import type { Store, StoredRun, StoredSweep } from '../store/store.ts'

type Planned = { point: SweepPoint; config: RunConfig }

export class SweepBook {
  readonly #store: Store
  readonly #runs: RunBook
  readonly #scheduler: Pick<Scheduler, 'command'>
  readonly #sweeps: Map<string, StoredSweep>
  /** By run. */
  readonly #sweepOf = new Map<string, string>()
  /** Runs that were paused with their sweep, and not by a person: they go on with it. */
  readonly #held = new Set<string>()
  readonly #report: (error: unknown) => void

  private constructor(
    store: Store,
    runs: RunBook,
    scheduler: Pick<Scheduler, 'command'>,
    report: (error: unknown) => void,
    sweeps: StoredSweep[],
  ) {
    this.#store = store
    this.#runs = runs
    this.#scheduler = scheduler
    this.#report = report
    this.#sweeps = new Map()
    for (const sweep of sweeps) this.#take(sweep)
  }

  /** From now on the runs are held to the sweeps’ states; what goes wrong with that is reported. */
  static async open(options: {
    store: Store
    runs: RunBook
    scheduler: Pick<Scheduler, 'command'>
    report: (error: unknown) => void
  }): Promise<SweepBook> {
    const { store, runs, scheduler, report } = options
    const book = new SweepBook(store, runs, scheduler, report, await store.listSweeps())
    runs.on('run', (run) => book.#hold(run))
    for (const run of runs.list()) book.#hold(run)
    return book
  }

  /** In order of creation. */
  list(): StoredSweep[] {
    return [...this.#sweeps.values()]
  }

  /** Without its runs. */
  overview(sweep: StoredSweep): SweepOverview {
    const { runs: _, ...overview } = this.#view(sweep)
    return overview
  }

  /** NOT_FOUND where there is none. */
  view(sweepId: string): SweepView {
    return this.#view(this.#get(sweepId))
  }

  async create(
    requestId: string,
    spec: SweepSpec,
    planned: readonly Planned[],
    nowMs: number,
  ): Promise<SweepView> {
    const sweepId = randomBytes(9).toString('base64url')
    const made = await this.#store.createSweep(
      { sweepId, createdMs: nowMs, state: 'active', spec },
      this.#newRuns(planned, nowMs),
      requestId,
    )
    return this.#made(made)
  }

  /**
   * A sweep whose runs ended on another machine, under the node id that their records will name; the same request again is
   * answered with what it made. `runIds` are in the order of the archive.
   */
  async import(
    requestId: string,
    archive: SweepArchive,
    nodeId: string,
    nowMs: number,
  ): Promise<{ sweepId: string; runIds: string[] }> {
    const sweepId = randomBytes(9).toString('base64url')
    const configs = archive.runs.map(({ config }) => config)
    const runs = this.#runs.prepare(configs, nowMs).map((run, index) => {
      const { point, state, steps, totalSteps, error, ...archived } = archive.runs[index]!
      const startedMs = archived.startedMs ?? nowMs
      return {
        ...run,
        point,
        createdMs: archived.createdMs ?? nowMs,
        ended: {
          state: importedState(state),
          nodeId,
          startedMs,
          endedMs: archived.endedMs ?? startedMs,
          progress: { ...emptyProgress(), step: steps, totalSteps, error },
        },
      }
    })
    const made = await this.#store.createSweep(
      { sweepId, createdMs: nowMs, state: 'active', spec: archive.sweep },
      runs,
      requestId,
    )
    this.#made(made)
    return { sweepId: made.sweep.sweepId, runIds: made.sweep.runs.map(({ runId }) => runId) }
  }

  /** More runs of a sweep. One that was stopped is active again: whoever adds a value wants it to run. */
  async extend(
    sweepId: string,
    requestId: string,
    axes: SweepSpec['axes'],
    planned: readonly Planned[],
    nowMs: number,
  ): Promise<SweepView> {
    this.#get(sweepId)
    const made = await this.#store.extendSweep(sweepId, axes, this.#newRuns(planned, nowMs), requestId)
    if (!made) throw notFound(sweepId)
    if (made.runs.length > 0 && made.sweep.state === 'stopped') {
      await this.#store.setSweepState(sweepId, 'active')
      made.sweep.state = 'active'
    }
    return this.#made(made)
  }

  async command(sweepId: string, command: SweepCommand): Promise<SweepView> {
    const sweep = this.#get(sweepId)
    switch (command) {
      case 'pause':
        await this.#enter(sweep, 'paused')
        break
      case 'stop':
        await this.#enter(sweep, 'stopped')
        break
      case 'resume':
        await this.#enter(sweep, 'active')
        await this.#commandEach(sweep, 'resume', ['paused'])
        break
      case 'retry-failed':
        await this.#enter(sweep, 'active')
        await this.#commandEach(sweep, 'retry', ['failed', 'stopped'])
        break
      default:
        command satisfies never
    }
    return this.view(sweepId)
  }

  /** The sweep alone; its runs stay. */
  async remove(sweepId: string): Promise<void> {
    const sweep = this.#get(sweepId)
    if (!(await this.#store.deleteSweep(sweepId))) throw notFound(sweepId)
    this.#sweeps.delete(sweepId)
    for (const { runId } of sweep.runs) this.#sweepOf.delete(runId)
  }

  async #enter(sweep: StoredSweep, state: SweepState): Promise<void> {
    if (!(await this.#store.setSweepState(sweep.sweepId, state))) throw notFound(sweep.sweepId)
    sweep.state = state
    const members = sweep.runs.flatMap(({ runId }) => this.#runs.find(runId) ?? [])
    await Promise.all(members.map((run) => this.#obey(run)))
  }

  /** In the order of the sweep, so that its runs come back into the queue as they were. */
  async #commandEach(sweep: StoredSweep, command: RunCommand, states: readonly RunState[]): Promise<void> {
    for (const { runId } of sweep.runs) {
      const run = this.#runs.find(runId)
      if (!run || !states.includes(run.state)) continue
      this.#held.delete(runId)
      await this.#try(runId, command)
    }
  }

  #hold(run: StoredRun): void {
    void this.#obey(run)
  }

  /** Command the run what its sweep’s state asks of it, where it is not so already. */
  async #obey(run: StoredRun): Promise<void> {
    const sweep = this.#sweeps.get(this.#sweepOf.get(run.runId) ?? '')
    if (!sweep) return
    if (sweep.state === 'active') {
      // It was still pausing when the sweep was resumed.
      if (run.state === 'paused' && this.#held.delete(run.runId)) await this.#try(run.runId, 'resume')
      return
    }
    const command: RunCommand = sweep.state === 'paused' ? 'pause' : 'stop'
    if (!acceptedCommands(run.state).includes(command)) return
    if (command === 'pause') this.#held.add(run.runId)
    await this.#try(run.runId, command)
  }

  /** A run that has moved on meanwhile, or is gone, refuses: it is looked at again when it changes. */
  async #try(runId: string, command: RunCommand): Promise<void> {
    try {
      await this.#scheduler.command(runId, command)
    } catch (error) {
      const isLate =
        error instanceof RankscopeError && (error.code === 'ILLEGAL_TRANSITION' || error.code === 'NOT_FOUND')
      if (!isLate) this.#report(error)
    }
  }

  #newRuns(planned: readonly Planned[], nowMs: number) {
    const made = this.#runs.prepare(
      planned.map(({ config }) => config),
      nowMs,
    )
    return made.map((run, index) => ({ ...run, point: planned[index]!.point }))
  }

  #made({ sweep, runs }: { sweep: StoredSweep; runs: StoredRun[] }): SweepView {
    this.#take(sweep)
    this.#runs.adopt(runs)
    return this.view(sweep.sweepId)
  }

  #take(sweep: StoredSweep): void {
    this.#sweeps.set(sweep.sweepId, sweep)
    for (const { runId } of sweep.runs) this.#sweepOf.set(runId, sweep.sweepId)
  }

  #get(sweepId: string): StoredSweep {
    const sweep = this.#sweeps.get(sweepId)
    if (!sweep) throw notFound(sweepId)
    return sweep
  }

  #view({ sweepId, spec, state, createdMs, runs }: StoredSweep): SweepView {
    const present = runs.filter(({ runId }) => this.#runs.find(runId) !== undefined)
    const counts: SweepView['counts'] = {}
    for (const { runId } of present) {
      const { state: its } = this.#runs.find(runId)!
      counts[its] = (counts[its] ?? 0) + 1
    }
    return { sweepId, spec, state, createdMs, runs: present, counts }
  }
}

function notFound(sweepId: string): RankscopeError {
  return new RankscopeError('NOT_FOUND', `there is no sweep ${sweepId}`)
}
