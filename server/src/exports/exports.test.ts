/** Exports after the fact over real sockets: asked of the node that holds the files, told by it, forgotten with it. */
import type { ExportJob, ExportsTold } from '@rankscope/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Bench } from '../testing/peers.ts'
import { lifecycle, record, sampleConfig } from '../testing/samples.ts'

describe('exports (P28a)', () => {
  let bench: Bench
  beforeAll(async () => {
    bench = await Bench.start()
  })
  afterAll(() => bench.close())

  const jobsOf = async (runId: string) =>
    (await bench.get<{ jobs: ExportJob[] }>(`/api/runs/${runId}/exports`)).jobs
  const told = (node: ReturnType<Bench['node']>, message: ExportsTold) =>
    node.socket.emitWithAck('exports', message)

  it('are asked of the node, shown as it tells of them, and fail with NODE_LOST where it forgets them', async () => {
    const node = bench.node()
    await node.hello()
    const { runId } = await bench.createRun(sampleConfig())
    const ask = (request: object) => bench.post(`/api/runs/${runId}/exports`, { request })
    await node.assignments.count(1)
    await node.records(record(runId, 1, lifecycle('running')), record(runId, 2, lifecycle('finished')))

    expect((await ask({ as: 'lora', rank: 4, energy: 0.9 })).statusCode).toBe(400)
    const asked: object[] = []
    node.socket.on('startExport', ({ jobId, request, ...rest }, acknowledge) => {
      asked.push({ request, ...rest })
      acknowledge({ ok: true, value: { ...job, notes: [], jobId, runId, request } })
    })
    node.socket.on('cancelExport', ({ jobId }, acknowledge) => {
      void told(node, {
        nodeId: 'node-a',
        jobs: [{ ...first, jobId, state: 'cancelled' }],
        isAll: false,
      }).then(() => acknowledge({ ok: true, value: null }))
    })
    const answer = await ask({ as: 'model' })
    expect(answer.statusCode, answer.body).toBe(201)
    const first = answer.json() as ExportJob
    const request = { as: 'model', dtype: 'float32', shardGib: null }
    expect(asked).toEqual([{ runId, checkpoint: null, request }])
    expect(await jobsOf(runId)).toMatchObject([{ jobId: first.jobId, state: 'waiting' }])

    const running: ExportJob = { ...first, state: 'running', progress: 0.5 }
    await told(node, { nodeId: 'node-a', jobs: [running], isAll: false })
    expect(await jobsOf(runId)).toMatchObject([{ state: 'running', progress: 0.5 }])
    const address = `/api/runs/${runId}/exports/${first.jobId}`
    const cancelled = await bench.server.app.inject({
      method: 'DELETE',
      url: address,
      headers: bench.headers,
    })
    expect(cancelled.json()).toMatchObject({ state: 'cancelled' })

    // A node that comes back without a job has lost it; one that is over stays as it was.
    const second = (await ask({ as: 'delta' })).json() as ExportJob
    await told(node, { nodeId: 'node-a', jobs: [], isAll: true })
    const byId = new Map((await jobsOf(runId)).map((one) => [one.jobId, one]))
    expect(byId.get(second.jobId)).toMatchObject({ state: 'failed', error: { code: 'NODE_LOST' } })
    expect(byId.get(first.jobId)).toMatchObject({ state: 'cancelled' })
  })

  it('that no node answers are refused with its code, and a node speaks for itself only', async () => {
    // Held back, so that the run is still nobody's.
    const held = await bench.server.app.inject({
      method: 'PATCH',
      url: '/api/nodes/node-a',
      headers: bench.headers,
      payload: { mode: 'draining' },
    })
    expect(held.statusCode, held.body).toBe(200)
    const { runId } = await bench.createRun(sampleConfig())
    const none = await bench.post(`/api/runs/${runId}/exports`, { request: { as: 'delta' } })
    expect(none.json()).toMatchObject({ code: 'NOT_FOUND' })
    const node = bench.node('node-b')
    await node.hello()
    expect(await told(node, { nodeId: 'node-a', jobs: [], isAll: true })).toMatchObject({
      ok: false,
      error: { code: 'MESSAGE_INVALID' },
    })
  })
})

const job = {
  attempt: 1,
  step: 3,
  state: 'waiting',
  progress: null,
  detail: null,
  error: null,
  path: null,
  bytes: null,
  outlook: null,
  createdMs: 1,
  endedMs: null,
} as const
