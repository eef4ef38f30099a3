import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import {
  checkAnswer,
  configFromSettings,
  createRunsAnswer,
  decodeColumn,
  decodeMessage,
  errorAnswer,
  estimateAnswer,
  evaluationsAnswer,
  filesAnswer,
  healthAnswer,
  logsAnswer,
  nodesAnswer,
  runRowsAnswer,
  runsAnswer,
  runViewSchema,
  samplesAnswer,
  scalarsAnswer,
  seriesAnswer,
  seriesNamesAnswer,
  spectraAnswer,
  spectraIndexAnswer,
  spectraMeasuresAnswer,
  spectraModulesAnswer,
  spectraValuesAnswer,
} from '@rankscope/protocol'
import type { InjectOptions } from 'fastify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { z } from 'zod'
import { Bench, type FakeNode } from '../testing/peers.ts'
import { lifecycle, record, sampleConfig, scalars, spectrum, startBody } from '../testing/samples.ts'

describe('the HTTP API', () => {
  let bench: Bench
  let node: FakeNode
  let runId: string
  beforeAll(async () => {
    bench = await Bench.start()
    node = bench.node()
    await node.hello()
    runId = (await bench.createRun(sampleConfig({ name: 'said, "aloud"' }))).runId
    await node.assignments.count(1)
    await node.records(
      record(runId, 1, lifecycle('running')),
      record(runId, 2, startBody(0, 3)),
      record(runId, 3, scalars(1, { 'train/loss': 2.5, 'train/a,b': 1 })),
      record(runId, 4, scalars(2, { 'train/loss': Number.NaN })),
      record(runId, 5, scalars(3, { 'train/loss': Number.NEGATIVE_INFINITY })),
      record(runId, 6, spectrum(3, [2, 1, Number.NaN], true)),
      record(runId, 7, { kind: 'log', level: 'warning', message: 'careful' }),
      record(runId, 8, {
        kind: 'sample',
        step: 3,
        index: 0,
        prompt: 'p',
        completion: 'c',
        expected: null,
        correct: true,
      }),
      record(runId, 9, {
        kind: 'evaluation',
        step: 3,
        examples: 4,
        loss: Number.NaN,
        accuracy: 0.5,
        byType: { add: { examples: 4, accuracy: 0.5 } },
        elapsedMs: 1,
      }),
      record(runId, 10, { kind: 'artifact', artifact: 'adapter', path: '/a', bytes: 6 }),
      record(runId, 11, { kind: 'checkpoint', step: 2, path: '/c/2', bytes: 5 }),
    )
  })
  afterAll(() => bench.close())

  const inject = (options: InjectOptions) =>
    bench.server.app.inject({ ...options, headers: { ...bench.headers, ...options.headers } })
  /** Answers are not checked when they are made, so each is held against its schema here. */
  async function get<S extends z.ZodType>(url: string, schema: S): Promise<z.output<S>> {
    const response = await inject({ url })
    expect(response.statusCode, response.body).toBe(200)
    return schema.parse(response.json())
  }
  async function refused(options: InjectOptions, status: number) {
    const response = await inject(options)
    expect(response.statusCode, response.body).toBe(status)
    return errorAnswer.parse(response.json())
  }

  it('asks each online node what runs would need, and passes on why one cannot run them (P27)', async () => {
    const parts = { modelBytes: 4, stateBytes: 3, gradientBytes: 2, activationBytes: 1, baseBytes: 0 }
    const plan = { most: { ...parts, totalBytes: 10 }, leastBytes: 9, availableBytes: 100 }
    const ask = async () => {
      const response = await bench.post('/api/estimate', {
        configs: [sampleConfig({}), sampleConfig({ seed: 1 })],
      })
      return estimateAnswer.parse(response.json()).nodes
    }
    node.memory = { ok: true, value: plan }
    const entry = { memory: plan, error: null }
    expect(await ask()).toMatchObject([{ nodeId: 'node-a', plans: [entry, entry] }])
    const error = { code: 'MODEL_NOT_FOUND', message: 'there is none', hint: null } as const
    node.memory = { ok: false, error }
    expect((await ask())[0]?.plans[0]).toEqual({ memory: null, error })
  })

  it('asks a node for the first examples of a configuration, and passes its error on', async () => {
    const examples = [{ source: 'a', tokens: [{ id: 5, text: ' x', trained: true }], length: 1 }]
    node.preview = { ok: true, value: { examples, counts: [], notes: ['careful'] } }
    const ask = (nodeId: string | null) =>
      bench.post('/api/preview', { config: sampleConfig({}), examples: 3, nodeId })
    const answered = { nodeId: 'node-a', examples, counts: [], notes: ['careful'] }
    expect((await ask(null)).json()).toEqual(answered)
    expect((await ask('node-a')).json()).toEqual(answered)
    node.preview = { ok: false, error: { code: 'DATA_BROKEN', message: 'a.jsonl:3: no', hint: null } }
    expect((await ask(null)).json()).toMatchObject({ code: 'DATA_BROKEN', message: 'a.jsonl:3: no' })
    expect((await ask('nobody')).json()).toMatchObject({ code: 'NODE_LOST' })
  })

  it('answers every reading route as its schema says', async () => {
    expect((await get('/api/runs', runsAnswer)).runs).toHaveLength(1)
    expect((await get('/api/nodes', nodesAnswer)).nodes).toMatchObject([{ state: 'online', runIds: [runId] }])
    expect(await get('/api/health', healthAnswer)).toMatchObject({ status: 'ok' })
    expect(await get(`/api/runs/${runId}`, runViewSchema)).toMatchObject({ state: 'running', step: 3 })
    expect((await get(`/api/runs/${runId}/logs`, logsAnswer)).logs).toMatchObject([
      { message: 'careful', cursor: 7 },
    ])
    expect((await get(`/api/runs/${runId}/samples`, samplesAnswer)).samples).toMatchObject([{ prompt: 'p' }])
    expect((await get(`/api/runs/${runId}/evaluations`, evaluationsAnswer)).evaluations).toMatchObject([
      { loss: 'NaN', accuracy: 0.5 },
    ])
    expect((await get(`/api/runs/${runId}/files`, filesAnswer)).files).toMatchObject([
      { kind: 'adapter', step: null, path: '/a', bytes: 6, attempt: 1 },
      { kind: 'checkpoint', step: 2, path: '/c/2', bytes: 5 },
    ])
    const newestFile = await get(`/api/runs/${runId}/files?limit=1`, filesAnswer)
    expect(newestFile).toMatchObject({ files: [{ path: '/c/2' }], next: 11 })
    const olderFiles = await get(
      `/api/runs/${runId}/files?limit=1&beforeCursor=${newestFile.next}`,
      filesAnswer,
    )
    expect(olderFiles).toMatchObject({ files: [{ path: '/a' }], next: 10 })
    expect(await get(`/api/runs/${runId}/files?beforeCursor=10`, filesAnswer)).toMatchObject({
      files: [],
      next: null,
    })
    expect(await get(`/api/runs/${runId}/spectra/index`, spectraIndexAnswer)).toMatchObject({
      cursor: 11,
      entries: [{ step: 3, final: true, measures: { stableRank: 1.25 } }],
    })
    const spectra = await get(`/api/runs/${runId}/spectra?step=3&final=true&part=total`, spectraAnswer)
    expect(spectra.spectra[0]!.singularValues).toEqual([2, 1, 'NaN'])
    expect((await get(`/api/runs/${runId}/spectra?step=4`, spectraAnswer)).spectra).toEqual([])
  })

  it('spells numbers that JSON has not: NaN, Infinity, -Infinity (P14)', async () => {
    const { series, cursor } = await get(
      `/api/runs/${runId}/scalars?names=train/loss&points=10`,
      scalarsAnswer,
    )
    expect(series).toEqual([
      {
        name: 'train/loss',
        total: 3,
        steps: [1, 2, 3],
        last: [2.5, 'NaN', '-Infinity'],
        min: null,
        max: null,
        nanCounts: null,
        timesMs: [1003, 1004, 1005],
      },
    ])
    expect(cursor).toBe(11)
    const joined = await get(`/api/runs/${runId}/scalars?names=train/loss&points=1`, scalarsAnswer)
    expect(joined.series[0]).toMatchObject({
      total: 3,
      last: ['-Infinity'],
      min: ['-Infinity'],
      max: [2.5],
      nanCounts: [1],
    })
  })

  it('gives a range of steps, both ends included, singly where the whole would be joined', async () => {
    const query = `/api/runs/${runId}/scalars?names=train/loss&points=2`
    const whole = await get(query, scalarsAnswer)
    expect(whole.series[0]).toMatchObject({ total: 3, min: [expect.anything(), '-Infinity'] })
    const range = await get(`${query}&fromStep=2&toStep=3`, scalarsAnswer)
    expect(range.series[0]).toMatchObject({ total: 2, steps: [2, 3], last: ['NaN', '-Infinity'], min: null })
  })

  it('exports every point as CSV and as JSON', async () => {
    const csv = await inject({ url: `/api/runs/${runId}/export` })
    expect(csv.headers['content-type']).toContain('text/csv')
    expect(csv.headers['content-disposition']).toContain("filename*=UTF-8''said%2C%20%22aloud%22.csv")
    expect(csv.body).toBe('step,"train/a,b",train/loss\n1,1,2.5\n2,,NaN\n3,,-Infinity\n')
    const json = await inject({ url: `/api/runs/${runId}/export?format=json&names=train/loss` })
    expect(json.json()).toMatchObject([
      { name: 'train/loss', steps: [1, 2, 3], values: [2.5, 'NaN', '-Infinity'] },
    ])
  })

  it('compresses what is worth it, in a form that the browser takes', async () => {
    const url = '/api/openapi.json'
    for (const encoding of ['br', 'gzip']) {
      const { headers, rawPayload } = await inject({ url, headers: { 'accept-encoding': encoding } })
      expect(headers['content-encoding']).toBe(encoding)
      const plain = await inject({ url })
      expect(rawPayload.length).toBeLessThan(plain.rawPayload.length / 4)
      const text = encoding === 'br' ? brotliDecompressSync(rawPayload) : gunzipSync(rawPayload)
      expect(text.toString()).toBe(plain.body)
    }
    const short = await inject({ url: '/api/health', headers: { 'accept-encoding': 'br' } })
    expect(short.headers['content-encoding']).toBeUndefined()
  })

  it('answers columns as MessagePack that fits its schema', async () => {
    const post = async (url: string, payload: object) => {
      const response = await inject({ method: 'POST', url, payload })
      expect(response.statusCode, response.body).toBe(200)
      expect(response.headers['content-type']).toBe('application/x-msgpack')
      return decodeMessage(response.rawPayload)
    }
    const { runs } = seriesAnswer.parse(
      await post('/api/series', { queries: [{ runId, names: ['train/loss'] }], precision: 'float32' }),
    )
    expect(runs[0]).toMatchObject({ runId, series: [{ name: 'train/loss', total: 3 }] })
    expect([...decodeColumn(runs[0]!.series[0]!.last, 'float32')]).toEqual([2.5, Number.NaN, -Infinity])
    const { names } = await get(`/api/runs/${runId}/series`, seriesNamesAnswer)
    expect(names).toEqual(['train/a,b', 'train/loss'])
    const { groups } = await get(`/api/runs/${runId}/spectra/modules`, spectraModulesAnswer)
    expect(groups).toMatchObject([{ final: true, steps: [3] }])
    const module = groups[0]!.modules[0]!
    const measures = spectraMeasuresAnswer.parse(
      await post(`/api/runs/${runId}/spectra/measures`, { final: true, measures: ['stableRank'] }),
    )
    expect(decodeColumn(measures.modules[0]!.values[0]!, 'float64')).toEqual(Float64Array.of(1.25))
    const { spectra } = spectraValuesAnswer.parse(
      await post(`/api/runs/${runId}/spectra/values`, { items: [{ module, step: 3, final: true }] }),
    )
    expect([...decodeColumn(spectra[0]!, 'float64')]).toEqual([2, 1, Number.NaN])
  })

  it('lists runs newest first by pages, and as rows; a deleted run leaves no gap', async () => {
    const other = await Bench.start()
    try {
      const made: string[] = []
      for (let index = 0; index < 7; index++) {
        other.nowMs += 1
        made.unshift((await other.createRun(sampleConfig({ name: `r${index}`, seed: index }))).runId)
      }
      const first = await other.get<z.output<typeof runRowsAnswer>>('/api/runs/rows?limit=3')
      expect(runRowsAnswer.parse(first)).toMatchObject({ total: 7 })
      await other.server.app.inject({
        method: 'DELETE',
        url: `/api/runs/${made[2]}`,
        headers: other.headers,
      })
      const second = await other.get<z.output<typeof runRowsAnswer>>(
        `/api/runs/rows?limit=4&cursor=${encodeURIComponent(first.next!)}`,
      )
      expect([...first.rows, ...second.rows].map((row) => row.runId)).toEqual(made)
      expect(second.next).toBeNull()
      expect(first.rows[0]!.settings).toMatchObject({ 'method.name': 'lora', seed: 6 })
      const whole = runsAnswer.parse(await other.get('/api/runs?limit=2'))
      expect(whole.runs.map((run) => run.runId)).toEqual(made.slice(0, 2))
      expect(configFromSettings(first.rows[0]!.settings)).toEqual(whole.runs[0]!.config)
    } finally {
      await other.close()
    }
  })

  it('creates runs all or none, each under a name that can be said aloud', async () => {
    const payload = { configs: [sampleConfig(), sampleConfig({ method: { name: 'hd-pissa' } })] }
    const response = await inject({ method: 'POST', url: '/api/runs', payload })
    expect(response.statusCode).toBe(201)
    const { runs } = createRunsAnswer.parse(response.json())
    expect(runs.map((run) => run.name)).toEqual([
      expect.stringMatching(/^lora-[a-z]+-[a-z]+$/),
      expect.stringMatching(/^hd-pissa-[a-z]+-[a-z]+$/),
    ])
    const broken = { configs: [sampleConfig(), sampleConfig({ training: { globalBatchSize: 3 } })] }
    const error = await refused({ method: 'POST', url: '/api/runs', payload: broken }, 422)
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', hint: 'take a multiple of 2' })
    const unknown = { configs: [{ ...sampleConfig(), colour: 'red' }] }
    const refusal = await refused({ method: 'POST', url: '/api/runs', payload: unknown }, 422)
    expect(refusal.message).toContain('colour')
    expect((await get('/api/runs', runsAnswer)).runs).toHaveLength(3)
  })

  it('checks a configuration without creating a run, by schema and by consistency', async () => {
    const check = async (config: unknown) => {
      const response = await inject({ method: 'POST', url: '/api/check', payload: { config } })
      return checkAnswer.parse(response.json()).findings
    }
    expect(await check(sampleConfig())).toEqual([])
    expect(await check({})).toContainEqual(expect.objectContaining({ severity: 'error', path: 'data' }))
    expect(await check(sampleConfig({ training: { globalBatchSize: 3 } }))).toMatchObject([
      { severity: 'error', path: 'training.globalBatchSize' },
    ])
  })

  it('renames and tags a run, but not to the name of another', async () => {
    const [first, second] = (await get('/api/runs', runsAnswer)).runs
    const url = `/api/runs/${second!.runId}`
    const response = await inject({ method: 'PATCH', url, payload: { name: 'otter', tags: ['kept'] } })
    expect(runViewSchema.parse(response.json())).toMatchObject({ name: 'otter', config: { tags: ['kept'] } })
    const error = await refused({ method: 'PATCH', url, payload: { name: first!.name } }, 422)
    expect(error.code).toBe('CONFIG_INVALID')
  })

  it.each([
    ['an unknown run', { url: '/api/runs/nobody' }, 404, 'NOT_FOUND'],
    ['an unknown route', { url: '/api/nothing' }, 404, 'NOT_FOUND'],
    ['a parameter out of range', { url: '/api/runs/x/scalars?points=0' }, 400, 'MESSAGE_INVALID'],
    ['an unknown parameter', { url: '/api/runs/x/scalars?pionts=9' }, 400, 'MESSAGE_INVALID'],
    [
      'a body that is no JSON',
      { method: 'POST', url: '/api/runs', payload: '{', headers: { 'content-type': 'application/json' } },
      400,
      'MESSAGE_INVALID',
    ],
    [
      'a form of another site',
      { method: 'POST', url: '/api/runs', payload: 'a=b', headers: { 'content-type': 'text/plain' } },
      415,
      'MESSAGE_INVALID',
    ],
    [
      'a token of another server',
      { url: '/api/runs', headers: { authorization: 'Bearer x' } },
      401,
      'UNAUTHORIZED',
    ],
    ['a name with NUL', { url: '/api/runs/a%00b' }, 400, 'MESSAGE_INVALID'],
  ] as [string, InjectOptions, number, string][])(
    'refuses %s by a coded error (P5)',
    async (_, options, status, code) => {
      expect((await refused(options, status)).code).toBe(code)
    },
  )

  it('refuses to delete a run that a node holds, and what its state does not allow', async () => {
    const error = await refused({ method: 'DELETE', url: `/api/runs/${runId}` }, 409)
    expect(error).toMatchObject({ code: 'ILLEGAL_TRANSITION', hint: 'stop it first' })
    const resume = {
      method: 'POST',
      url: `/api/runs/${runId}/commands`,
      payload: { command: 'resume' },
    } as const
    expect((await refused(resume, 409)).code).toBe('ILLEGAL_TRANSITION')
  })

  it('describes all of its routes in OpenAPI', async () => {
    const document = (await inject({ url: '/api/openapi.json' })).json()
    expect(Object.keys(document.paths)).toEqual(
      expect.arrayContaining(['/api/runs', '/api/runs/{runId}/scalars', '/api/nodes', '/api/check']),
    )
    expect(JSON.stringify(document.paths['/api/runs'].post.requestBody)).toContain('learningRate')
    expect((await inject({ url: '/api/docs/' })).statusCode).toBe(200)
  })
})

