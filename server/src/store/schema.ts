/** The tables, as Kysely sees them. Texts that repeat (series names, modules) are interned in `texts`. */
import type { RecordKind, SpectrumPart, SpectrumView } from '@rankscope/protocol'
import type { Generated } from 'kysely'

export type Tables = {
  texts: { textKey: Generated<number>; text: string }
  runs: {
    runKey: Generated<number>
    runId: string
    name: string
    state: string
    attempt: number
    nodeId: string | null
    createdMs: number
    queuedMs: number
    startedMs: number | null
    endedMs: number | null
    lastCursor: number
    revision: number
    /** JSON */
    config: string
    /** JSON of RunProgress */
    progress: string
  }
  nodes: {
    nodeId: string
    firstSeenMs: number
    lastSeenMs: number
    /** JSON of NodeHello without activeRuns */
    hello: string
  }
  /** Everything a run told, exactly as sent: MessagePack of the body; of scalars, with interned names. */
  records: {
    runKey: number
    cursor: number
    attempt: number
    seq: number
    timeMs: number
    kind: number
    body: Uint8Array
  }
  /** What charts draw: per step the value of the newest attempt. A value of null is NaN. */
  points: {
    runKey: number
    nameKey: number
    step: number
    attempt: number
    seq: number
    timeMs: number
    value: number | null
  }
  series: { runKey: number; nameKey: number; builtTo: number }
  /** Joined stretches of 8^level steps of a series. An extreme or last value of null is NaN. */
  buckets: {
    runKey: number
    nameKey: number
    level: number
    bucket: number
    step: number
    timeMs: number
    last: number | null
    min: number | null
    max: number | null
    count: number
    nanCount: number
  }
  /** Where each spectrum lies in `records`, with what an overview shows of it. */
  spectra: {
    runKey: number
    moduleKey: number
    part: number
    step: number
    final: number
    attempt: number
    cursor: number
    rows: number
    columns: number
    /** JSON of SpectrumOverview */
    overview: string
  }
  sweeps: {
    sweepId: string
    createdMs: number
    state: string
    /** JSON of SweepSpec */
    spec: string
  }
  /** In the order of `position`; a deleted run leaves its row to nobody. */
  sweepRuns: {
    sweepId: string
    position: number
    runId: string
    /** JSON of SweepPoint */
    point: string
  }
  /** Requests that made or extended a sweep, so that one that is sent again does nothing. */
  sweepRequests: { requestId: string; sweepId: string }
  /** Empty but for the moment in which it is tried whether there is room. */
  probe: { filler: Uint8Array }
  /** Nodes that were given a run, any attempt of it: they hold its files. */
  holders: { runId: string; nodeId: string }
  /** Deleted runs whose files a node has not yet removed. */
  deletions: { runId: string; nodeId: string }
  /** What people decided of nodes. `pausedRuns`: JSON, runs that go on when the node is opened again. */
  nodeModes: { nodeId: string; mode: string; pausedRuns: string }
  /** Deleted runs whose records are still to be removed. */
  purges: { runKey: number }
}

/** Numbers that stand for record kinds in the database; never change one. */
export const kindCodes = {
  lifecycle: 1,
  phase: 2,
  start: 3,
  scalars: 4,
  spectrum: 5,
  log: 6,
  sample: 7,
  evaluation: 8,
  checkpoint: 9,
  artifact: 10,
  summary: 11,
} as const satisfies Record<RecordKind, number>

/** Numbers that stand for spectrum parts in the database; never change one. */
export const partCodes = {
  total: 1,
  'first-order': 2,
  'second-order': 3,
  rounding: 4,
} as const satisfies Record<SpectrumPart, number>

/** What the index of spectra shows of each besides its shape. */
export type SpectrumOverview = Pick<SpectrumView, 'frobenius' | 'measures'>
