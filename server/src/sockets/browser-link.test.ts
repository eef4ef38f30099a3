import type { RecordBody, RunView, StoredRecord } from '@rankscope/protocol'
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { record, scalars, spectrum } from '../testing/samples.ts'
import { BrowserLink, type ReadRecords, type Wire } from './browser-link.ts'

const stored = (cursor: number): StoredRecord => ({
  ...record('run', cursor, scalars(cursor, { loss: cursor })),
  cursor,
})
const range = (from: number, to: number) =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => stored(from + index))

/** A network that is congested when told so, and a store whose answers come when told so. */
class Rig implements Wire {
  readonly sent: { event: string; cursors: number[]; view: unknown }[] = []
  committed = 0
  readonly reported: unknown[] = []
  /** What the next read throws. */
  failure: Error | null = null
  congested = false
  readonly #drains: (() => void)[] = []
  readonly #reads: (() => void)[] = []
  readonly link: BrowserLink

  constructor() {
    const read: ReadRecords = (_, afterCursor, limit) =>
      new Promise((resolve, reject) => {
        this.#reads.push(() => {
          const { failure } = this
          this.failure = null
          if (failure) reject(failure)
          else resolve(range(afterCursor + 1, Math.min(this.committed, afterCursor + Math.min(limit, 7))))
        })
      })
    this.link = new BrowserLink(this, read, (error) => this.reported.push(error))
  }

  send(event: string, ...[message]: unknown[]): void {
    const records = (message as { records?: StoredRecord[] }).records ?? []
    this.sent.push({ event, cursors: records.map((item) => item.cursor), view: message })
  }
  isCongested(): boolean {
    return this.congested
  }
  onceDrained(callback: () => void): void {
    this.#drains.push(callback)
  }

  commit(count: number): void {
    const records = range(this.committed + 1, this.committed + count)
    this.committed += count
    this.link.records('run', records)
  }
  drain(): void {
    this.congested = false
    for (const callback of this.#drains.splice(0)) callback()
  }
  async answerRead(): Promise<void> {
    this.#reads.shift()?.()
    for (let turn = 0; turn < 5; turn++) await Promise.resolve()
  }
  async settle(): Promise<void> {
    this.drain()
    while (this.#reads.length > 0) await this.answerRead()
  }
  cursors(): number[] {
    return this.sent.flatMap((message) => message.cursors)
  }
}

describe('a browser link', () => {
  it('sends every record once and in order, whatever the order of commits, reads and congestion (P11)', async () => {
    const action = fc.oneof(
      fc.integer({ min: 1, max: 9 }).map((count) => ({ kind: 'commit' as const, count })),
      fc.constantFrom({ kind: 'answer' as const }, { kind: 'congest' as const }, { kind: 'drain' as const }),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.nat(20),
        fc.nat(20),
        fc.array(action, { maxLength: 40 }),
        async (before, offset, actions) => {
          const rig = new Rig()
          rig.committed = before
          const after = Math.min(before, offset)
          rig.link.subscribe({ runId: 'run', afterCursor: after }, before)
          for (const step of actions) {
            if (step.kind === 'commit') rig.commit(step.count)
            else if (step.kind === 'answer') await rig.answerRead()
            else if (step.kind === 'congest') rig.congested = true
            else rig.drain()
          }
          await rig.settle()
          expect(rig.cursors()).toEqual(range(after + 1, rig.committed).map((item) => item.cursor))
        },
      ),
      { numRuns: 500, seed: 5 },
    )
  })

  it('keeps nothing in memory for a browser that does not read: records are read again later (P12)', async () => {
    const rig = new Rig()
    rig.link.subscribe({ runId: 'run', afterCursor: 0 }, 0)
    rig.congested = true
    for (let batch = 0; batch < 100; batch++) rig.commit(5)
    await rig.answerRead()
    expect(rig.sent).toEqual([])
    await rig.settle()
    expect(rig.cursors()).toHaveLength(500)
  })

  it('replaces views that wait by newer ones (P13)', () => {
    const rig = new Rig()
    rig.congested = true
    for (let step = 1; step <= 50; step++) rig.link.run({ runId: 'run', step } as RunView)
    expect(rig.sent).toEqual([])
    rig.drain()
    expect(rig.sent.map((message) => message.view)).toEqual([{ runId: 'run', step: 50 }])
  })

  it('subscribed anew goes on from the new cursor only', async () => {
    const rig = new Rig()
    rig.committed = 3
    rig.link.subscribe({ runId: 'run', afterCursor: 0 }, 3)
    rig.link.subscribe({ runId: 'run', afterCursor: 2 }, 3)
    await rig.settle()
    expect(rig.cursors()).toEqual([3])
    rig.link.unsubscribe('run')
    rig.commit(1)
    await rig.settle()
    expect(rig.cursors()).toEqual([3])
  })

  it('survives a store that cannot be read, and asks it again', async () => {
    vi.useFakeTimers()
    try {
      const rig = new Rig()
      rig.committed = 3
      rig.failure = new Error('the thread died')
      rig.link.subscribe({ runId: 'run', afterCursor: 0 }, 3)
      await rig.answerRead()
      expect(rig.reported).toEqual([new Error('the thread died')])
      vi.advanceTimersByTime(1000)
      await rig.settle()
      expect(rig.cursors()).toEqual([1, 2, 3])
    } finally {
      vi.useRealTimers()
    }
  })

  it('reports what cannot be sent and leaves it out; what follows is sent', () => {
    const rig = new Rig()
    const send = rig.send.bind(rig)
    rig.link.subscribe({ runId: 'run', afterCursor: 0 }, 0)
    rig.send = () => {
      throw new RangeError('too long')
    }
    rig.commit(1)
    rig.send = send
    rig.commit(1)
    expect(rig.reported).toEqual([new RangeError('too long')])
    expect(rig.cursors()).toEqual([2])
  })

  it('sends spectra without their profiles, which are asked for', () => {
    const rig = new Rig()
    rig.link.subscribe({ runId: 'run', afterCursor: 0 }, 0)
    const body = { ...spectrum(1, [2, 1]), profiles: { overlaps: new Uint8Array(8) } } as RecordBody
    rig.link.records('run', [{ ...record('run', 1, body), cursor: 1 }])
    const [sent] = rig.sent.flatMap(({ view }) => (view as { records: StoredRecord[] }).records)
    expect(sent?.body).toEqual(spectrum(1, [2, 1]))
  })

  it('joins changes of rows that wait, newest values last (P16)', () => {
    const rig = new Rig()
    rig.link.watch({ runs: 'rows', views: ['watched'], nodes: false })
    rig.congested = true
    rig.link.rows([
      { runId: 'run', step: 1, name: 'a' },
      { runId: 'other', step: 5 },
    ])
    rig.link.rows([{ runId: 'run', step: 2 }])
    rig.link.run({ runId: 'run' } as RunView)
    rig.link.run({ runId: 'watched' } as RunView)
    rig.drain()
    expect(rig.sent.map(({ event, view }) => [event, view])).toEqual([
      ['run', { runId: 'watched' }],
      [
        'runRows',
        {
          rows: [
            { runId: 'run', step: 2, name: 'a' },
            { runId: 'other', step: 5 },
          ],
        },
      ],
    ])
  })
})
