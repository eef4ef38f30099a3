/**
 * Hands the spool over, oldest first, one batch at a time: a batch holds all that gathered while the one before was on
 * its way. A refusal concerns the server as a whole (its disk is full) or a single record that it cannot take. Halving
 * finds such a record; it is set aside, on this disk, and all others flow.
 */
import { setTimeout as delay } from 'node:timers/promises'
import {
  type Ack,
  type ErrorPayload,
  errorPayload,
  maxRecordBytes,
  parseOrThrow,
  type RecordAck,
  type RunRecord,
  recordAckSchema,
} from '@rankscope/protocol'
import type { Spool, SpooledRecord } from './spool.ts'

export interface DeliveryOptions {
  readonly spool: Spool
  /** Sends a batch; rejects where no answer comes. */
  send(records: RunRecord[]): Promise<Ack<RecordAck>>
  /** The server took records. */
  delivered(): void
  /** A record that the server cannot take: to be kept aside, and told. */
  setAside(record: SpooledRecord, error: ErrorPayload): void
  /** A record was refused and nothing else waits: a line in the run’s log shows whether others are taken. */
  delayed(record: SpooledRecord): void
  /** Something is wrong for the time being. */
  trouble(line: string): void
  report(line: string): void
  /** How long to wait while the server cannot store. */
  readonly retryMs: number
}

const batchLimits = { count: 500, bytes: 2 * 2 ** 20 }
/** With these every record would be refused. */
const concernsAll = new Set<string>(['STORE_FULL', 'DISK_FULL', 'UNAUTHORIZED', 'NODE_DUPLICATE'])
/** Nobody waits for such records any more: the run was deleted, or a newer attempt replaced it. */
const concernsNobody = new Set<string>(['NOT_FOUND', 'STALE_ATTEMPT'])

export class Delivery {
  readonly #options: DeliveryOptions
  /** What was reported already: the records of a replaced attempt are rejected one by one. */
  readonly #reported = new Set<string>()
  #wake = () => {}

  constructor(options: DeliveryOptions) {
    this.#options = options
  }

  /** Says that the spool has new records, or that the connection has changed. */
  notify(): void {
    this.#wake()
  }

  /** Delivers as long as the connection is the current one. Rejects where an answer fails to come. */
  async run(isCurrent: () => boolean): Promise<void> {
    const { spool } = this.#options
    let position = 0
    let { count } = batchLimits
    /** Single records that were refused, while it is open whether the fault is theirs. */
    let suspects: SpooledRecord[] = []
    while (isCurrent()) {
      const batch = spool.read(position, { ...batchLimits, count })
      const [first] = batch
      if (first === undefined) {
        if (suspects.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve))
        else {
          for (const suspect of suspects) this.#tellOfDelay(suspect)
          await this.#pause()
          position = 0
        }
        suspects = []
        continue
      }
      if (first.bytes > maxRecordBytes) {
        const message = `it has ${first.bytes} bytes, at most ${maxRecordBytes} are sent`
        this.#options.setAside(first, { code: 'MESSAGE_INVALID', message, hint: null })
        continue
      }
      const refusal = await this.#send(batch)
      if (!isCurrent()) return
      if (refusal === null) {
        position = batch.at(-1)!.position
        ;({ count } = batchLimits)
        for (const suspect of suspects.splice(0)) if (isCurrent()) await this.#convict(suspect)
      } else if (concernsAll.has(refusal.code) || (batch.length === 1 && suspects.length > 0)) {
        this.#options.trouble(`the server could not store records: ${refusal.message}; trying again`)
        await this.#pause()
        suspects = []
        position = 0
        ;({ count } = batchLimits)
      } else if (batch.length > 1) count = Math.ceil(batch.length / 2)
      else if (refusal.code === 'MESSAGE_INVALID') {
        // It could not even be read, whatever the state of the server.
        this.#options.setAside(first, refusal)
      } else {
        suspects.push(first)
        position = first.position
      }
    }
  }

  /** Others are taken. Refused twice more all the same, it is the record’s own fault. */
  async #convict(suspect: SpooledRecord): Promise<void> {
    const first = await this.#send([suspect])
    if (first === null) return
    await this.#pause()
    const second = await this.#send([suspect])
    if (second !== null) this.#options.setAside(suspect, second)
  }

  /** Where nothing else waits, a line in the run’s log is what shows whether others are taken. */
  #tellOfDelay(suspect: SpooledRecord): void {
    if (suspect.record.body.kind !== 'log' && this.#isNew(`delay ${identity(suspect.record)}`))
      this.#options.delayed(suspect)
  }

  #pause(): Promise<void> {
    return delay(this.#options.retryMs)
  }

  /** Null where the batch was taken, but for records that were rejected by themselves. */
  async #send(batch: readonly SpooledRecord[]): Promise<ErrorPayload | null> {
    const { spool, delivered } = this.#options
    const reply = await this.#options.send(batch.map(({ record }) => record))
    if (!reply.ok) return reply.error
    const { rejected } = parseOrThrow(
      recordAckSchema,
      reply.value,
      'MESSAGE_INVALID',
      'the answer to records',
    )
    const byIdentity = new Map(batch.map((entry) => [identity(entry.record), entry]))
    for (const rejection of rejected) {
      const { runId, attempt, code, message } = rejection
      const entry = byIdentity.get(identity(rejection))
      if (entry && !concernsNobody.has(code)) this.#options.setAside(entry, { code, message, hint: null })
      else if (this.#isNew(`${runId}, attempt ${attempt}: ${code}`))
        this.#options.report(`the server takes no more of ${runId}, attempt ${attempt}: ${code}: ${message}`)
    }
    await this.#persist(() => spool.forget(batch.map((entry) => entry.position)))
    delivered()
    return null
  }

  /** What was taken may be sent again without harm; still it is forgotten before more is sent. */
  async #persist(work: () => void): Promise<void> {
    for (;;) {
      try {
        return work()
      } catch (error) {
        this.#options.trouble(`the spool cannot be written: ${errorPayload(error).message}; trying again`)
        await this.#pause()
      }
    }
  }

  #isNew(subject: string): boolean {
    if (this.#reported.has(subject)) return false
    this.#reported.add(subject)
    return true
  }
}

function identity({ runId, attempt, seq }: { runId: string; attempt: number; seq: number }): string {
  return `${runId}/${attempt}/${seq}`
}
