/** A sweep goes from one server to another as a zip, and is there what it was. Rules P44 and P45 of docs/protocol.md. */
import { archiveFileName } from '@rankscope/experiments'
import { type RunView, type SweepView, sweepViewSchema, toFloat64Bytes } from '@rankscope/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Bench } from '../testing/peers.ts'
import { lifecycle, record, sampleConfig, scalars, spectrum, startBody } from '../testing/samples.ts'
import { unzipped, type ZippedFile, zipped } from './zip.ts'

const analysed = { profiles: { overlaps: toFloat64Bytes([0.5, Number.NaN]) } }
const rates = [1e-4, 1e-3, 1e-2]
const planned = rates.map((learningRate) => ({
  point: { method: 'lora', 'optimizer.learningRate': learningRate },
  config: sampleConfig({ optimizer: { learningRate }, name: `rates: ${learningRate}` }),
}))
const spec = {
  name: 'rates',
  base: {},
  axes: [{ path: 'optimizer.learningRate', values: rates }],
  metric: 'loss',
}
const summary = {
  kind: 'summary',
  steps: 2,
  finalLoss: 1.25,
  evaluationLoss: 1.5,
  accuracy: null,
  baseAccuracy: null,
  effectiveRank: 1.5,
  stableRank: 1.25,
  numericalRank: 2,
  frobenius: 0.5,
  trainableParameters: 10,
  tokens: 64,
  tokensPerSecond: 100,
  trainingSeconds: 0.5,
} as const

