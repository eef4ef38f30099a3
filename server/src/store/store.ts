/**
 * What the server needs of a database. Siblings: `sqlite.ts`; `store.contract.test.ts` runs one suite over all of
 * them. Everything is durable when its promise resolves. Values are plain data, so that a store may live in
 * another thread.
 */
import type {
  NodeMode,
  NodeView,
  RecordAck,
  RecordKind,
  RunConfig,
  RunRecord,
  RunState,
  SeriesAnswer,
  SpectraMeasuresAnswer,
  SpectraModulesAnswer,
  SpectraProfilesAnswer,
  SpectraValuesAnswer,
  SpectrumPart,
  SpectrumView,
  StoredRecord,
  SweepPoint,
  SweepSpec,
  SweepState,
  seriesRequest,
  spectraMeasuresRequest,
  spectraProfilesRequest,
  spectraValuesRequest,
} from '@rankscope/protocol'
import type { z } from 'zod'
import type { RunProgress } from '../runs/projection.ts'
import type { Series } from './series.ts'

export type StoredRun = {
  runId: string
  name: string
  state: RunState
  /** 1-based; grows each time the run enters the queue, so that what an older attempt still says is recognised. */
  attempt: number
  config: RunConfig
  /** The node that holds, or last held, the run. */
  nodeId: string | null
  createdMs: number
  /** When it last entered the queue: first in, first out among equal priorities. */
  queuedMs: number
  startedMs: number | null
  endedMs: number | null
  progress: RunProgress
  /** Cursor of its newest record, 0 before the first. */
  lastCursor: number
  /** Grows with every change; a change names the revision that it was computed from. */
  revision: number
}

export type NewRun = Pick<StoredRun, 'runId' | 'name' | 'config' | 'createdMs'> & {
  /** Of a run that ended elsewhere: it never enters the queue. */
  ended?: Pick<StoredRun, 'state' | 'nodeId' | 'startedMs' | 'endedMs' | 'progress'>
}
export type RunChange = Partial<
  Pick<
    StoredRun,
    'name' | 'state' | 'attempt' | 'config' | 'nodeId' | 'queuedMs' | 'startedMs' | 'endedMs' | 'progress'
  >
>

export type StoredSweep = {
  sweepId: string
  createdMs: number
  state: SweepState
  spec: SweepSpec
  /** In the order in which they were queued; a run may have been deleted since. */
  runs: { runId: string; point: SweepPoint }[]
}
export type NewSweepRun = NewRun & { point: SweepPoint }

export type StoredNode = Pick<NodeView, 'nodeId' | 'hello' | 'firstSeenMs' | 'lastSeenMs'>

/** `pausedRuns`: runs that were paused with the node, and go on when it is opened. */
export type StoredNodeMode = { nodeId: string; mode: NodeMode; pausedRuns: string[] }

export type AppendResult = {
  /** For each record given: its cursor, or null where it was known already or refused. */
  cursors: (number | null)[]
  rejected: RecordAck['rejected']
  /** Runs that changed, in their new form. */
  runs: StoredRun[]
}

export type SeriesQuery = {
  /** null: every series that the run has. */
  names: string[] | null
  /** At most so many points (or buckets) per series. */
  points: number
  fromStep: number | null
  toStep: number | null
  /** At most so many series, those after the name `after`; all where left out. */
  limit?: number
  after?: string | null
}
export type ColumnsQuery = z.output<typeof seriesRequest>
export type MeasuresQuery = z.output<typeof spectraMeasuresRequest>
export type ValuesQuery = z.output<typeof spectraValuesRequest>
export type ProfilesQuery = z.output<typeof spectraProfilesRequest>
/** `after`: `next` of the page before. */
export type SpectraPage = { limit: number; after: string | null }
export type ExportFormat = 'csv' | 'json' | 'jsonl'
export type ExportPage = { text: string; next: string | null }
export type SpectraQuery = {
  module: string | null
  part: SpectrumPart | null
  step: number | null
  final: boolean | null
}
export type SpectrumEntry = Omit<SpectrumView, 'singularValues'>

