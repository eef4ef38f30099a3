import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { constants, getPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { Random } from '../random.ts'
import { closeSpectra, LinearAlgebraPool, latestSpectrum, spectrum, topSvd, topSvdAll } from './index.ts'
import type { DenseSource } from './spectrum.ts'

const pool = new LinearAlgebraPool({ workers: 1, threadsPerWorker: 1, lowPriority: true })
afterAll(async () => {
  await pool.close()
  await closeSpectra()
})

const [rows, columns] = [20, 30]
const weights = (seed = 1) => new Random(seed).fillNormal(new Float32Array(rows * columns))
const update = (after: Float32Array): DenseSource => ({ kind: 'dense', rows, columns, after, before: null })
const multiple = (factor: number) =>
  update(new Float32Array(rows * columns).fill(factor / Math.sqrt(rows * columns)))

/** Nice values of this process’s threads, as Linux has them: field 19 of stat, the 17th behind the name. */
const threadPriorities = () =>
  readdirSync('/proc/self/task').map((thread) => {
    const stat = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16])
  })

describe('the pool', () => {
  // Threads have priorities on Linux only, and nothing is below the lowest.
  const below = Math.min(getPriority() + 10, constants.priority.PRIORITY_LOW)
  const untellable = process.platform !== 'linux' || below === getPriority()
  test.skipIf(untellable)('of low priority lets training go first', async () => {
    expect(threadPriorities().filter((priority) => priority >= below)).toEqual([])
    await pool.spectrum(update(weights()))
    expect(threadPriorities()).toContain(below)
  })

  test('takes a snapshot: later changes of the weights do not reach the result', async () => {
    const w = weights()
    const before = Math.hypot(...w)
    const pending = pool.spectrum(update(w))
    w.fill(0)
    expect((await pending).frobenius).toBeCloseTo(before, 9)
  })

  test('hands buffers over on request, copies views of part of a buffer, shares shared memory', async () => {
    const moved = weights()
    const result = pool.spectrum(update(moved), { transfer: true })
    expect(moved.length).toBe(0)
    const part = new Float32Array(rows * columns + 5).subarray(5)
    part.set(weights())
    const fromPart = pool.spectrum(update(part), { transfer: true })
    expect(part.length).toBe(rows * columns)
    const shared = new Float32Array(new SharedArrayBuffer(4 * rows * columns))
    shared.set(weights())
    const fromShared = pool.spectrum({ ...update(weights()), before: shared })
    expect((await fromPart).singularValues).toEqual((await result).singularValues)
    expect((await fromShared).frobenius).toBe(0)
    expect(shared).toEqual(weights())
  })

  test('a buffer handed over belongs to its request even while that waits, and may serve it twice', async () => {
    const running = pool.spectrum(multiple(1))
    const moved = weights()
    const waiting = pool.spectrum({ ...update(moved), before: moved }, { transfer: true })
    expect(moved.length).toBe(0)
    await expect(pool.spectrum(update(moved), { transfer: true })).rejects.toMatchObject({ code: 'INTERNAL' })
    expect((await waiting).frobenius).toBe(0)
    await running
  })

  test('a waiting snapshot gives way to a newer one of the same module, and only to that', async () => {
    const running = pool.latestSpectrum('q', multiple(1))
    const stale = pool.latestSpectrum('q', multiple(2))
    const other = pool.latestSpectrum('k', multiple(3))
    const plain = pool.spectrum(multiple(4))
    const newest = pool.latestSpectrum('q', multiple(5))
    const results = await Promise.all([running, stale, other, plain, newest])
    expect(results.map((result) => result && Math.round(result.frobenius))).toEqual([1, null, 3, 4, 5])
  })

  test('an aborted request rejects at once, waiting or running, and the others go on', async () => {
    const [first, second] = [new AbortController(), new AbortController()]
    const running = pool.spectrum(multiple(1), { signal: first.signal })
    const waiting = pool.spectrum(multiple(2), { signal: second.signal })
    const other = pool.spectrum(multiple(3))
    first.abort(new Error('first'))
    second.abort(new Error('second'))
    await expect(running).rejects.toThrow('first')
    await expect(waiting).rejects.toThrow('second')
    expect((await other).frobenius).toBeCloseTo(3, 6)
    await expect(pool.spectrum(multiple(4), { signal: first.signal })).rejects.toThrow('first')
    expect(pool.pending).toBe(0)
  })

  test('a coded error crosses the thread, and the worker serves on', async () => {
    const bad = update(weights().fill(Number.NaN, 3, 4))
    await expect(pool.spectrum(bad)).rejects.toMatchObject({ code: 'NUMERIC', message: /row 0, column 3/ })
    expect((await pool.spectrum(multiple(1))).frobenius).toBeCloseTo(1, 6)
  })

  test('closing rejects what waits and what runs', async () => {
    const closing = new LinearAlgebraPool({ workers: 1, threadsPerWorker: 1, lowPriority: false })
    const requests = [closing.spectrum(multiple(1)), closing.spectrum(multiple(2))]
    const outcomes = Promise.allSettled(requests)
    await closing.close()
    for (const outcome of await outcomes) expect(outcome.status).toBe('rejected')
  })
})

