/** Records on their way to a disk that may be full, and what the protocol cannot carry. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { largestTextCharacters, type RecordBody, recordBodySchema, whileWriting } from '@rankscope/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fitBody, RecordQueue } from './record-queue.ts'
import { openSpool, type Spool } from './spool.ts'

const run = { runId: 'run-a', attempt: 1 }
const scalars = (step: number): RecordBody => ({ kind: 'scalars', step, values: { loss: step } })

describe('a full disk', () => {
  let folder: string
  let spool: Spool
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'rankscope-queue-'))
    spool = openSpool(join(folder, 'spool.db'))
    spool.open(run)
  })
  afterEach(() => {
    spool.close()
    rmSync(folder, { recursive: true })
  })

  it('holds the runs and loses nothing; when there is room they go on', async () => {
    let isFull = true
    const told: string[] = []
    /** The spool on a disk that takes nothing for a while. */
    const onFullDisk: Spool = {
      ...spool,
      get bytes() {
        return spool.bytes
      },
      append(records) {
        if (isFull)
          whileWriting(join(folder, 'spool.db-wal'), () => {
            throw Object.assign(new Error('database or disk is full'), { code: 'SQLITE_FULL' })
          })
        spool.append(records)
      },
    }
    let release = () => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    const queue = new RecordQueue({
      spool: onFullDisk,
      spoolBytes: 2 ** 30,
      retryMs: 5,
      spooled: () => told.push('spooled'),
      hold: () => told.push('hold'),
      release: () => {
        told.push('release')
        release()
      },
      report: (line) => told.push(line),
    })
    queue.add(run, scalars(1))
    queue.flush()
    queue.add(run, scalars(2))
    expect(queue.isHolding).toBe(true)
    expect(told).toEqual([
      expect.stringMatching(/spool\.db-wal: the disk is full \(SQLITE_FULL\); runs wait/),
      'hold',
    ])
    const kept = queue.kept().then(() => told.push('kept'))
    await Promise.resolve()
    expect(told, 'a checkpoint waits').not.toContain('kept')
    isFull = false
    await released
    await kept
    expect(queue.isHolding).toBe(false)
    // Held once more: for runs that have begun since.
    expect(told.slice(2)).toEqual(['hold', 'the spool can be written again', 'spooled', 'release', 'kept'])
    expect(spool.read(0, { count: 10, bytes: 1e6 }).map(({ record }) => record.body)).toEqual([
      scalars(1),
      scalars(2),
    ])
  })
})

describe('what the protocol cannot carry', () => {
  it.each([
    ['a NUL in a name', { kind: 'scalars', step: 1, values: { 'loss\0': 1 } }, /U\+0000/],
    ['a lone surrogate', { kind: 'scalars', step: 1, values: { 'loss\ud800': 1 } }, /U\+D800/],
    [
      'more names than one record may bring',
      {
        kind: 'scalars',
        step: 1,
        values: Object.fromEntries(Array.from({ length: 40_000 }, (_, i) => [`n${i}`, i])),
      },
      /at most 10000 names/,
    ],
    ['a name of megabytes', { kind: 'scalars', step: 1, values: { ['x'.repeat(2 ** 22)]: 1 } }, /values/],
  ])('%s becomes a log that says so', (_, body, reason) => {
    const fitted = fitBody(body as RecordBody)
    expect(fitted).toMatchObject({ kind: 'log', level: 'error', message: expect.stringMatching(reason) })
    expect((fitted as { message: string }).message.length).toBeLessThan(10_000)
  })

  it('a text of 80 MB is cut, and says so', () => {
    const fitted = fitBody({ kind: 'log', level: 'info', message: 'x'.repeat(80 * 2 ** 20) })
    expect(recordBodySchema.safeParse(fitted).success).toBe(true)
    expect(fitted).toMatchObject({ message: expect.stringContaining('cut here: 83886080 characters') })
    expect((fitted as { message: string }).message).toHaveLength(largestTextCharacters)
  })
})
