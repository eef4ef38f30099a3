/** One suite over every store. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  decodeColumn,
  decodeCounts,
  decodeSteps,
  RankscopeError,
  type RecordBody,
  toFloat64Bytes,
} from '@rankscope/protocol'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import {
  lifecycle,
  record,
  sampleConfig,
  sampleHello,
  scalars,
  spectrum,
  startBody,
} from '../testing/samples.ts'
import { openSqliteStore } from './sqlite.ts'
import type { Store, StoredRun } from './store.ts'

type Sibling = { name: string; create: () => { open: () => Promise<Store>; remove: () => void } }

const siblings: Sibling[] = [
  {
    name: 'sqlite',
    create: () => {
      const folder = mkdtempSync(join(tmpdir(), 'rankscope-store-'))
      return {
        open: () => openSqliteStore(join(folder, 'store.db')),
        remove: () => rmSync(folder, { recursive: true, force: true }),
      }
    },
  },
]

describe.each(siblings)('the $name store', ({ create }) => {
  const place = create()
  let store: Store
  beforeAll(async () => {
    store = await place.open()
  })
  afterEach(async () => {
    for (const run of await store.listRuns()) await store.deleteRun(run.runId)
    while (await store.purge());
    for (const node of await store.listNodes()) await store.deleteNode(node.nodeId)
  })
  afterAll(async () => {
    await store.close()
    place.remove()
  })

  /** A run that was given to node-a. */
  async function assignedRun(runId: string, attempt = 1): Promise<StoredRun> {
    const [run] = await store.createRuns([
      { runId, name: `lora-${runId}`, config: sampleConfig(), createdMs: 5 },
    ])
    return (await store.updateRun(runId, run!.revision, { state: 'assigned', nodeId: 'node-a', attempt }))!
  }

  const firstPage = { limit: 1000, after: null }
  const everything = { names: null, points: 1000, fromStep: null, toStep: null }

  describe('runs', () => {
    it('are created all or none, queued, as attempt 1, under unique names', async () => {
      const config = sampleConfig()
      const created = await store.createRuns([
        { runId: 'a', name: 'lora-brave-otter', config, createdMs: 1 },
        { runId: 'b', name: 'lora-brave-otter', config, createdMs: 2 },
      ])
      expect(created.map((run) => run.name)).toEqual(['lora-brave-otter', 'lora-brave-otter-2'])
      expect(created[0]).toMatchObject({ state: 'queued', attempt: 1, config, lastCursor: 0 })
      await expect(
        store.createRuns([
          { runId: 'c', name: 'other', config, createdMs: 3 },
          { runId: 'a', name: 'again', config, createdMs: 3 },
        ]),
      ).rejects.toMatchObject({ code: 'STORE_FAILED' })
      expect((await store.listRuns()).map((run) => run.runId)).toEqual(['a', 'b'])
    })

    it('change only from the revision that the change was computed from', async () => {
      const run = await assignedRun('a')
      expect(await store.updateRun('a', run.revision - 1, { state: 'queued' })).toBeNull()
      const changed = await store.updateRun('a', run.revision, { state: 'running' })
      expect(changed).toMatchObject({ state: 'running', revision: run.revision + 1 })
      expect(await store.listRuns()).toEqual([changed])
    })

    it('cannot take the name of another run', async () => {
      await assignedRun('a')
      const other = await assignedRun('b')
      const renaming = store.updateRun('b', other.revision, { name: 'lora-a' })
      await expect(renaming).rejects.toBeInstanceOf(RankscopeError)
      await expect(renaming).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    })

    it('are gone at once when deleted, and purging removes all that belonged to them', async () => {
      const run = await assignedRun('run')
      await store.append('node-a', [
        record('run', 1, scalars(1, { loss: 1 })),
        record('run', 2, spectrum(1, [2, 1])),
      ])
      expect(await store.deleteRun('run')).toEqual({ records: 2, nodeIds: ['node-a'] })
      expect(await store.deleteRun('run')).toBeNull()
      expect(await store.listRuns()).toEqual([])
      expect(await store.recordsAfter('run', 0, 10)).toEqual([])
      while (await store.purge());
      await store.createRuns([{ runId: run.runId, name: run.name, config: run.config, createdMs: 9 }])
      expect((await store.series('run', everything)).series).toEqual([])
      expect((await store.spectraIndex('run', firstPage)).entries).toEqual([])
    })
  })

  it('gives the room of a deleted run back, and remembers which nodes still hold its files', async () => {
    const run = await assignedRun('run')
    await assignedRun('other')
    await store.append(
      'node-a',
      Array.from({ length: 400 }, (_, index) =>
        record('run', index + 1, { kind: 'log', level: 'info', message: 'x'.repeat(8000) }),
      ),
    )
    const current = (await store.listRuns()).find((one) => one.runId === run.runId)!
    await store.updateRun('run', current.revision, { nodeId: 'node-b' })
    expect(await store.deleteRun('run')).toEqual({ records: 400, nodeIds: ['node-a', 'node-b'] })
    while (await store.purge());
    let freed = 0
    for (;;) {
      const { freedBytes, isMore } = await store.shrink()
      freed += freedBytes
      if (!isMore) break
    }
    expect(freed).toBeGreaterThan(400 * 8000)
    expect(await store.shrink()).toEqual({ freedBytes: 0, isMore: false })
    const owing = async () =>
      (await store.listDeletions()).filter(({ runId }) => runId === 'run').map(({ nodeId }) => nodeId)
    await store.deletionDone('run', 'node-a')
    expect(await owing()).toEqual(['node-b'])
    await store.deleteNode('node-b')
    expect(await owing()).toEqual([])
  })

  it('keeps nodes, the newest hello of each', async () => {
    const { activeRuns: _, instanceId: _instance, ...hello } = sampleHello()
    await store.saveNode({ nodeId: 'node-a', hello, firstSeenMs: 1, lastSeenMs: 1 })
    await store.saveNode({ nodeId: 'node-a', hello: { ...hello, slots: 7 }, firstSeenMs: 2, lastSeenMs: 2 })
    expect(await store.listNodes()).toEqual([
      { nodeId: 'node-a', hello: { ...hello, slots: 7 }, firstSeenMs: 1, lastSeenMs: 2 },
    ])
    expect(await store.deleteNode('node-a')).toBe(true)
    expect(await store.listNodes()).toEqual([])
  })

  describe('records', () => {
    it('come back exactly as sent, in the order of their cursors, also after reopening (P1)', async () => {
      await assignedRun('run')
      const sent = [
        record('run', 1, lifecycle('running')),
        record('run', 2, startBody()),
        record('run', 3, scalars(1, { 'train/loss': Number.NaN, huge: 3.4e38, 'eval/ä': -0, tiny: 5e-324 })),
        record('run', 4, spectrum(1, [3, 2, 1, Number.POSITIVE_INFINITY])),
        record('run', 5, { kind: 'log', level: 'info', message: 'zero \0, emoji 🦦, Ünïcode' }),
      ]
      const { cursors } = await store.append('node-a', sent)
      expect(cursors).toEqual([1, 2, 3, 4, 5])
      const expected = sent.map((item, index) => ({ ...item, cursor: index + 1 }))
      expect(await store.recordsAfter('run', 0, 100)).toEqual(expected)
      await store.close()
      store = await place.open()
      expect(await store.recordsAfter('run', 2, 2)).toEqual(expected.slice(2, 4))
    })

    it('are kept once, however often and in whatever order they are delivered (P2)', async () => {
      let runs = 0
      const bodies = [
        lifecycle('running'),
        startBody(),
        ...Array.from({ length: 6 }, (_, step) => scalars(step + 1, { loss: step, [`only/${step}`]: step })),
        { kind: 'checkpoint', step: 3, path: '/c', bytes: 1 } as const,
        lifecycle('finished'),
      ]
      const seqs = bodies.map((_, index) => index + 1)
      const delivery = fc.tuple(
        fc.shuffledSubarray(seqs, { minLength: seqs.length }),
        fc.array(fc.constantFrom(...seqs), { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 4, maxLength: 22 }),
      )
      let reference: unknown = null
      await fc.assert(
        fc.asyncProperty(delivery, async ([order, repeats, sizes]) => {
          const runId = `r${runs++}`
          await assignedRun(runId)
          // Whatever was missed comes again at the end, as the spool would send it.
          const queue = [...repeats, ...order].map((seq) => record(runId, seq, bodies[seq - 1]!))
          while (queue.length > 0) {
            const batch = queue.splice(0, sizes[queue.length % sizes.length])
            const { rejected } = await store.append('node-a', batch)
            expect(rejected).toEqual([])
          }
          const records = await store.recordsAfter(runId, 0, 100)
          expect(records.map((item) => item.cursor)).toEqual(seqs)
          expect(records.map((item) => item.seq).sort((a, b) => a - b)).toEqual(seqs)
          const run = (await store.listRuns()).find((item) => item.runId === runId)!
          const { progress, state } = run
          const { series } = await store.series(runId, everything)
          // Object keys compare without order, so any order of arrival must give the same.
          const outcome = { state, progress, series }
          reference ??= outcome
          expect(outcome).toEqual(reference)
          expect(state).toBe('finished')
        }),
        { numRuns: 30, seed: 7 },
      )
    })

    it('with a known number but another content are rejected, and the rest of the batch stays (P3)', async () => {
      await assignedRun('run')
      await store.append('node-a', [record('run', 1, scalars(1, { loss: 1 }))])
      const { rejected, cursors } = await store.append('node-a', [
        record('run', 1, scalars(1, { loss: 2 })),
        record('run', 2, scalars(2, { loss: 2 })),
      ])
      expect(rejected).toMatchObject([{ runId: 'run', attempt: 1, seq: 1, code: 'RECORD_CONFLICT' }])
      expect(cursors).toEqual([null, 2])
    })

    it('that cannot be kept are found by halving and refused by themselves, all others stay (P3)', async () => {
      await assignedRun('run')
      const poison = { ...spectrum(1, [1]), rows: {} as unknown as number } as RecordBody
      const sent = Array.from({ length: 21 }, (_, index) =>
        record('run', index + 1, index === 4 || index === 20 ? poison : scalars(index, { loss: index })),
      )
      const { rejected, cursors } = await store.append('node-a', sent)
      expect(rejected.map(({ seq, code }) => [seq, code])).toEqual([
        [5, 'MESSAGE_INVALID'],
        [21, 'MESSAGE_INVALID'],
      ])
      expect(cursors.filter((cursor) => cursor !== null)).toEqual(
        Array.from({ length: 19 }, (_, index) => index + 1),
      )
      expect(await store.recordsAfter('run', 0, 100)).toEqual(
        sent
          .filter((_, index) => index !== 4 && index !== 20)
          .map((item, index) => ({ ...item, cursor: index + 1 })),
      )
    })

    it.each([
      ['NUL', 'loss\0'],
      ['a lone surrogate', 'loss\ud800'],
      ['a line break', 'lo\nss'],
    ])('whose name holds %s are refused, and spoil no other name (P3)', async (_, name) => {
      await assignedRun('run')
      const { rejected, cursors } = await store.append('node-a', [
        record('run', 1, scalars(1, { loss: 1, [name]: 2 })),
        record('run', 2, scalars(1, { loss: 3 })),
        record('run', 3, { ...spectrum(1, [1]), module: name } as RecordBody),
      ])
      expect(rejected.map(({ seq, code }) => [seq, code])).toEqual([
        [1, 'MESSAGE_INVALID'],
        [3, 'MESSAGE_INVALID'],
      ])
      expect(cursors).toEqual([null, 1, null])
      expect(await store.recordsAfter('run', 0, 9)).toMatchObject([{ body: { values: { loss: 3 } } }])
    })

    it('with 40,000 names in one batch are kept; a view shows the first thousand (P3)', async () => {
      await assignedRun('run')
      const sent = Array.from({ length: 8 }, (_, part) =>
        record(
          'run',
          part + 1,
          scalars(
            1,
            Object.fromEntries(
              Array.from({ length: 5000 }, (_, index) => [`n/${part * 5000 + index}`, index]),
            ),
          ),
        ),
      )
      const { rejected, runs } = await store.append('node-a', sent)
      expect(rejected).toEqual([])
      expect(Object.keys(runs[0]!.progress.latest)).toHaveLength(1000)
      expect(runs[0]!.progress.latest).toMatchObject({ 'n/0': 0, 'n/10000': 0 })
      const { series } = await store.series('run', { ...everything, names: ['n/39999', 'n/0'] })
      expect(series.map(({ name, total }) => [name, total])).toEqual([
        ['n/0', 1],
        ['n/39999', 1],
      ])
      expect(await store.recordsAfter('run', 7, 1)).toEqual([{ ...sent[7], cursor: 8 }])
    })

    it('with the greatest numbers come back exactly, beside the least', async () => {
      await assignedRun('run', Number.MAX_SAFE_INTEGER)
      const most = Number.MAX_SAFE_INTEGER
      const sent = [
        record('run', most, scalars(most, { loss: Number.MAX_VALUE }), most),
        record('run', 1, scalars(0, { loss: 1 }), most),
        record('run', most - 1, { ...spectrum(most, [1]), rows: 2 ** 31 } as RecordBody, most),
      ]
      expect((await store.append('node-a', sent)).cursors).toEqual([1, 2, 3])
      expect((await store.append('node-a', sent)).cursors).toEqual([null, null, null])
      expect(await store.recordsAfter('run', 0, 9)).toEqual(
        sent.map((item, index) => ({ ...item, cursor: index + 1 })),
      )
      const { series } = await store.series('run', everything)
      expect(series[0]!.buckets.map(({ step, last }) => [step, last])).toEqual([
        [0, 1],
        [most, Number.MAX_VALUE],
      ])
    })

    it.each([
      ['of an unknown run', 'nobody', 1, 'node-a', 'NOT_FOUND'],
      ['of an older attempt', 'run', 1, 'node-a', 'STALE_ATTEMPT'],
      ['of an attempt that was never given out', 'run', 3, 'node-a', 'MESSAGE_INVALID'],
      ['from a node that does not hold the run', 'run', 2, 'node-b', 'MESSAGE_INVALID'],
    ])('%s are refused (P4)', async (_, runId, attempt, nodeId, code) => {
      await assignedRun('run', 2)
      const { rejected } = await store.append(nodeId, [record(runId, 1, lifecycle('running'), attempt)])
      expect(rejected).toMatchObject([{ code }])
      expect(await store.recordsAfter('run', 0, 10)).toEqual([])
    })

    it('of several runs may share a batch; each run has cursors of its own', async () => {
      await assignedRun('a')
      await assignedRun('b')
      const { cursors, runs } = await store.append('node-a', [
        record('a', 1, lifecycle('running')),
        record('b', 1, lifecycle('running')),
        record('a', 2, scalars(1, { loss: 1 })),
      ])
      expect(cursors).toEqual([1, 1, 2])
      expect(runs.map((run) => [run.runId, run.lastCursor, run.progress.step])).toEqual([
        ['a', 2, 1],
        ['b', 1, 0],
      ])
    })

    it('of one kind are read newest first by pages, and given oldest first', async () => {
      await assignedRun('run')
      const logs = Array.from({ length: 5 }, (_, index) =>
        record('run', index + 1, { kind: 'log', level: 'info', message: `line ${index + 1}` }),
      )
      await store.append('node-a', logs)
      const newest = await store.recordsOfKind('run', 'log', { beforeCursor: null, limit: 2 })
      expect(newest.records.map((item) => item.seq)).toEqual([4, 5])
      expect([newest.cursor, newest.next]).toEqual([5, 4])
      const older = await store.recordsOfKind('run', 'log', { beforeCursor: newest.next, limit: 2 })
      expect(older.records.map((item) => item.seq)).toEqual([2, 3])
      const oldest = await store.recordsOfKind('run', 'log', { beforeCursor: older.next, limit: 2 })
      expect([oldest.records.map((item) => item.seq), oldest.next]).toEqual([[1], null])
    })
  })

  describe('series', () => {
    it('lose neither a spike nor a NaN to joining, and say how many points there are', async () => {
      await assignedRun('run')
      const count = 5000
      const value = (step: number) => (step === 1234 ? 1e9 : step === 4321 ? Number.NaN : Math.sin(step))
      for (let first = 0; first < count; first += 500)
        await store.append(
          'node-a',
          Array.from({ length: 500 }, (_, index) =>
            record('run', first + index + 1, scalars(first + index, { loss: value(first + index) })),
          ),
        )
      const { series } = await store.series('run', { ...everything, points: 50 })
      const [{ total, buckets }] = series as [(typeof series)[0]]
      expect(total).toBe(count)
      expect(buckets.length).toBeLessThanOrEqual(50)
      expect(Math.max(...buckets.map((bucket) => bucket.max))).toBe(1e9)
      expect(buckets.reduce((sum, bucket) => sum + bucket.nanCount, 0)).toBe(1)
      expect(buckets.at(-1)).toMatchObject({ step: count - 1, last: value(count - 1) })
      let from = 0
      for (const { step, last, min, max, count: joined, nanCount } of buckets) {
        const values = Array.from({ length: step + 1 - from }, (_, index) => value(from + index))
        const finite = values.filter((one) => !Number.isNaN(one))
        expect([last, joined, nanCount]).toEqual([value(step), values.length, values.length - finite.length])
        expect([min, max]).toEqual([Math.min(...finite), Math.max(...finite)])
        from = step + 1
      }
      const narrow = await store.series('run', { ...everything, fromStep: 1230, toStep: 1239 })
      expect(narrow.series[0]!.buckets.map((bucket) => bucket.last)).toEqual(
        Array.from({ length: 10 }, (_, index) => value(1230 + index)),
      )
    })

    it('follow the newest attempt: what older ones said beyond its start is superseded (P9)', async () => {
      await assignedRun('run')
      const steps = Array.from({ length: 1500 }, (_, index) =>
        record('run', index + 1, scalars(index + 1, { loss: 1 })),
      )
      await store.append('node-a', [...steps, record('run', 1501, spectrum(1400, [1]))])
      const [run] = await store.listRuns()
      await store.updateRun('run', run!.revision, { attempt: 2 })
      await store.append('node-a', [
        record('run', 1, startBody(600), 2),
        ...Array.from({ length: 500 }, (_, index) =>
          record('run', index + 2, scalars(601 + index, { loss: 2 }), 2),
        ),
      ])
      const { series } = await store.series('run', { ...everything, points: 5000 })
      expect(series[0]!.total).toBe(1100)
      expect(series[0]!.buckets.map((bucket) => bucket.last)).toEqual([
        ...new Array(600).fill(1),
        ...new Array(500).fill(2),
      ])
      const coarse = await store.series('run', { ...everything, points: 10 })
      expect(coarse.series[0]!.total).toBe(1100)
      expect(await store.spectraIndex('run', firstPage)).toMatchObject({ entries: [] })
      expect(await store.recordsAfter('run', 0, 5000)).toHaveLength(2002)
    })
  })

  it('finds spectra by module, part, step and final, and lists their measures without the values', async () => {
    await assignedRun('run')
    await store.append('node-a', [
      record('run', 1, spectrum(10, [3, 2])),
      record('run', 2, spectrum(20, [4, Number.NaN])),
      record('run', 3, spectrum(20, [5, 1], true)),
    ])
    const none = { module: null, part: null, step: null, final: null, ...firstPage }
    const at20 = await store.spectra('run', { ...none, step: 20, final: false, part: 'total' })
    expect(at20.spectra.map((item) => item.singularValues)).toEqual([[4, 'NaN']])
    expect((await store.spectra('run', { ...none, module: 'unknown' })).spectra).toEqual([])
    const { entries, cursor } = await store.spectraIndex('run', firstPage)
    expect(entries.map((entry) => [entry.step, entry.final])).toEqual([
      [10, false],
      [20, false],
      [20, true],
    ])
    expect(entries[0]).toMatchObject({ frobenius: 1.5, measures: { effectiveRank: 'NaN', stableRank: 1.25 } })
    expect(cursor).toBe(3)
  })

  it('bounds a page of long texts by their bytes; asked on by cursor each comes once', async () => {
    await assignedRun('run')
    await store.append(
      'node-a',
      Array.from({ length: 250 }, (_, index) =>
        record('run', index + 1, { kind: 'log', level: 'info', message: `${index}`.padEnd(60_000, '.') }),
      ),
    )
    const seen: number[] = []
    let pages = 0
    let beforeCursor: number | null = null
    do {
      const page: Awaited<ReturnType<Store['recordsOfKind']>> = await store.recordsOfKind('run', 'log', {
        beforeCursor,
        limit: 10_000,
      })
      seen.unshift(...page.records.map(({ cursor }) => cursor))
      beforeCursor = page.next
      pages += 1
    } while (beforeCursor !== null)
    expect(pages).toBe(2)
    expect(seen).toEqual(Array.from({ length: 250 }, (_, index) => index + 1))
  })

  it('bounds an answer of series by its points, and names the series to go on after', async () => {
    await assignedRun('run')
    const names = Array.from({ length: 110 }, (_, index) => `s${String(index).padStart(3, '0')}`)
    const values = Object.fromEntries(names.map((name) => [name, 1]))
    for (let first = 1; first <= 1000; first += 100)
      await store.append(
        'node-a',
        Array.from({ length: 100 }, (_, index) =>
          record('run', first + index, scalars(first + index, values)),
        ),
      )
    const query = { names: null, points: 20_000, fromStep: null, toStep: null, limit: 500 }
    const one = await store.series('run', query)
    expect([one.series.length, one.next]).toEqual([100, 's099'])
    const two = await store.series('run', { ...query, after: one.next })
    expect([two.series.map(({ name }) => name), two.next]).toEqual([names.slice(100), null])
  })

  it('gives every answer by pages that together hold each thing once', async () => {
    await assignedRun('run')
    const names = ['a', 'b', 'c', 'd', 'e']
    await store.append('node-a', [
      record('run', 1, scalars(1, Object.fromEntries(names.map((name, index) => [name, index])))),
      ...Array.from({ length: 9 }, (_, index) =>
        record('run', index + 2, spectrum(1 + (index >> 1), [index], index % 2 === 1)),
      ),
    ])
    const seen: string[] = []
    const listed: string[] = []
    let after: string | null = null
    do {
      const page: { series: { name: string }[]; next: string | null } = await store.series('run', {
        ...everything,
        limit: 2,
        after,
      })
      expect(page.series.length).toBeLessThanOrEqual(2)
      seen.push(...page.series.map(({ name }) => name))
      after = page.next
    } while (after !== null)
    do {
      const page: { names: string[]; next: string | null } = await store.seriesNames('run', after, 3)
      listed.push(...page.names)
      after = page.next
    } while (after !== null)
    expect([seen, listed]).toEqual([names, names])
    const spectra: unknown[] = []
    const entries: unknown[] = []
    const all = { module: null, part: null, step: null, final: null }
    do {
      const page = await store.spectra('run', { ...all, limit: 2, after })
      spectra.push(...page.spectra.map((one) => one.singularValues[0]))
      after = page.next
    } while (after !== null)
    do {
      const page = await store.spectraIndex('run', { limit: 4, after })
      entries.push(...page.entries.map(({ step, final }) => [step, final]))
      after = page.next
    } while (after !== null)
    expect(spectra).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8])
    expect(entries).toEqual(spectra.map((index) => [1 + (Number(index) >> 1), Number(index) % 2 === 1]))
  })

  it('cuts a page of spectra by its bytes, and columns of values where they no longer fit', async () => {
    await assignedRun('run')
    const long = Array.from({ length: 100_000 }, (_, index) => 100_000 - index)
    await store.append(
      'node-a',
      Array.from({ length: 12 }, (_, index) => record('run', index + 1, spectrum(index, long))),
    )
    const all = { module: null, part: null, step: null, final: null }
    const first = await store.spectra('run', { ...all, ...firstPage })
    expect(first.spectra.length).toBe(6)
    const rest = await store.spectra('run', { ...all, limit: 1000, after: first.next })
    expect(rest.spectra.map(({ step }) => step)).toEqual([6, 7, 8, 9, 10, 11])
    const module = first.spectra[0]!.module
    const items = Array.from({ length: 12 }, (_, step) => ({
      module,
      part: 'total' as const,
      step,
      final: false,
    }))
    const values = await store.spectraValues('run', { items, precision: 'float64' })
    expect([values.spectra.length, values.next]).toEqual([6, 6])
    expect([...decodeColumn(values.spectra[5]!, 'float64')]).toEqual(long)
  })

  it('gives profiles of spectra on their own, those that each has', async () => {
    await assignedRun('run')
    const profiles = { overlaps: toFloat64Bytes([1, 0.25]), inputShares: toFloat64Bytes([1 / 3, Number.NaN]) }
    const body = spectrum(4, [2, 1])
    if (body.kind !== 'spectrum') throw new Error('not a spectrum')
    const { module } = body
    await store.append('node-a', [
      record('run', 1, { ...body, profiles }),
      record('run', 2, { ...body, step: 8 }),
    ])
    const items = [4, 8, 9].map((step) => ({ module, part: 'total' as const, step, final: false }))
    const { spectra, next } = await store.spectraProfiles('run', {
      items,
      names: ['inputShares', 'rotation'],
    })
    expect([Object.keys(spectra[0]!), spectra[1], spectra[2], next]).toEqual([
      ['inputShares'],
      {},
      null,
      null,
    ])
    expect([...decodeColumn(spectra[0]!.inputShares!, 'float64')]).toEqual([1 / 3, Number.NaN])
  })

  describe('columns', () => {
    const module = 'model.layers.0.self_attn.q_proj'

    it('say of series what the lists say, of several runs in one answer', async () => {
      await assignedRun('run')
      await assignedRun('other')
      const value = (step: number) => (step === 777 ? Number.NaN : step === 99 ? 1e9 : Math.sin(step))
      await store.append(
        'node-a',
        Array.from({ length: 2000 }, (_, index) =>
          record('run', index + 1, scalars(index * 3, { a: value(index), b: index })),
        ),
      )
      await store.append('node-a', [record('other', 1, scalars(5, { a: 1 / 3 }))])
      const query = { runId: 'run', names: ['a', 'none'], points: 50 }
      const { runs, next } = await store.seriesColumns({
        queries: [
          query,
          { runId: 'nobody', names: ['a'], points: 5 },
          { runId: 'other', names: ['a'], points: 5 },
        ],
        precision: 'float64',
        times: true,
      })
      const { series, cursor } = await store.series('run', { ...everything, names: ['a'], points: 50 })
      const [expected] = series
      const [column] = runs[0]!.series
      const decoded = (bytes: Uint8Array | null) => [...decodeColumn(bytes!, 'float64')]
      expect({
        name: column!.name,
        total: column!.total,
        buckets: [...decodeSteps(column!.steps)].map((step, index) => ({
          step,
          timeMs: decoded(column!.timesMs)[index],
          last: decoded(column!.last)[index],
          min: decoded(column!.min)[index],
          max: decoded(column!.max)[index],
          nanCount: decodeCounts(column!.nanCounts!)[index],
        })),
      }).toEqual({ ...expected, buckets: expected!.buckets.map(({ count: _, ...bucket }) => bucket) })
      expect([runs[0]!.cursor, runs[1], next]).toEqual([cursor, null, null])
      expect(runs[2]!.series).toMatchObject([{ name: 'a', total: 1, min: null, nanCounts: null }])
      expect(decoded(runs[2]!.series[0]!.last)).toEqual([1 / 3])
    })

    it('name modules and steps of spectra in groups, their measures, and single ones exactly', async () => {
      await assignedRun('run')
      const other = (step: number) => ({ ...spectrum(step, [step, 1]), module: 'other' }) as RecordBody
      await store.append('node-a', [
        record('run', 1, spectrum(20, [4, Number.NaN])),
        record('run', 2, spectrum(10, [3, 1 / 3])),
        record('run', 3, other(10)),
        record('run', 4, other(20)),
        record('run', 5, spectrum(20, [5, 1], true)),
      ])
      expect(await store.spectraModules('run')).toEqual({
        groups: [
          { part: 'total', final: false, modules: [module, 'other'].sort(), steps: [10, 20] },
          { part: 'total', final: true, modules: [module], steps: [20] },
        ],
        shapes: { [module]: [4, 4], other: [4, 4] },
        cursor: 5,
      })
      const measured = await store.spectraMeasures('run', {
        part: 'total',
        final: false,
        measures: ['stableRank', 'effectiveRank', 'frobenius', 'unknown'],
        precision: 'float64',
        fromStep: 15,
      })
      expect(measured.modules.map(({ module }) => module)).toEqual([module, 'other'].sort())
      expect([...decodeSteps(measured.modules[0]!.steps)]).toEqual([20])
      expect(measured.modules[0]!.values.map((bytes) => decodeColumn(bytes, 'float64')[0])).toEqual([
        1.25,
        Number.NaN,
        1.5,
        Number.NaN,
      ])
      const item = (step: number, final = false) => ({ module, part: 'total' as const, step, final })
      const { spectra, next } = await store.spectraValues('run', {
        items: [item(10), item(11), item(20, true), { ...item(20), module: 'nobody' }],
        precision: 'float64',
      })
      expect(spectra.map((bytes) => bytes && [...decodeColumn(bytes, 'float64')])).toEqual([
        [3, 1 / 3],
        null,
        [5, 1],
        null,
      ])
      expect(next).toBeNull()
    })
  })

  it.each(['csv', 'jsonl', 'json'] as const)(
    'exports every point as %s in pieces that fit together',
    async (format) => {
      await assignedRun('run')
      const last = 45_000
      for (let first = 1; first <= last; first += 15_000)
        await store.append(
          'node-a',
          Array.from({ length: 15_000 }, (_, index) => {
            const step = first + index
            const values = step % 3 === 0 ? { a: step / 7, 'b,c': -step } : { a: step / 7 }
            return record('run', step, scalars(step, step === 40_000 ? { a: Number.NaN } : values))
          }),
        )
      let text = ''
      let pieces = 0
      let position: string | null = null
      do {
        const piece: { text: string; next: string | null } = await store.exportPage(
          'run',
          format,
          null,
          position,
        )
        expect(piece.text.length).toBeLessThan(2e6)
        text += piece.text
        pieces += 1
        position = piece.next
      } while (position !== null)
      expect(pieces).toBeGreaterThan(3)
      const steps = Array.from({ length: last }, (_, index) => index + 1)
      const a = (step: number) => (step === 40_000 ? 'NaN' : step / 7)
      const b = (step: number) => (step % 3 === 0 && step !== 40_000 ? -step : null)
      if (format === 'csv')
        expect(text).toBe(
          `step,a,"b,c"\n${steps.map((step) => `${step},${a(step)},${b(step) ?? ''}\n`).join('')}`,
        )
      else if (format === 'jsonl')
        expect(
          text
            .trimEnd()
            .split('\n')
            .map((line) => JSON.parse(line)),
        ).toEqual(
          steps.map((step) => ({
            step,
            values: b(step) === null ? { a: a(step) } : { a: a(step), 'b,c': b(step) },
          })),
        )
      else
        expect(JSON.parse(text)).toEqual([
          { name: 'a', steps, timesMs: steps.map((step) => 1000 + step), values: steps.map(a) },
          {
            name: 'b,c',
            steps: steps.filter((step) => b(step) !== null),
            timesMs: steps.filter((step) => b(step) !== null).map((step) => 1000 + step),
            values: steps.map(b).filter((value) => value !== null),
          },
        ])
    },
  )

  it('answers reads while a long write goes on, and keeps calls in order', async () => {
    await assignedRun('run')
    const batches = Array.from({ length: 6 }, (_, batch) =>
      store.append(
        'node-a',
        Array.from({ length: 400 }, (_, index) =>
          record('run', batch * 400 + index + 1, scalars(batch * 400 + index, { loss: index })),
        ),
      ),
    )
    const seen = (await store.recordsAfter('run', 0, 5000)).length
    const results = await Promise.all(batches)
    expect(seen % 400).toBe(0)
    expect(results.map((result) => result.cursors[0])).toEqual([1, 401, 801, 1201, 1601, 2001])
  })
})