describe('the dashboard', () => {
  const page = '<html><head></head><script src="./assets/main-abc123.js"></script></html>'
  let bench: Bench
  beforeAll(async () => {
    bench = await Bench.start({ token: 'secret' })
    const dashboardFolder = join(bench.folder, 'dist')
    mkdirSync(join(dashboardFolder, 'assets'), { recursive: true })
    writeFileSync(join(dashboardFolder, 'index.html'), page)
    writeFileSync(join(dashboardFolder, 'assets', 'main-abc123.js'), 'code')
    await bench.restart({ token: 'secret', dashboardFolder })
  })
  afterAll(() => bench.close())

  const inject = (url: string, headers: Record<string, string> = { authorization: 'Bearer secret' }) =>
    bench.server.app.inject({ url, headers: { host: 'gpu.example', ...headers } })

  it('is the page for every address of its own, never from the cache; its assets may be kept for ever', async () => {
    for (const url of ['/', '/runs/some-run', '/compare?runs=a,b']) {
      const answer = await inject(url)
      expect(answer.body, url).toContain('<meta name="base-path" content="/" />')
      expect(answer.body, url).toContain('src="/assets/main-abc123.js"')
      expect(answer.headers['cache-control'], url).toBe('no-cache')
    }
    const asset = await inject('/assets/main-abc123.js')
    expect(asset.headers['cache-control']).toBe('public, max-age=31536000, immutable')
    expect((await inject('/assets/gone.js')).statusCode).toBe(404)
    expect((await inject('/assets/../../rankscope.db')).statusCode).toBe(404)
  })
})
