import { type RecordBody, type StoredRecord, toFloat64Bytes } from '@rankscope/protocol'
import { describe, expect, it } from 'vitest'
import { Batcher } from './batcher.ts'
import { RunStore } from './run-store.ts'

/** A store whose listeners are told by hand. */
function makeStore() {
  const notices: (() => void)[] = []
  const store = new RunStore('run', new Batcher((callback) => notices.push(callback)))
  return { store, tell: () => notices.splice(0).forEach((notice) => notice()), notices }
}

const record = (cursor: number, body: RecordBody, attempt = 1): StoredRecord => ({
  runId: 'run',
  attempt,
  seq: cursor,
  cursor,
  timeMs: cursor,
  body,
})
const loss = (cursor: number, step: number) =>
  record(cursor, { kind: 'scalars', step, values: { loss: step } })
const log = (cursor: number) => record(cursor, { kind: 'log', level: 'info', message: `line ${cursor}` })

/** The history of the loss is here, up to a cursor. */
const followLoss = (store: RunStore, cursor: number, steps: number[] = []) => {
  const points = { steps, timesMs: steps, last: steps, low: null, high: null, total: steps.length }
  store.finishSeries(cursor, new Map([['loss', points]]), { points: 1000, times: true })
}
const stepsOf = (store: RunStore) => [...(store.series.get('loss')?.steps.view() ?? [])]

describe('history and live records', () => {
  it('each count once, whatever overlaps', () => {
    const { store } = makeStore()
    store.beginSeries(['loss'])
    followLoss(store, 2, [1, 2])
    expect(store.startFrom()).toBe(2)
    store.apply([loss(2, 2), loss(3, 3)], 0)
    store.apply([loss(3, 3), loss(4, 4)], 0)
    expect(stepsOf(store)).toEqual([1, 2, 3, 4])
    expect(store.series.get('loss')?.total).toBe(4)
    expect(store.cursor).toBe(4)
  })

  it('are joined per topic: the socket starts after the least complete history', () => {
    const { store } = makeStore()
    followLoss(store, 5)
    store.finishLoading('logs', 3, () => {})
    expect(store.startFrom()).toBe(3)
    store.apply([log(4), loss(5, 5), log(6), loss(7, 7)], 0)
    expect(store.logs.map((line) => line.cursor)).toEqual([4, 6])
    expect(stepsOf(store)).toEqual([7])
  })

  it('that arrive while a topic is being fetched wait for it', () => {
    const { store } = makeStore()
    followLoss(store, 0)
    store.startFrom()
    store.beginLoading('logs')
    store.apply([log(1), log(2)], 0)
    expect(store.logs).toEqual([])
    store.finishLoading('logs', 1, () => {
      store.logs = [{ cursor: 1, attempt: 1, timeMs: 1, level: 'info', message: 'line 1' }]
    })
    expect(store.logs.map((line) => line.cursor)).toEqual([1, 2])
  })

  it('of topics that nobody loaded are not kept', () => {
    const { store } = makeStore()
    followLoss(store, 0)
    store.apply([log(1), loss(2, 1)], 0)
    expect(store.logs).toEqual([])
    expect(store.cursor).toBe(2)
  })
})