export interface Store {
  /** All or none. Names are made unique by a number, e.g. `lora-brave-otter-2`. */
  createRuns(runs: NewRun[]): Promise<StoredRun[]>
  listRuns(): Promise<StoredRun[]>
  /**
   * Change a run, unless it is at another revision than expected: null then, and nothing happened.
   * CONFIG_INVALID where the new name is taken.
   */
  updateRun(runId: string, expectedRevision: number, change: RunChange): Promise<StoredRun | null>
  /**
   * The run is gone at once; what belonged to it is removed piecemeal by `purge`, and the nodes that were ever given it
   * are noted as owing a deletion. null if unknown.
   */
  deleteRun(runId: string): Promise<{ records: number; nodeIds: string[] } | null>
  /** Remove some leftovers of deleted runs; true while there are more. */
  purge(): Promise<boolean>
  /** Give some of the room that deletions left back to the disk. */
  shrink(): Promise<{ freedBytes: number; isMore: boolean }>
  /** Deleted runs whose files a node has not yet removed. */
  listDeletions(): Promise<{ runId: string; nodeId: string }[]>
  deletionDone(runId: string, nodeId: string): Promise<void>

  /**
   * A sweep with its runs, all or none. The answer to a request that was carried out before is the sweep as it is now,
   * and no run.
   */
  createSweep(
    sweep: Omit<StoredSweep, 'runs'>,
    runs: NewSweepRun[],
    requestId: string,
  ): Promise<{ sweep: StoredSweep; runs: StoredRun[] }>
  /** More runs, and the axes that they come from; null if there is no such sweep. */
  extendSweep(
    sweepId: string,
    axes: SweepSpec['axes'],
    runs: NewSweepRun[],
    requestId: string,
  ): Promise<{ sweep: StoredSweep; runs: StoredRun[] } | null>
  /** In order of creation. */
  listSweeps(): Promise<StoredSweep[]>
  /** False if there is none. */
  setSweepState(sweepId: string, state: SweepState): Promise<boolean>
  /** Its runs stay. False if there is none. */
  deleteSweep(sweepId: string): Promise<boolean>

  /** Writes something and takes it back: STORE_FULL while there is no room. */
  probe(): Promise<void>

  saveNode(node: StoredNode): Promise<void>
  listNodes(): Promise<StoredNode[]>
  /** What it still owed is forgotten with it. */
  deleteNode(nodeId: string): Promise<boolean>
  /** What people decided of nodes that are not simply open, or have runs to go on with. */
  listNodeModes(): Promise<StoredNodeMode[]>
  saveNodeMode(mode: StoredNodeMode): Promise<void>

  /**
   * Keep records, each once whatever the number of deliveries, and bring the runs’ state and progress up to
   * date in the same transaction. Records that cannot be kept are rejected one by one.
   */
  append(nodeId: string, records: RunRecord[]): Promise<AppendResult>

  /** Records with a cursor above `afterCursor`, ascending, at most `limit` and about 1 MB. [] if unknown. */
  recordsAfter(runId: string, afterCursor: number, limit: number): Promise<StoredRecord[]>
  /** Records of one kind with cursor < beforeCursor: the newest `limit`, or fewer, about 8 MB; ascending. */
  recordsOfKind(
    runId: string,
    kind: RecordKind,
    range: { beforeCursor: number | null; limit: number },
  ): Promise<{ records: StoredRecord[]; next: number | null; cursor: number }>
  /** `next`: the name to go on after; null at the end. */
  seriesNames(
    runId: string,
    after: string | null,
    limit: number,
  ): Promise<{ names: string[]; next: string | null; cursor: number }>
  series(
    runId: string,
    query: SeriesQuery,
  ): Promise<{ series: Series[]; next: string | null; cursor: number }>
  seriesColumns(query: ColumnsQuery): Promise<SeriesAnswer>
  spectra(
    runId: string,
    query: SpectraQuery & SpectraPage,
  ): Promise<{ spectra: SpectrumView[]; next: string | null; cursor: number }>
  spectraIndex(
    runId: string,
    page: SpectraPage,
  ): Promise<{ entries: SpectrumEntry[]; next: string | null; cursor: number }>
  spectraModules(runId: string): Promise<SpectraModulesAnswer>
  spectraMeasures(runId: string, query: MeasuresQuery): Promise<SpectraMeasuresAnswer>
  spectraValues(runId: string, query: ValuesQuery): Promise<SpectraValuesAnswer>
  spectraProfiles(runId: string, query: ProfilesQuery): Promise<SpectraProfilesAnswer>
  /** A piece of the file of all points; `position` is null at first, then `next` of the piece before. */
  exportPage(
    runId: string,
    format: ExportFormat,
    names: string[] | null,
    position: string | null,
  ): Promise<ExportPage>

  close(): Promise<void>
}
