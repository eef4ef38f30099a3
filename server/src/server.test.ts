/** The whole server over real sockets: one run’s life, and what interrupts it. Rules: docs/protocol.md. */
import {
  awakeClock,
  browserNamespace,
  deleteRunAnswer,
  isSettled,
  type NodeToServerEvents,
  nodeNamespace,
  protocolVersion,
  type RunView,
  wireParser,
} from '@rankscope/protocol'
import { io } from 'socket.io-client'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Bench, times } from './testing/peers.ts'
import { lifecycle, record, sampleConfig, scalars, startBody } from './testing/samples.ts'

describe('a run', () => {
  let bench: Bench
  beforeAll(async () => {
    bench = await Bench.start()
  })
  afterAll(() => bench.close())
  afterEach(async () => {
    // Every test starts with an empty queue and free slots: what its node held ends as the node is silent.
    const { runs } = await bench.get<{ runs: RunView[] }>('/api/runs')
    for (const { runId } of runs) await bench.post(`/api/runs/${runId}/commands`, { command: 'stop' })
    bench.nowMs += 10_000
    for (const { runId } of runs) await bench.runWhere(runId, (run) => isSettled(run.state))
  })

  it('goes to a node, runs, and finishes as its records say; a browser sees every record, NaN too (P1, P10)', async () => {
    const [node, browser] = [bench.node(), bench.browser()]
    expect(await node.hello()).toEqual({ ok: true, value: { heartbeatEveryMs: 100, abandon: [] } })
    const { runId } = await bench.createRun(sampleConfig())
    const [assignment] = await node.assignments.count(1)
    expect(assignment).toMatchObject({ runId, attempt: 1, resumeFrom: null, config: sampleConfig() })
    expect(await browser.subscribe(runId)).toEqual({ ok: true, value: { lastCursor: 0 } })
    const sent = [
      record(runId, 1, lifecycle('running')),
      record(runId, 2, startBody(0, 2)),
      record(runId, 3, scalars(1, { 'train/loss': Number.NaN, 'train/gradNorm': 3.4e38 })),
      record(runId, 4, lifecycle('finished')),
    ]
    expect(await node.records(...sent)).toEqual({ ok: true, value: { rejected: [] } })
    expect(await browser.records.count(4)).toEqual(
      sent.map((item, index) => ({ ...item, cursor: index + 1 })),
    )
    await browser.runs.until((views) => views.some((view) => view.state === 'finished'))
    const view = await bench.get(`/api/runs/${runId}`)
    expect(view).toMatchObject({ state: 'finished', step: 1, totalSteps: 2, latest: { 'train/loss': 'NaN' } })
    node.close()
  })

  it('is resumed by a browser from its cursor without gap or repetition, while records go on (P11)', async () => {
    const node = bench.node()
    await node.hello()
    const { runId } = await bench.createRun(sampleConfig())
    await node.assignments.count(1)
    const batch = (first: number, count: number) =>
      node.records(
        ...Array.from({ length: count }, (_, index) =>
          record(runId, first + index, scalars(first + index, { loss: first + index })),
        ),
      )
    await batch(1, 1500)
    const browser = bench.browser()
    const going = batch(1501, 500)
    await browser.subscribe(runId, 700)
    await going
    await batch(2001, 3)
    await browser.records.until((records) => records.at(-1)?.cursor === 2003)
    expect(browser.records.items.map((item) => item.cursor)).toEqual(
      Array.from({ length: 1303 }, (_, index) => 701 + index),
    )
    node.close()
  })

  it('is stopped, paused and resumed from its checkpoint by command (P22)', async () => {
    const node = bench.node()
    await node.hello()
    const { runId } = await bench.createRun(sampleConfig())
    await node.assignments.count(1)
    await node.records(record(runId, 1, lifecycle('running')))
    expect((await bench.post(`/api/runs/${runId}/commands`, { command: 'pause' })).json()).toMatchObject({
      state: 'pausing',
    })
    expect(await node.commands.count(1)).toEqual([{ runId, attempt: 1, command: 'pause' }])
    await node.records(
      record(runId, 2, { kind: 'checkpoint', step: 7, path: '/checkpoints/7', bytes: 9 }),
      record(runId, 3, lifecycle('paused')),
    )
    await bench.runWhere(runId, (run) => run.state === 'paused' && run.checkpoint?.step === 7)
    await bench.post(`/api/runs/${runId}/commands`, { command: 'resume' })
    expect((await node.assignments.count(2))[1]).toMatchObject({ attempt: 2, resumeFrom: '/checkpoints/7' })
    await node.records(record(runId, 1, lifecycle('running'), 2))
    await bench.post(`/api/runs/${runId}/commands`, { command: 'stop' })
    await node.commands.count(2)
    await node.records(record(runId, 2, lifecycle('stopped'), 2))
    await bench.runWhere(runId, (run) => run.state === 'stopped')
    const again = await bench.post(`/api/runs/${runId}/commands`, { command: 'pause' })
    expect(again.statusCode).toBe(409)
    expect(again.json()).toMatchObject({ code: 'ILLEGAL_TRANSITION', hint: 'possible now: retry' })
    node.close()
  })

  it('whose node falls silent is lost, queued again, and goes on when the node comes back with it (P23, P24)', async () => {
    const node = bench.node()
    await node.hello()
    const { runId } = await bench.createRun(sampleConfig())
    await node.assignments.count(1)
    await node.records(
      record(runId, 1, lifecycle('running')),
      record(runId, 2, { kind: 'checkpoint', step: 5, path: '/checkpoints/5', bytes: 9 }),
    )
    node.close()
    bench.nowMs += 1000
    expect((await bench.runWhere(runId, (run) => run.state === 'lost')).error).toBeNull()
    bench.nowMs += 2000
    const queued = await bench.runWhere(runId, (run) => run.state === 'queued' && run.waitingFor !== null)
    expect(queued).toMatchObject({ attempt: 1, checkpoint: { step: 5 }, queuePosition: 1 })
    expect(queued.waitingFor).toContain('the checkpoint of step 5')
    const back = bench.node()
    expect(await back.hello({ activeRuns: [{ runId, attempt: 1 }] })).toMatchObject({
      value: { abandon: [] },
    })
    const outage = [record(runId, 3, scalars(6, { loss: 1 })), record(runId, 4, lifecycle('finished'))]
    expect(await back.records(...outage)).toEqual({ ok: true, value: { rejected: [] } })
    expect(await bench.runWhere(runId, (run) => run.state === 'finished')).toMatchObject({
      attempt: 1,
      step: 6,
    })
    expect(back.assignments.items).toEqual([])
    back.close()
  })

  it('whose node comes back without it becomes a new attempt, and the old one is fenced (P4, P23)', async () => {
    const node = bench.node()
    await node.hello()
    const { runId } = await bench.createRun(sampleConfig())
    await node.assignments.count(1)
    await node.records(
      record(runId, 1, lifecycle('running')),
      record(runId, 2, { kind: 'checkpoint', step: 5, path: '/checkpoints/5', bytes: 9 }),
    )
    node.close()
    bench.nowMs += 3000
    await bench.runWhere(runId, (run) => run.state === 'queued')
    const back = bench.node()
    await back.hello()
    await back.heartbeat([], 1)
    const kept = await back.records(record(runId, 3, scalars(6, { loss: 1 })))
    expect(kept, 'what was recorded in the outage').toEqual({ ok: true, value: { rejected: [] } })
    await back.heartbeat([], 0)
    expect((await back.assignments.count(1))[0]).toMatchObject({ attempt: 2, resumeFrom: '/checkpoints/5' })
    const late = await back.records(record(runId, 4, scalars(7, { loss: 1 })))
    expect(late).toMatchObject({ value: { rejected: [{ seq: 4, code: 'STALE_ATTEMPT' }] } })
    back.close()
  })

  it('that was given elsewhere meanwhile is to be abandoned by the node that comes back (P24)', async () => {
    const node = bench.node()
    await node.hello()
    const { runId } = await bench.createRun(sampleConfig())
    await node.assignments.count(1)
    await node.records(record(runId, 1, lifecycle('running')))
    node.close()
    bench.nowMs += 1001
    await bench.runWhere(runId, (run) => run.state === 'lost')
    const other = bench.node('node-b')
    await other.hello()
    for (const _ of [1, 2, 3]) {
      await other.heartbeat([])
      bench.nowMs += 900
    }
    await other.heartbeat([])
    expect(await other.assignments.count(1)).toMatchObject([{ runId, attempt: 2 }])
    const back = bench.node()
    expect(await back.hello({ activeRuns: [{ runId, attempt: 1 }] })).toMatchObject({
      value: { abandon: [{ runId, attempt: 1 }] },
    })
    other.close()
    back.close()
  })

  it('goes on after a pause of the server itself, in which it could hear nobody', async () => {
    let monotonicMs = 0
    await bench.restart({ awake: awakeClock(() => monotonicMs), times: { ...times, tickEveryMs: 5 } })
    const node = bench.node()
    await node.hello()
    const { runId } = await bench.createRun(sampleConfig())
    await node.assignments.count(1)
    await node.records(record(runId, 1, lifecycle('running')))
    monotonicMs += 45_000
    await node.heartbeat([{ runId, attempt: 1 }])
    // Silence while the server is awake still counts, after the pause as before it.
    expect(await bench.get(`/api/runs/${runId}`)).toMatchObject({ state: 'running', attempt: 1 })
    expect(node.socket.connected).toBe(true)
    const lost = bench.runWhere(runId, (run) => run.state === 'lost')
    monotonicMs += 1001
    await lost
    node.close()
    await bench.restart()
  })

  it('that a node no longer mentions is queued again, but only once its spool is empty (P25)', async () => {
    const node = bench.node()
    await node.hello({ slots: 1 })
    const { runId } = await bench.createRun(sampleConfig())
    await node.assignments.count(1)
    await node.records(record(runId, 1, lifecycle('running')))
    await node.heartbeat([], 3)
    bench.nowMs += 600
    await node.heartbeat([], 3)
    expect(await bench.get(`/api/runs/${runId}`)).toMatchObject({ state: 'running', attempt: 1 })
    await node.heartbeat([], 0)
    bench.nowMs += 600
    await node.heartbeat([], 0)
    expect((await node.assignments.count(2))[1]).toMatchObject({ runId, attempt: 2 })
    node.close()
  })

  it('that a full node refuses stays in the queue; another refusal is the run’s failure', async () => {
    const node = bench.node()
    node.answer = { ok: false, error: { code: 'NODE_BUSY', message: 'full', hint: null } }
    await node.hello()
    const { runId } = await bench.createRun(sampleConfig())
    await node.assignments.count(1)
    await bench.runWhere(runId, (run) => run.state === 'queued' && run.waitingFor === 'a free slot')
    node.answer = { ok: false, error: { code: 'MODEL_NOT_FOUND', message: 'none', hint: null } }
    // In steps, so that the node does not count as silent.
    for (let part = 0; part < 4; part++) {
      bench.nowMs += 750
      await node.heartbeat([])
    }
    const failed = await bench.runWhere(runId, (run) => run.state === 'failed')
    expect(failed).toMatchObject({ attempt: 1, error: { code: 'MODEL_NOT_FOUND' } })
    node.close()
  })

  it('changes in a list by the fields that changed, where a page watches rows (P16)', async () => {
    const browser = bench.browser()
    const watched = await browser.socket.emitWithAck('watch', { runs: 'rows', nodes: false })
    expect(watched).toEqual({ ok: true, value: null })
    const made = await bench.post('/api/runs', {
      configs: Array.from({ length: 150 }, (_, seed) => sampleConfig({ seed })),
    })
    const runIds = (made.json() as { runs: RunView[] }).runs.map((run) => run.runId)
    const known = new Map<string, Record<string, unknown>>()
    const apply = () => {
      for (const row of browser.rows.items.splice(0))
        known.set(row.runId, { ...known.get(row.runId), ...row })
      return runIds.map((runId) => known.get(runId)?.['queuePosition'])
    }
    const places = Array.from({ length: 150 }, (_, index) => index + 1)
    while (apply().at(-1) !== 150) await browser.rows.count(1)
    expect(apply()).toEqual(places)
    expect(known.get(runIds[7]!)).toMatchObject({
      state: 'queued',
      settings: { 'method.name': 'lora', seed: 7 },
    })
    await bench.post(`/api/runs/${runIds[0]}/commands`, { command: 'stop' })
    while (apply().at(-1) !== 149) await browser.rows.count(1)
    expect(apply()).toEqual([null, ...places.slice(0, -1)])
    expect(browser.runs.items).toEqual([])
    expect(browser.nodes.items).toEqual([])
    browser.close()
  })

  it('is moved within the queue, before and behind others, and by its priority', async () => {
    const made = await bench.post('/api/runs', {
      configs: [1, 2, 3, 4].map((seed) => sampleConfig({ seed })),
    })
    const [a, b, c, d] = (made.json() as { runs: RunView[] }).runs.map((run) => run.runId) as [
      string,
      string,
      string,
      string,
    ]
    const order = async () => {
      const views = await Promise.all([a, b, c, d].map((runId) => bench.get<RunView>(`/api/runs/${runId}`)))
      return views.sort((left, right) => left.queuePosition! - right.queuePosition!).map((run) => run.runId)
    }
    expect((await bench.post(`/api/runs/${d}/move`, { before: b })).statusCode).toBe(200)
    expect(await order()).toEqual([a, d, b, c])
    await bench.post(`/api/runs/${a}/move`, { before: null })
    expect(await order()).toEqual([d, b, c, a])
    const { headers } = bench
    const url = `/api/runs/${c}`
    await bench.server.app.inject({ method: 'PATCH', url, payload: { priority: 7 }, headers })
    await bench.runWhere(c, (run) => run.queuePosition === 1)
    expect(await order()).toEqual([c, d, b, a])
    await bench.post(`/api/runs/${a}/move`, { before: d })
    expect(await order()).toEqual([c, a, d, b])
    await bench.post(`/api/runs/${a}/commands`, { command: 'stop' })
    const refused = await bench.post(`/api/runs/${a}/move`, { before: null })
    expect(refused.json()).toMatchObject({ code: 'ILLEGAL_TRANSITION' })
  })

  it('is paused with its node and goes on when the node is opened, also after a restart of the server', async () => {
    const node = bench.node()
    await node.hello()
    const { runId } = await bench.createRun(sampleConfig())
    await node.assignments.count(1)
    await node.records(record(runId, 1, lifecycle('running')))
    const set = async (mode: string) => {
      const { headers } = bench
      const url = '/api/nodes/node-a'
      return (await bench.server.app.inject({ method: 'PATCH', url, payload: { mode }, headers })).json()
    }
    expect(await set('paused')).toMatchObject({ mode: 'paused', runIds: [runId] })
    expect(await node.commands.count(1)).toEqual([{ runId, attempt: 1, command: 'pause' }])
    await node.records(
      record(runId, 2, { kind: 'checkpoint', step: 3, path: '/checkpoints/3', bytes: 9 }),
      record(runId, 3, lifecycle('paused')),
    )
    await bench.runWhere(runId, (run) => run.state === 'paused')
    await bench.restart()
    const back = bench.node()
    await back.hello()
    const { runId: other } = await bench.createRun(sampleConfig())
    expect((await bench.runWhere(other, (run) => run.waitingFor !== null)).waitingFor).toBe(
      'a node that is open: Node A is paused',
    )
    await set('draining')
    expect(back.assignments.items).toEqual([])
    await back.heartbeat([])
    await set('open')
    const given = await back.assignments.count(2)
    expect(given.map((one) => one.runId).sort()).toEqual([runId, other].sort())
    expect(given.find((one) => one.runId === runId)).toMatchObject({
      attempt: 2,
      resumeFrom: '/checkpoints/3',
    })
    back.close()
  })

  it('that is deleted vanishes from every browser', async () => {
    const browser = bench.browser()
    const { runId } = await bench.createRun(sampleConfig())
    await browser.runs.until((views) => views.some((view) => view.runId === runId))
    const url = `/api/runs/${runId}`
    const { headers } = bench
    const deleted = await bench.server.app.inject({ method: 'DELETE', url, headers })
    expect(deleteRunAnswer.parse(deleted.json())).toMatchObject({ records: 0, isComplete: true, nodes: [] })
    expect(await browser.deleted.count(1)).toEqual([runId])
    expect(await browser.subscribe(runId)).toMatchObject({ ok: false, error: { code: 'NOT_FOUND' } })
  })

  it('that is deleted is deleted on every node that held it, also on one that comes back after a restart', async () => {
    const node = bench.node()
    await node.hello()
    const { runId } = await bench.createRun(sampleConfig())
    await node.assignments.count(1)
    await node.records(
      record(runId, 1, lifecycle('running')),
      ...Array.from({ length: 60 }, (_, index) =>
        record(runId, index + 2, { kind: 'log', level: 'info', message: 'x'.repeat(9000) }),
      ),
      record(runId, 62, lifecycle('finished')),
    )
    const { runId: second } = await bench.createRun(sampleConfig())
    await node.assignments.count(2)
    await node.records(record(second, 1, lifecycle('finished')))
    const remove = async (id: string) => {
      const url = `/api/runs/${id}`
      const { headers } = bench
      const answer = await bench.server.app.inject({ method: 'DELETE', url, headers })
      return deleteRunAnswer.parse(answer.json())
    }
    const answer = await remove(runId)
    expect(answer).toMatchObject({
      records: 62,
      isComplete: true,
      nodes: [{ nodeId: 'node-a', name: 'Node A', state: 'deleted', freedBytes: 7 }],
    })
    expect(answer.freedBytes).toBeGreaterThan(60 * 9000)
    expect(node.deletions.items).toEqual([runId])
    node.close()
    await bench.nodeWhere((view) => view.state === 'offline')
    expect((await remove(second)).nodes).toMatchObject([{ state: 'pending', freedBytes: null }])
    await bench.restart()
    const back = bench.node()
    await back.hello()
    expect(await back.deletions.count(1)).toEqual([second])
    back.close()
  })

  it('survives a restart of the server: records, cursors, and the process that went on meanwhile (P24)', async () => {
    const node = bench.node()
    await node.hello()
    const { runId } = await bench.createRun(sampleConfig())
    await node.assignments.count(1)
    await node.records(record(runId, 1, lifecycle('running')), record(runId, 2, scalars(1, { loss: 1 })))
    await bench.restart()
    // A long time: nobody could be heard while the server was down.
    bench.nowMs += 900
    const back = bench.node()
    expect(await back.hello({ activeRuns: [{ runId, attempt: 1 }] })).toMatchObject({
      value: { abandon: [] },
    })
    // The spool sends again what it had no answer for.
    await back.records(record(runId, 2, scalars(1, { loss: 1 })), record(runId, 3, scalars(2, { loss: 2 })))
    const browser = bench.browser()
    expect(await browser.subscribe(runId)).toEqual({ ok: true, value: { lastCursor: 3 } })
    await browser.records.count(3)
    expect(browser.records.items.map((item) => [item.cursor, item.seq])).toEqual([
      [1, 1],
      [2, 2],
      [3, 3],
    ])
    expect(await bench.get(`/api/runs/${runId}`)).toMatchObject({ state: 'running', attempt: 1, step: 2 })
    back.close()
  })
})

