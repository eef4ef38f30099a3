/** What surrounds a run: where its records go, which folders it may touch, what may interrupt it. */

import type { ErrorPayload, Gang, RecordBody, RecordBodyOf } from '@rankscope/protocol'
import type { Collective } from '../collectives/collective.ts'

/** Folders in which paths of a configuration are looked up. */
export interface Roots {
  /** A relative model path is looked up under each; an absolute one must lie inside one of them. */
  readonly models: readonly string[]
  readonly data: readonly string[]
  /** True for a person's own command line: absolute and relative paths are taken as they are. */
  readonly anywhere: boolean
}

/** The other nodes of a run, as a run's process sees them. Messages may be lost; none arrives twice. */
export interface GangLink {
  readonly nodeId: string
  readonly members: Gang
  tell(to: string, body: Uint8Array<ArrayBuffer>): void
  onMessage(hear: (from: string, body: Uint8Array<ArrayBuffer>) => void): void
}

export interface RunEnvironment {
  /** Receives every record in order. Called synchronously; must neither throw nor block. */
  emit(body: RecordBody): void
  /**
   * Resolves when every record emitted so far is on disk: a checkpoint must not know of steps that nobody was told of.
   * Left out where `emit` sees to that itself.
   */
  recordsKept?(): Promise<void>
  readonly roots: Roots
  /** The run's own folder, made where absent: `checkpoints/step-<n>/`, `model/`, `adapter/`. */
  readonly folder: string
  /** Results that later runs can use again (singular value decompositions), or null for none. */
  readonly cacheFolder: string | null
  /** CPU threads where the configuration leaves them open. */
  readonly threads: number
  /** Memory that the run may take, in bytes, or null for no check. */
  readonly memoryBytes: number | null
  /** Checkpoint folder to go on from, or null to start afresh. Where it is damaged, an older one beside it serves. */
  readonly checkpointFrom: string | null
  /** Where earlier attempts of the run saved checkpoints, oldest first. */
  readonly formerPlaces?: readonly string[]
  /** The owner of the node keeps no more checkpoints of a run than these. */
  readonly keepAtMost?: number
  /** What a run does when a checkpoint or an export finds no room: wait, or fail with DISK_FULL (where left out). */
  readonly onFullDisk?: 'wait' | 'fail'
  readonly control: RunControl
  /** Of a run that several nodes share: each of them has such a process. */
  readonly gang?: GangLink
  /** In a rank of a run with one process per device: the other ranks. Rank 0 tells, evaluates and writes. */
  readonly collective?: Collective
}

export type RunRequest = 'stop' | 'pause' | 'checkpoint'

/** Requests from outside, honoured between two optimiser steps. */
export class RunControl {
  #leave: 'stop' | 'pause' | null = null
  #checkpoint = false

  /** A later stop overrides a pause; a pause does not override a stop. */
  request(request: RunRequest): void {
    if (request === 'checkpoint') this.#checkpoint = true
    else if (this.#leave !== 'stop') this.#leave = request
  }

  /** Whether the run should leave its loop, and how. */
  get leave(): 'stop' | 'pause' | null {
    return this.#leave
  }

  /** True once per checkpoint request. */
  takeCheckpointRequest(): boolean {
    const requested = this.#checkpoint
    this.#checkpoint = false
    return requested
  }
}

/** How a run ended. The same was told as the last `lifecycle` record. */
export type RunOutcome =
  | { readonly state: 'finished'; readonly steps: number; readonly summary: RecordBodyOf<'summary'> }
  /** Paused: `checkpoint` is the folder to go on from. */
  | { readonly state: 'paused'; readonly steps: number; readonly checkpoint: string }
  | { readonly state: 'stopped'; readonly steps: number }
  | { readonly state: 'failed'; readonly steps: number; readonly error: ErrorPayload }
