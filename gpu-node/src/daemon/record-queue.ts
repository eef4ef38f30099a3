/**
 * The way of records into the spool: those that arrive in one turn of the event loop share one transaction; a slow disk
 * makes larger ones. Where the spool holds too much, or the disk is full, runs are held until there is room; what was
 * told meanwhile stays in the queue.
 */
import { toUSVString } from 'node:util'
import { errorPayload, largestTextCharacters, type RecordBody, recordBodySchema } from '@rankscope/protocol'
import type { NewRecord, RunKey, Spool } from './spool.ts'

export interface RecordQueueOptions {
  readonly spool: Spool
  /** Bytes in the spool above which runs are held. */
  readonly spoolBytes: number
  /** How long to wait before the disk is tried again. */
  readonly retryMs: number
  /** New records are on disk. */
  spooled(): void
  /** Runs are to write nothing until `release`. Called again while that lasts: for runs that have begun since. */
  hold(): void
  release(): void
  report(line: string): void
}

export class RecordQueue {
  readonly #options: RecordQueueOptions
  #waiting: NewRecord[] = []
  #keptListeners: (() => void)[] = []
  #spoolFull = false
  /** What the disk says, while it takes nothing. */
  #diskFault: string | null = null
  #retry: NodeJS.Timeout | null = null

  constructor(options: RecordQueueOptions) {
    this.#options = options
  }

  /** Whether runs are held. */
  get isHolding(): boolean {
    return this.#spoolFull || this.#diskFault !== null
  }

  /** What is wrong with the disk, or null. */
  get diskFault(): string | null {
    return this.#diskFault
  }

  add({ runId, attempt }: RunKey, body: RecordBody, timeMs = Date.now()): void {
    if (this.#waiting.length === 0) setImmediate(() => this.flush())
    this.#waiting.push({ runId, attempt, timeMs, body })
  }

  flush(): void {
    if (this.#waiting.length === 0) return
    const { spool, spoolBytes, spooled, report } = this.#options
    try {
      spool.append(this.#waiting)
    } catch (error) {
      this.#waitForDisk(errorPayload(error).message)
      return
    }
    this.#waiting = []
    for (const resolve of this.#keptListeners.splice(0)) resolve()
    if (this.#diskFault !== null) report('the spool can be written again')
    this.#diskFault = null
    spooled()
    if (spool.bytes > spoolBytes) {
      if (!this.#spoolFull)
        report(
          `the spool holds ${Math.round(spool.bytes / 2 ** 20)} MiB that the server has not taken: runs wait`,
        )
      this.#spoolFull = true
      this.#options.hold()
    }
    this.#releaseIfRoom()
  }

  /** Resolves when all that was added so far is on disk. */
  kept(): Promise<void> {
    this.flush()
    if (this.#waiting.length === 0) return Promise.resolve()
    return new Promise((resolve) => this.#keptListeners.push(resolve))
  }

  /** The server took records: let runs go on when there is room again. */
  relieved(): void {
    const { spool, spoolBytes, report } = this.#options
    if (!this.#spoolFull || spool.bytes > spoolBytes * 0.8) return
    this.#spoolFull = false
    report('the spool has room again: runs go on')
    this.#releaseIfRoom()
  }

  close(): void {
    if (this.#retry !== null) clearTimeout(this.#retry)
    this.#retry = null
  }

  #waitForDisk(fault: string): void {
    const { retryMs, report } = this.#options
    if (fault !== this.#diskFault) report(`the spool cannot be written: ${fault}; runs wait until it can`)
    this.#diskFault = fault
    this.#options.hold()
    this.#retry ??= setTimeout(() => {
      this.#retry = null
      this.flush()
    }, retryMs)
  }

  #releaseIfRoom(): void {
    if (!this.isHolding) this.#options.release()
  }
}

/** In the folder of the attempt: records that the protocol cannot carry, one JSON object per line. */
export const refusedFile = 'refused-records.jsonl'

/** A record as a run’s process told it, made fit for the protocol: long texts are cut, what does not fit becomes a log. */
export function fitBody(value: RecordBody): RecordBody {
  const parsed = recordBodySchema.safeParse(cutTexts(value))
  if (parsed.success) return parsed.data
  const reason = parsed.error.issues.map((issue) => {
    const [inner] = issue.code === 'invalid_key' ? issue.issues : []
    return `${JSON.stringify(issue.path.join('.').slice(0, 200))} ${inner?.message ?? issue.message}`
  })
  return {
    kind: 'log',
    level: 'error',
    message: `a ${String(value?.kind)} record did not fit the protocol and was set aside (${refusedFile}): ${reason.slice(0, 5).join('; ')}`,
  }
}

function cutTexts(body: RecordBody): RecordBody {
  switch (body?.kind) {
    case 'log':
      return { ...body, message: cut(body.message) }
    case 'sample':
      return {
        ...body,
        prompt: cut(body.prompt),
        completion: cut(body.completion),
        expected: body.expected === null ? null : cut(body.expected),
      }
    case 'lifecycle':
      return body.error === null
        ? body
        : { ...body, error: { ...body.error, message: cut(body.error.message) } }
    default:
      return body
  }
}

function cut(text: string): string {
  if (typeof text !== 'string') return text
  if (text.length <= largestTextCharacters) return toUSVString(text)
  const end = ` … (cut here: ${text.length} characters)`
  return toUSVString(text.slice(0, largestTextCharacters - end.length)) + end
}
