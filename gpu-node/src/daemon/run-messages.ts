/** What the daemon and a run’s process tell each other over the IPC channel (serialization `advanced`: NaN and bytes survive). */
import type { Gang, RecordBody, RunConfig } from '@rankscope/protocol'
import type { Roots, RunRequest } from '../run/run.ts'

/** Everything of a run’s environment that can be told; the process adds the means to emit and to be interrupted. */
export interface RunOrder {
  readonly config: RunConfig
  readonly roots: Roots
  readonly folder: string
  readonly cacheFolder: string | null
  readonly threads: number
  readonly memoryBytes: number | null
  readonly checkpointFrom: string | null
  readonly formerPlaces?: readonly string[]
  readonly keepAtMost?: number
  readonly onFullDisk?: 'wait' | 'fail'
  /** The nodes that share the run, and which of them this is. */
  readonly gang?: { readonly nodeId: string; readonly members: Gang }
}

export type MessageToRun =
  | { readonly type: 'start'; readonly order: RunOrder }
  | { readonly type: 'request'; readonly request: RunRequest }
  | { readonly type: 'gang'; readonly from: string; readonly body: Uint8Array<ArrayBuffer> }
  /** The records before the `flush` of that number are on disk. */
  | { readonly type: 'flushed'; readonly flush: number }

export type MessageFromRun =
  | { readonly type: 'gang'; readonly to: string; readonly body: Uint8Array<ArrayBuffer> }
  | { readonly type: 'record'; readonly timeMs: number; readonly body: RecordBody }
  /** To be answered when the records before it are on disk. */
  | { readonly type: 'flush'; readonly flush: number }