describe('series', () => {
  it('that are fetched again, more finely, stay to be seen, and live points wait for the finer ones', () => {
    const { store } = makeStore()
    followLoss(store, 2, [2])
    const fine = { points: 4000, times: true }
    // One of two points was joined away: finer ones are worth asking for, but not twice.
    store.series.get('loss')!.total = 2
    expect(store.missingSeries(['loss', 'other'], fine)).toEqual(['loss', 'other'])
    store.beginSeries(['loss'])
    expect(store.missingSeries(['loss'], fine)).toEqual([])
    store.apply([loss(3, 3)], 0)
    expect([stepsOf(store), store.isSeriesReady('loss')]).toEqual([[2], true])
    followLoss(store, 2, [1, 2])
    expect(stepsOf(store)).toEqual([1, 2, 3])
  })

  it('that could not be fetched again go on with what they had and what waited', () => {
    const { store } = makeStore()
    followLoss(store, 2, [1, 2])
    store.beginSeries(['loss'])
    store.apply([loss(3, 3)], 0)
    store.abandonSeries(['loss'])
    expect(stepsOf(store)).toEqual([1, 2, 3])
  })

  it('that a run does not have yet begin with their first live point', () => {
    const { store } = makeStore()
    store.beginSeries(['loss'])
    store.finishSeries(4, new Map([['loss', null]]), { points: 1000, times: false })
    store.apply([loss(5, 1)], 0)
    expect(stepsOf(store)).toEqual([1])
  })
})

describe('a store', () => {
  it('notifies once however many records came in a packet, and its version tells which topic changed', () => {
    const { store, tell, notices } = makeStore()
    followLoss(store, 0)
    tell()
    let notified = 0
    store.subscribe(() => notified++)
    const [scalars, logs] = [store.version('scalars'), store.version('logs')]
    for (let step = 1; step <= 50; step++) store.apply([loss(step, step)], 0)
    expect(notices).toHaveLength(1)
    tell()
    expect(notified).toBe(1)
    expect(store.version('scalars')).toBeGreaterThan(scalars)
    expect(store.version('logs')).toBe(logs)
  })

  it('hands out each arrival once, with the trainer’s clock', () => {
    const { store } = makeStore()
    followLoss(store, 0)
    store.apply([loss(1, 1)], 500)
    expect(store.takeArrivals()).toEqual([{ step: 1, emittedMs: 1, receivedMs: 500 }])
    expect(store.takeArrivals()).toEqual([])
  })

  it('forgets evaluations and spectra after the step from which a new attempt starts', () => {
    const { store } = makeStore()
    for (const topic of ['spectra', 'evaluations'] as const) store.finishLoading(topic, 0, () => {})
    const start = (cursor: number, attempt: number, startStep: number) =>
      record(
        cursor,
        {
          kind: 'start',
          backend: 'cpu',
          computedBy: '',
          threads: 1,
          totalSteps: 9,
          startStep,
          trainableParameters: 1,
          totalParameters: 1,
          modules: [],
          warnings: [],
          data: [],
        },
        attempt,
      )
    const evaluation = (cursor: number, step: number) =>
      record(cursor, {
        kind: 'evaluation',
        step,
        examples: 1,
        loss: 1,
        accuracy: 1,
        byType: {},
        elapsedMs: 1,
      })
    const spectrum = (cursor: number, step: number) =>
      record(cursor, {
        kind: 'spectrum',
        step,
        module: 'm',
        part: 'total',
        rows: 2,
        columns: 2,
        singularValues: toFloat64Bytes([2, 1]),
        frobenius: Math.sqrt(5),
        measures: {
          numericalRank: 2,
          numericalRankThreshold: 0,
          numericalRankFloat64: 2,
          energyRank90: 2,
          energyRank99: 2,
          effectiveRank: 1.9,
          spectralEntropyRank: 1.6,
          stableRank: 1.25,
          participationRatio: 1.5,
        },
        elapsedMs: 1,
        final: false,
      })
    store.apply([start(1, 1, 0), evaluation(2, 4), spectrum(3, 4), evaluation(4, 8), spectrum(5, 8)], 0)
    expect(store.spectra.list('m', 'total').map((entry) => entry.step)).toEqual([4, 8])
    store.apply([start(6, 2, 4)], 0)
    expect(store.evaluations.map((one) => one.step)).toEqual([4])
    expect(store.spectra.list('m', 'total').map((entry) => entry.step)).toEqual([4])
    expect([...(store.spectra.latest('m', 'total')?.singularValues ?? [])]).toEqual([2, 1])
  })
})