describe('the start of a run', () => {
  test('decomposes every module, tells progress, and the second time reads the cache', async () => {
    const cacheFolder = mkdtempSync(join(tmpdir(), 'svd-start-'))
    try {
      const entries = (rank: number) =>
        ['q', 'k', 'v'].map((name, i) => ({ name, rows, columns, rank, w: () => weights(i) }))
      const seen: string[] = []
      const options = { kind: 'full', cacheFolder, threads: 2 } as const
      const first = await topSvdAll(entries(6), {
        ...options,
        onProgress: ({ done, total, fromCache }) => seen.push(`${done}/${total} ${fromCache}`),
      })
      expect(seen).toEqual(['1/3 false', '2/3 false', '3/3 false'])
      expect([...first.keys()].sort()).toEqual(['k', 'q', 'v'])
      const again = await topSvdAll(entries(6), options)
      for (const [name, { fromCache, u, s, v }] of again) {
        expect(fromCache).toBe(true)
        const { u: firstU, s: firstS, v: firstV } = first.get(name)!
        expect([u, s, v]).toEqual([firstU, firstS, firstV])
      }
      const second = await topSvdAll(entries(4), options)
      for (const [name, { fromCache, s }] of second) {
        expect(fromCache).toBe(true)
        expect(s).toEqual(first.get(name)!.s.slice(0, 4))
      }
    } finally {
      rmSync(cacheFolder, { recursive: true })
    }
  })

  test('a matrix too large to be read on the spot is read by the threads', async () => {
    const cacheFolder = mkdtempSync(join(tmpdir(), 'svd-start-'))
    const side = 2050
    const w = new Random(1).fillNormal(new Float32Array(side * side))
    const options = { kind: 'randomized', cacheFolder, threads: 1 } as const
    const first = await topSvd(w, side, side, 2, options)
    const again = await topSvd(w, side, side, 2, options)
    expect([first.fromCache, again.fromCache]).toEqual([false, true])
    expect(again.s).toEqual(first.s)
    rmSync(cacheFolder, { recursive: true })
  })

  test('an error names the module', async () => {
    const entry = { rows, columns, rank: 2 }
    const bad = weights().fill(Number.POSITIVE_INFINITY, 31, 32)
    const entries = [
      { ...entry, name: 'good', w: weights() },
      { ...entry, name: 'layers.1.q_proj', w: bad },
    ]
    const failure = topSvdAll(entries, { kind: 'full' })
    await expect(failure).rejects.toMatchObject({
      code: 'NUMERIC',
      message: /^layers.1.q_proj: .*row 1, column 1/,
    })
    const large = topSvdAll([{ ...entry, name: 'layers.2.k_proj', rank: 21, w: weights() }], { kind: 'full' })
    await expect(large).rejects.toMatchObject({
      code: 'RANK_TOO_LARGE',
      message: /^layers.2.k_proj: Rank 21/,
    })
  })

  test('abort stops it', async () => {
    const signal = AbortSignal.abort(new Error('stopped'))
    await expect(topSvd(weights(), rows, columns, 2, { kind: 'full', signal })).rejects.toThrow('stopped')
  })
})

test('the shared thread for spectra serves plain and coalescing requests', async () => {
  const [plain, latest] = await Promise.all([spectrum(multiple(2)), latestSpectrum('q', multiple(3))])
  expect(plain.frobenius).toBeCloseTo(2, 6)
  expect(latest?.frobenius).toBeCloseTo(3, 6)
})
