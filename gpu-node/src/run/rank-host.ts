/** The ranks of a run on this host: a socket in a folder of their own, to which each says what it does and hears what is asked. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { launchCommand } from '@rankscope/launch'
import type { RecordBody, RunConfig } from '@rankscope/protocol'
import type { RunEnvironment, RunOutcome, RunRequest } from './environment.ts'
import { MessageReader, writeMessage } from './rank-messages.ts'

/** What every rank of a host is told, as a JSON file. */
export interface RankOrder {
  readonly config: RunConfig
  readonly socket: string
  /** Of a run over several hosts: rank 0 hands its checkpoint to the first rank of each other one. */
  readonly firstRankHere: number | null
  readonly environment: Pick<
    RunEnvironment,
    | 'roots'
    | 'folder'
    | 'cacheFolder'
    | 'threads'
    | 'memoryBytes'
    | 'checkpointFrom'
    | 'formerPlaces'
    | 'keepAtMost'
    | 'onFullDisk'
  >
}

export type FromRank =
  | { readonly type: 'hello'; readonly rank: number; readonly processId: number }
  | { readonly type: 'record'; readonly body: RecordBody }
  | { readonly type: 'outcome'; readonly rank: number; readonly outcome: RunOutcome }
  /** To be answered when the records before it are kept. */
  | { readonly type: 'flush' }
export type ToRank = { readonly type: 'request'; readonly request: RunRequest } | { readonly type: 'flushed' }

const requestPollMs = 100
/** What the ranks said last may still be on its way; one that outlives its job is not waited for. */
const lastWordsMs = 3000

export interface RankHostOptions {
  readonly config: RunConfig
  readonly environment: RunEnvironment
  /** Ranks here, the first of them, and whether other hosts have more. */
  readonly devices: number
  readonly firstRankHere: number
  readonly isShared: boolean
  outcome(rank: number, outcome: RunOutcome): void
  record(body: RecordBody): void
}

export class RankHost {
  /** What a launcher starts for each rank of this host. */
  readonly command: readonly string[]
  readonly folder = mkdtempSync(join(tmpdir(), 'rankscope-ranks-'))
  readonly #options: RankHostOptions
  readonly #server: Server
  readonly #heard: Promise<void>[] = []
  readonly #processIds = new Set<number>()
  #connected = 0
  /** Every rank that was here has gone. */
  onEmpty: () => void = () => {}

  constructor(options: RankHostOptions) {
    this.#options = options
    const { config, environment, devices } = options
    const { roots, cacheFolder, threads, memoryBytes, checkpointFrom } = environment
    const { formerPlaces, keepAtMost, onFullDisk } = environment
    const ownThreads = config.resources.threads
    const order: RankOrder = {
      config,
      socket: join(this.folder, 'ranks.sock'),
      firstRankHere: options.isShared ? options.firstRankHere : null,
      environment: {
        roots,
        folder: environment.folder,
        cacheFolder,
        threads: Math.max(
          1,
          Math.floor(ownThreads === null ? threads / devices : ownThreads / config.parallel.devices),
        ),
        memoryBytes: memoryBytes === null ? null : memoryBytes / devices,
        checkpointFrom,
        ...(formerPlaces && { formerPlaces }),
        ...(keepAtMost !== undefined && { keepAtMost }),
        ...(onFullDisk && { onFullDisk }),
      },
    }
    const orderFile = join(this.folder, 'order.json')
    writeFileSync(orderFile, JSON.stringify(order))
    this.command = launchCommand(new URL('./rank-entry.ts', import.meta.url), orderFile)
    this.#server = createServer((socket) => {
      this.#heard.push(this.#listen(socket))
    })
  }

  async open(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(join(this.folder, 'ranks.sock'), resolve)
    })
  }

  /** Resolves when what the ranks said last was heard. */
  async lastWords(): Promise<void> {
    await Promise.race([Promise.all(this.#heard), setTimeout(lastWordsMs, undefined, { ref: false })])
  }

  /** Ranks that outlive what carried them. */
  killRanks(): void {
    for (const processId of this.#processIds)
      try {
        process.kill(processId, 'SIGKILL')
      } catch {
        // Gone meanwhile.
      }
  }

  close(): void {
    this.#server.close()
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** Records come from rank 0 alone, an outcome from every rank. Resolves when the rank has closed its connection. */
  #listen(socket: Socket): Promise<void> {
    const { control } = this.#options.environment
    const recordsKept = () => this.#options.environment.recordsKept?.()
    let requests: NodeJS.Timeout | undefined
    let processId: number | undefined
    const sent = new Set<RunRequest>()
    const send = (request: RunRequest) => writeMessage(socket, { type: 'request', request } satisfies ToRank)
    const reader = new MessageReader((value) => {
      const message = value as FromRank
      switch (message.type) {
        case 'hello':
          processId = message.processId
          this.#processIds.add(processId)
          if (message.rank !== 0) return
          requests = setInterval(() => {
            const { leave } = control
            if (control.takeCheckpointRequest()) send('checkpoint')
            if (leave === null || sent.has(leave)) return
            sent.add(leave)
            send(leave)
          }, requestPollMs)
          return
        case 'record':
          this.#options.record(message.body)
          return
        case 'flush':
          void Promise.resolve(recordsKept()).then(() =>
            writeMessage(socket, { type: 'flushed' } satisfies ToRank),
          )
          return
        case 'outcome':
          this.#options.outcome(message.rank, message.outcome)
          return
        default:
          message satisfies never
      }
    })
    this.#connected++
    socket.on('data', (part) => reader.push(part))
    // A rank that dies breaks its connection; the job's end tells why.
    socket.on('error', () => undefined)
    return new Promise((resolve) => {
      socket.on('close', () => {
        clearInterval(requests)
        if (processId !== undefined) this.#processIds.delete(processId)
        this.#connected--
        resolve()
        if (this.#connected === 0 && this.#heard.length === this.#options.devices) this.onEmpty()
      })
    })
  }
}
