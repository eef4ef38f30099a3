import type { RunView, StoredRecord } from '@rankscope/protocol'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { record, scalars } from '../testing/samples.ts'
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
  congested = false
  readonly #drains: (() => void)[] = []
  readonly #reads: (() => void)[] = []
  readonly link: BrowserLink

  constructor() {
    const read: ReadRecords = (_, afterCursor, limit) =>
      new Promise((resolve) => {
        this.#reads.push(() =>
          resolve(range(afterCursor + 1, Math.min(this.committed, afterCursor + Math.min(limit, 7)))),
        )
      })
    this.link = new BrowserLink(this, read)
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
          rig.link.subscribe('run', after, before)
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
    rig.link.subscribe('run', 0, 0)
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
    rig.link.subscribe('run', 0, 3)
    rig.link.subscribe('run', 2, 3)
    await rig.settle()
    expect(rig.cursors()).toEqual([3])
    rig.link.unsubscribe('run')
    rig.commit(1)
    await rig.settle()
    expect(rig.cursors()).toEqual([3])
  })
})