describe('a link', () => {
  let bench: Bench
  beforeAll(async () => {
    bench = await Bench.start({ token: 'secret' })
  })
  afterAll(() => bench.close())

  const refused = (
    path: string,
    token: string,
    auth: object = {},
  ): Promise<Error & { data?: unknown; description?: { message: string } }> =>
    new Promise((resolve) => {
      const url = new URL(path, bench.server.url).href
      const socket = io(url, {
        parser: wireParser(path),
        transports: ['websocket'],
        query: path === nodeNamespace ? { side: 'node' } : {},
        extraHeaders: { authorization: `Bearer ${token}` },
        auth,
        forceNew: true,
        reconnection: false,
      })
      socket.on('connect_error', (error) => {
        socket.close()
        resolve(error)
      })
    })

  it('of a node needs the nodes’ token and the same protocol version (P32)', async () => {
    const { browserToken, nodeToken } = bench.server
    for (const wrong of [browserToken, 'wrong', '']) {
      const { description } = await refused(nodeNamespace, wrong, { protocolVersion })
      expect(description?.message, wrong).toContain('401')
    }
    const other = await refused(nodeNamespace, nodeToken, { protocolVersion: protocolVersion + 1 })
    expect(other.data).toMatchObject({ code: 'PROTOCOL_VERSION' })
  })

  it('of a second daemon with the same node id is refused while the first is alive (P33)', async () => {
    const first = bench.node()
    await first.hello()
    const second = bench.node()
    expect(await second.hello({ instanceId: 'daemon-2' })).toMatchObject({
      ok: false,
      error: { code: 'NODE_DUPLICATE', message: expect.stringContaining('Node A') },
    })
    expect(first.socket.connected).toBe(true)
    expect(await first.heartbeat([])).toEqual({ ok: true, value: null })
    const again = bench.node()
    expect(await again.hello(), 'the same daemon over a new link').toMatchObject({ ok: true })
    again.close()
    second.close()
    const restarted = bench.node()
    expect(await restarted.hello({ instanceId: 'daemon-3' }), 'after the first ended').toMatchObject({
      ok: true,
    })
    restarted.close()
  })

  it('of a browser needs the token (P31)', async () => {
    const { description } = await refused(browserNamespace, '')
    expect(description?.message).toContain('401')
  })

  it('answers what does not fit with a coded error, changes nothing, and stays open (P5)', async () => {
    const socket = io(new URL(nodeNamespace, bench.server.url).href, {
      parser: wireParser(nodeNamespace),
      transports: ['websocket'],
      extraHeaders: { authorization: `Bearer ${bench.server.nodeToken}` },
      auth: { protocolVersion },
      forceNew: true,
    })
    const send = (event: keyof NodeToServerEvents, ...args: unknown[]): Promise<unknown> =>
      socket.emitWithAck(event, ...args)
    const invalid = { ok: false, error: { code: 'MESSAGE_INVALID' } }
    expect(await send('hello', { nodeId: 7 })).toMatchObject(invalid)
    expect(await send('hello', null)).toMatchObject(invalid)
    expect(await send('heartbeat', {})).toMatchObject(invalid)
    expect(await send('records', { nodeId: 'node-a', records: [] })).toMatchObject(invalid)
    socket.emit('hello')
    socket.emit('records', 'no callback')
    expect(await send('records', null)).toMatchObject(invalid)
    expect(socket.connected).toBe(true)
    socket.close()
  })

  it('delivers the good records of a batch and rejects each poisoned one by itself (P3)', async () => {
    const node = bench.node()
    await node.hello()
    const poison = [
      { runId: 'x', attempt: 1, seq: 5, timeMs: 0, body: { kind: 'scalars', step: -1, values: {} } },
      { runId: 7 },
      null,
    ] as never[]
    const answer = await node.records(...poison, record('unknown', 1, lifecycle('running')))
    expect(answer).toMatchObject({
      ok: true,
      value: {
        rejected: [
          { runId: 'x', attempt: 1, seq: 5, code: 'MESSAGE_INVALID' },
          { runId: '', attempt: 0, seq: 0, code: 'MESSAGE_INVALID' },
          { runId: '', attempt: 0, seq: 0, code: 'MESSAGE_INVALID' },
          { runId: 'unknown', seq: 1, code: 'NOT_FOUND' },
        ],
      },
    })
  })
})