describe('the zip of a sweep', () => {
  let here: Bench
  let there: Bench
  beforeEach(async () => {
    here = await Bench.start()
    there = await Bench.start()
  })
  afterEach(async () => {
    await here.close()
    await there.close()
  })

  /** The first run finishes, the second diverges, the third waits. */
  async function trained(): Promise<SweepView> {
    const answer = await here.post('/api/sweeps', { requestId: 'request-1', spec, runs: planned })
    const sweep = sweepViewSchema.parse(answer.json())
    const node = here.node()
    await node.hello({ slots: 2 })
    const given = await node.assignments.count(2)
    const [first, second] = given.map(({ runId }) => runId) as [string, string]
    await node.records(
      record(first, 1, lifecycle('running')),
      record(first, 2, startBody(0, 2)),
      record(first, 3, scalars(1, { 'train/loss': 2, 'train/gradNorm': Number.POSITIVE_INFINITY })),
      record(first, 4, scalars(2, { 'train/loss': 1.25, 'train/gradNorm': Number.NaN })),
      record(first, 5, { ...spectrum(2, [3, 1, 1e-300], true), ...analysed }),
      record(first, 6, {
        kind: 'sample',
        step: 2,
        index: 0,
        prompt: '1+1',
        completion: '2',
        expected: '2',
        correct: true,
      }),
      record(first, 7, { kind: 'checkpoint', step: 2, path: '/there/step-2', bytes: 5 }),
      record(first, 8, summary),
      record(first, 9, lifecycle('finished')),
      record(second, 1, lifecycle('running')),
      record(second, 2, lifecycle('failed', { code: 'NUMERIC', message: 'the loss is NaN', hint: null })),
    )
    node.close()
    return sweep
  }
  async function exported(sweepId: string): Promise<Buffer> {
    const answer = await here.server.app.inject({
      url: `/api/sweeps/${sweepId}/archive`,
      headers: here.headers,
    })
    expect(answer.statusCode, answer.body.slice(0, 200)).toBe(200)
    return answer.rawPayload
  }
  const take = (payload: Buffer) =>
    there.server.app.inject({
      method: 'POST',
      url: '/api/sweeps/import',
      payload,
      headers: { ...there.headers, 'content-type': 'application/zip' },
    })
  const files = async (zip: Buffer) => {
    const found = new Map<string, string>()
    for await (const { path, content } of unzipped(once(zip)))
      found.set(path, Buffer.from(content).toString())
    return found
  }
  async function* once<T>(...items: T[]) {
    yield* items
  }
  const series = async (bench: Bench, runId: string) =>
    (
      await bench.get<{ series: { name: string; steps: number[]; last: unknown[]; timesMs: number[] }[] }>(
        `/api/runs/${runId}/scalars`,
      )
    ).series

  it('holds configurations, metrics, spectra, tables, figures and the commit', async () => {
    const { sweepId } = await trained()
    const found = await files(await exported(sweepId))
    const archive = JSON.parse(found.get(archiveFileName)!) as {
      commit: string
      runs: { folder: string; state: string }[]
    }
    expect(archive.runs.map(({ state }) => state)).toEqual(['finished', 'failed', 'queued'])
    const folder = `runs/${archive.runs[0]!.folder}`
    expect(JSON.parse(found.get(`${folder}/run.json`)!)).toMatchObject({ optimizer: { learningRate: 1e-4 } })
    expect(
      found
        .get(`${folder}/metrics.jsonl`)!
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { step: 1, 'train/loss': 2, 'train/gradNorm': 'Infinity', timeMs: 1003 },
      { step: 2, 'train/loss': 1.25, 'train/gradNorm': 'NaN', timeMs: 1004 },
    ])
    expect(JSON.parse(found.get(`${folder}/spectra.jsonl`)!)).toMatchObject({
      singularValues: [3, 1, 1e-300],
      profiles: { overlaps: [0.5, 'NaN'] },
    })
    expect(found.get('results.csv')).toContain('diverged')
    expect(found.get('results.tex')).toContain('\\toprule')
    expect(found.get('figures/evaluationLoss-over-learningRate.svg')).toMatch(
      /^<svg[\s\S]*n = 1 finished runs of 3 \(1 diverged[\s\S]*<\/svg>\n$/,
    )
  })

  it('shows on another server every run as it ended, with every record, and once (P44)', async () => {
    const sweep = await trained()
    const zip = await exported(sweep.sweepId)
    const answer = await take(zip)
    expect(answer.statusCode, answer.body).toBe(201)
    const copy = sweepViewSchema.parse(answer.json())
    expect(copy.spec).toEqual(sweep.spec)
    expect(copy.runs.map(({ point }) => point)).toEqual(sweep.runs.map(({ point }) => point))
    // What had not run there is not run here either, unless somebody asks for it.
    expect(copy.counts).toEqual({ finished: 1, failed: 1, stopped: 1 })
    for (const [index, { runId }] of copy.runs.entries()) {
      const [mine, theirs] = [
        await here.get<RunView>(`/api/runs/${sweep.runs[index]!.runId}`),
        await there.get<RunView>(`/api/runs/${runId}`),
      ]
      expect(theirs).toMatchObject({
        config: mine.config,
        step: mine.step,
        totalSteps: mine.totalSteps,
        summary: mine.summary,
        start: mine.start,
        error: mine.error,
        latest: mine.latest,
        checkpoint: null,
      })
      expect(await series(there, runId)).toEqual(await series(here, mine.runId))
      expect(await there.get(`/api/runs/${runId}/spectra`)).toMatchObject({
        spectra: (await here.get<{ spectra: object[] }>(`/api/runs/${mine.runId}/spectra`)).spectra,
      })
      expect(await there.get(`/api/runs/${runId}/samples`)).toMatchObject({
        samples: (await here.get<{ samples: object[] }>(`/api/runs/${mine.runId}/samples`)).samples,
      })
    }
    const again = sweepViewSchema.parse((await take(zip)).json())
    expect(again).toEqual(copy)
    expect((await there.get<{ runs: RunView[] }>('/api/runs')).runs).toHaveLength(3)
    // And it is the same from there on.
    await there.restart()
    expect(sweepViewSchema.parse(await there.get(`/api/sweeps/${copy.sweepId}`))).toEqual(copy)
  })

  it('that is cut off, no zip, or of something else is refused with the reason (P45)', async () => {
    const zip = await exported((await trained()).sweepId)
    const refusal = async (payload: Buffer) => {
      const answer = await take(payload)
      expect(answer.statusCode).toBe(400)
      return answer.json() as { code: string; message: string }
    }
    expect(await refusal(Buffer.from('PK and then nothing of the kind'))).toMatchObject({
      code: 'MESSAGE_INVALID',
    })
    const made = async (...content: ZippedFile[]) => {
      const chunks: Uint8Array[] = []
      for await (const chunk of zipped(once(...content))) chunks.push(chunk)
      return Buffer.concat(chunks)
    }
    expect((await refusal(await made({ path: 'a.txt', content: Buffer.from('a') }))).message).toContain(
      'begins with a.txt',
    )
    expect(
      (await refusal(await made({ path: archiveFileName, content: Buffer.from('{"format":"other"}') })))
        .message,
    ).toContain(archiveFileName)
    expect((await there.get<{ runs: RunView[] }>('/api/runs')).runs).toHaveLength(0)
    // What came before the cut stays, and the whole zip completes it.
    expect((await refusal(zip.subarray(0, zip.length - 30))).message).toContain('cut off')
    expect((await take(zip)).statusCode).toBe(201)
    expect((await there.get<{ runs: RunView[] }>('/api/runs')).runs).toHaveLength(3)
  })
})
