/** Sweeps over the HTTP API of a whole server, with a node that is a real socket. Rules P40 to P43 of docs/protocol.md. */
import {
  largestSweep,
  type RunConfig,
  type RunView,
  type SweepPoint,
  type SweepView,
  sweepsAnswer,
  sweepViewSchema,
} from '@rankscope/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Bench } from '../testing/peers.ts'
import { lifecycle, record, sampleConfig } from '../testing/samples.ts'

const rates = [1e-5, 2e-5, 5e-5, 1e-4]
const planned = (learningRate: number, over: Partial<RunConfig> = {}) => ({
  point: { 'optimizer.learningRate': learningRate } satisfies SweepPoint,
  config: sampleConfig({ optimizer: { learningRate }, name: `rates: ${learningRate}`, ...over }),
})
const spec = {
  name: 'rates',
  base: { data: { source: { kind: 'task', task: 'arithmetic' } }, method: { name: 'lora' } },
  axes: [{ path: 'optimizer.learningRate', values: rates }],
}

describe('a sweep', () => {
  let bench: Bench
  beforeEach(async () => {
    bench = await Bench.start()
  })
  afterEach(() => bench.close())

  const create = async (requestId = 'request-1', runs = rates.map((rate) => planned(rate))) => {
    const answer = await bench.post('/api/sweeps', { requestId, spec, runs })
    expect(answer.statusCode, answer.body).toBe(201)
    return sweepViewSchema.parse(answer.json())
  }
  const view = async (sweepId: string) => sweepViewSchema.parse(await bench.get(`/api/sweeps/${sweepId}`))
  const command = async (sweepId: string, word: string): Promise<SweepView> =>
    sweepViewSchema.parse((await bench.post(`/api/sweeps/${sweepId}/commands`, { command: word })).json())
  const runOf = (runId: string) => bench.get<RunView>(`/api/runs/${runId}`)

  it('is made once, however often the request is sent, and is there after a restart with its order (P40)', async () => {
    const first = await create()
    expect(first.counts).toEqual({ queued: 4 })
    expect((await create()).sweepId).toBe(first.sweepId)
    expect((await bench.get<{ runs: RunView[] }>('/api/runs')).runs).toHaveLength(4)
    await bench.restart()
    const after = await view(first.sweepId)
    expect(after).toEqual(first)
    expect(after.runs.map(({ point }) => point['optimizer.learningRate'])).toEqual(rates)
    const places = await Promise.all(after.runs.map(async ({ runId }) => (await runOf(runId)).queuePosition))
    expect(places).toEqual([1, 2, 3, 4])
  })

  it('with a run that contradicts itself is refused whole (P40)', async () => {
    const broken = planned(1e-3, { training: { ...sampleConfig().training, globalBatchSize: 7 } })
    const answer = await bench.post('/api/sweeps', {
      requestId: 'request-2',
      spec,
      runs: [planned(1e-5), broken],
    })
    expect(answer.statusCode).toBe(422)
    expect(answer.json()).toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('batch size 7'),
    })
    expect((await bench.get<{ runs: RunView[] }>('/api/runs')).runs).toEqual([])
  })

  it('while paused holds every run of its: those that wait, those that train, and one given to a node meanwhile (P41)', async () => {
    const { sweepId, runs } = await create()
    const node = bench.node()
    await node.hello({ slots: 2 })
    await node.assignments.count(2)
    const [training, given] = [runs[0]!.runId, runs[1]!.runId]
    await node.records(record(training, 1, lifecycle('running')))
    const paused = await command(sweepId, 'pause')
    expect(paused.state).toBe('paused')
    await node.commands.until((commands) =>
      commands.some(({ runId, command: word }) => runId === training && word === 'pause'),
    )
    expect(await runOf(runs[2]!.runId)).toMatchObject({ state: 'paused' })
    expect(await runOf(runs[3]!.runId)).toMatchObject({ state: 'paused' })
    // The other was on its way to the node; it is paused as soon as it runs.
    await node.records(record(given, 1, lifecycle('running')))
    await bench.runWhere(given, ({ state }) => state === 'pausing')
    await node.records(record(training, 2, lifecycle('paused')), record(given, 2, lifecycle('paused')))
    await bench.runWhere(given, ({ state }) => state === 'paused')
    expect((await view(sweepId)).counts).toEqual({ paused: 4 })
    expect(node.assignments.items).toHaveLength(2)
  })

  it('goes on in its order when resumed, also with a run that was still pausing, but not with one that a person paused (P41)', async () => {
    const { sweepId, runs } = await create()
    const node = bench.node()
    await node.hello({ slots: 1 })
    await node.assignments.count(1)
    const [training, mine] = [runs[0]!.runId, runs[2]!.runId]
    await node.records(record(training, 1, lifecycle('running')))
    await bench.post(`/api/runs/${mine}/commands`, { command: 'pause' })
    await command(sweepId, 'pause')
    await bench.runWhere(training, ({ state }) => state === 'pausing')
    const resumed = await command(sweepId, 'resume')
    expect(resumed.state).toBe('active')
    await node.records(record(training, 2, lifecycle('paused')))
    // It had a slot before the others and gets one again: the order of the sweep, then the latecomer.
    await bench.runWhere(training, ({ state }) => state === 'queued' || state === 'assigned')
    const states = await Promise.all(runs.map(async ({ runId }) => (await runOf(runId)).state))
    expect(states[2]).toBe('queued')
    expect(states.every((state) => ['queued', 'assigned'].includes(state))).toBe(true)
  })

  it('once stopped runs no more, after a restart too, and runs what failed again on request (P41)', async () => {
    const { sweepId, runs } = await create()
    await command(sweepId, 'stop')
    await bench.restart()
    expect(await view(sweepId)).toMatchObject({ state: 'stopped', counts: { stopped: 4 } })
    await bench.post(`/api/runs/${runs[0]!.runId}/commands`, { command: 'retry' })
    await bench.runWhere(runs[0]!.runId, ({ state }) => state === 'stopped')
    const again = await command(sweepId, 'retry-failed')
    expect(again).toMatchObject({ state: 'active', counts: { queued: 4 } })
  })

  it('grows by a value: its axes, and the runs behind those that it had (P42)', async () => {
    const { sweepId } = await create()
    const axes = [{ path: 'optimizer.learningRate', values: [...rates, 1e-3] }]
    const body = { requestId: 'request-3', axes, runs: [planned(1e-3)] }
    const grown = sweepViewSchema.parse((await bench.post(`/api/sweeps/${sweepId}/runs`, body)).json())
    expect(grown.spec.axes).toEqual(axes)
    expect(grown.runs.map(({ point }) => point['optimizer.learningRate'])).toEqual([...rates, 1e-3])
    const twice = sweepViewSchema.parse((await bench.post(`/api/sweeps/${sweepId}/runs`, body)).json())
    expect(twice).toEqual(grown)
    expect((await bench.post('/api/sweeps/nobody/runs', body)).statusCode).toBe(404)
  })

  it('is told page by page, newest first, and forgotten without its runs (P43)', async () => {
    const ids: string[] = []
    for (let index = 0; index < 5; index++) {
      bench.nowMs += 1
      ids.push((await create(`request-${index}x`, [planned(1e-5)])).sweepId)
    }
    const first = sweepsAnswer.parse(await bench.get('/api/sweeps?limit=3'))
    const second = sweepsAnswer.parse(await bench.get(`/api/sweeps?limit=3&cursor=${first.next}`))
    expect([...first.sweeps, ...second.sweeps].map(({ sweepId }) => sweepId)).toEqual(ids.reverse())
    expect([first.total, second.next]).toEqual([5, null])
    const gone = await bench.server.app.inject({
      method: 'DELETE',
      url: `/api/sweeps/${ids[0]}`,
      headers: bench.headers,
    })
    expect(gone.statusCode).toBe(204)
    expect((await bench.get<{ code: string }>(`/api/sweeps/${ids[0]}`)).code).toBe('NOT_FOUND')
    expect((await bench.get<{ runs: RunView[] }>('/api/runs')).runs).toHaveLength(5)
  })

  it('grows to no more runs than one may have (P17)', async () => {
    const { sweepId } = await create()
    const extend = async (requestId: string, count: number) => {
      const runs = Array.from({ length: count }, (_, index) =>
        planned(1e-6 * (index + 1), { name: `n${index}` }),
      )
      const url = `/api/sweeps/${sweepId}/runs`
      return bench.post(url, { requestId, axes: spec.axes, runs })
    }
    const refused = await extend('request-too-many', largestSweep - 3)
    expect(refused.json(), refused.body.slice(0, 200)).toMatchObject({ code: 'CONFIG_INVALID' })
    expect((await view(sweepId)).runs).toHaveLength(4)
    expect((await extend('request-of-two', 2)).statusCode).toBe(201)
    expect((await view(sweepId)).runs).toHaveLength(6)
  })

  it('is refused with a name that is none, or a base that fills a list (P35, P17)', async () => {
    const refused = async (changes: object) => {
      const runs = [planned(1e-5)]
      const answer = await bench.post('/api/sweeps', {
        requestId: 'request-refused',
        spec: { ...spec, ...changes },
        runs,
      })
      expect(answer.statusCode, answer.body).toBe(422)
      return answer.json().message as string
    }
    expect(await refused({ name: 'a\0b' })).toContain('U+0000')
    expect(await refused({ name: 'a\u202eb' })).toContain('U+202E')
    expect(await refused({ base: { text: 'x'.repeat(300_000) } })).toContain('characters')
    expect(sweepsAnswer.parse(await bench.get('/api/sweeps')).sweeps).toEqual([])
  })
})
