import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Assignment, decodeMessage, RankscopeError, runConfigSchema } from '@rankscope/protocol'
import Database from 'libsql'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FakeServer } from '../testing/daemon/fake-server.ts'
import { type Daemon, type DaemonOptions, startDaemon } from './daemon.ts'

const backends = {
  backends: [{ name: 'native', available: true, detail: 'measured' }],
  selectedBackend: 'native',
}

function assignment(runId: string, behaviour: string, attempt = 1): Assignment {
  const config = runConfigSchema.parse({
    name: behaviour,
    data: { source: { kind: 'task', task: 'programs' } },
    method: { name: 'lora' },
  })
  return { runId, attempt, name: behaviour, config, resumeFrom: null, gang: null }
}

describe('the node daemon', () => {
  let folder: string
  let server: FakeServer
  let daemon: Daemon | null
  let lines: string[]

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'rankscope-node-'))
    lines = []
    server = new FakeServer()
    await server.listen()
    daemon = null
  })
  afterEach(async () => {
    await daemon?.close(0)
    await server.close()
    rmSync(folder, { recursive: true })
  })

  const start = (changes: Partial<DaemonOptions> = {}) => {
    daemon = startDaemon({
      url: server.url,
      token: 'right',
      state: folder,
      name: 'test node',
      slots: 2,
      threadsPerRun: 1,
      reach: null,
      models: [],
      data: [],
      spoolBytes: 2 ** 30,
      keepCheckpoints: null,
      checkpointBytes: null,
      diskRetryMs: 20,
      backends: Promise.resolve(backends),
      runEntry: new URL('../testing/daemon/fake-run-entry.ts', import.meta.url),
      stopGraceMs: 10_000,
      reconnectMs: { first: 10, longest: 30 },
      refused: (error) => {
        throw error
      },
      report: (line) => lines.push(line),
      ...changes,
    })
    return daemon
  }
  const startAndGreet = async (changes: Partial<DaemonOptions> = {}) => {
    const greetings = server.hellos.length
    start(changes)
    await server.until(() => server.hellos.length > greetings && server.heartbeats.length > 0)
  }
  const seqs = (runId: string) =>
    server.records.filter((record) => record.runId === runId).map((record) => record.seq)

  it('introduces itself under an id that survives a restart, and beats', async () => {
    await startAndGreet()
    expect(server.hellos[0]).toMatchObject({ name: 'test node', slots: 2, ...backends, activeRuns: [] })
    await daemon!.close(0)
    await startAndGreet()
    expect(server.hellos[1]!.nodeId).toBe(server.hellos[0]!.nodeId)
    await daemon!.close(0)
    // What a loss of power leaves of a file.
    writeFileSync(join(folder, 'node-id'), Buffer.alloc(37))
    await startAndGreet()
    expect(server.hellos[2]!.nodeId).toMatch(/^[0-9a-f-]{36}$/)
  })

  it('says what a run would need here, and why it could not run (P27)', async () => {
    await startAndGreet()
    const asked = (changes: object) =>
      server.estimate(
        runConfigSchema.parse({
          model: { path: 'rankscope-mini' },
          data: { source: { kind: 'task', task: 'programs' } },
          method: { name: 'full' },
          ...changes,
        }),
      )
    const plain = await asked({})
    if (!plain.ok) throw new Error(plain.error.message)
    const { most, leastBytes, availableBytes } = plain.value
    // Weights, two moments and a gradient of each of the 2,177,088 parameters.
    expect([most.modelBytes, most.stateBytes, most.gradientBytes]).toEqual(
      [1, 2, 1].map((copies) => copies * 4 * 2_177_088),
    )
    expect(leastBytes).toBeLessThan(most.totalBytes)
    expect(most.totalBytes).toBeLessThan(availableBytes)
    const processes = await asked({ method: { name: 'lora' }, parallel: { devices: 4, mode: 'processes' } })
    expect(processes).toMatchObject({ ok: true, value: { most: { modelBytes: 4 * most.modelBytes } } })
    expect(await asked({ model: { path: 'nothing' } })).toMatchObject({
      ok: false,
      error: { code: 'MODEL_NOT_FOUND' },
    })
  })

  it('delivers what a run tells, in order and without gaps, NaN as NaN', async () => {
    await startAndGreet()
    expect(await server.assign(assignment('a', 'steps 50'))).toEqual({ ok: true, value: null })
    await server.until(() => server.lifecycle('a').includes('finished'))
    expect(seqs('a')).toEqual(Array.from({ length: 52 }, (_, index) => index + 1))
    expect(server.records[2]!.body).toEqual({
      kind: 'scalars',
      step: 2,
      values: { 'train/loss': Number.NaN },
    })
  })

  it('starts one process for an assignment that arrives twice, and refuses runs beyond its slots', async () => {
    await startAndGreet()
    await server.assign(assignment('a', 'until-asked'))
    await server.assign(assignment('a', 'until-asked'))
    await server.assign(assignment('b', 'until-asked'))
    const answer = await server.assign(assignment('c', 'until-asked'))
    expect(answer).toMatchObject({ ok: false, error: { code: 'NODE_BUSY' } })
    await server.until(() => server.heartbeats.some((beat) => beat.activeRuns.length === 2))
  })

  it('goes on training through a lost link, and delivers every record exactly once after it', async () => {
    await startAndGreet()
    await server.assign(assignment('a', 'until-asked'))
    await server.until(() => seqs('a').length >= 10)
    await server.close()
    await server.listen()
    await server.until(() => seqs('a').length >= 101)
    await server.command({ runId: 'a', attempt: 1, command: 'stop' })
    await server.until(() => server.lifecycle('a').includes('stopped'))
    expect(seqs('a')).toEqual(Array.from({ length: 102 }, (_, index) => index + 1))
    expect(server.hellos.at(-1)!.activeRuns).toEqual([{ runId: 'a', attempt: 1 }])
  })

  it('sends again what was stored but not acknowledged', async () => {
    await startAndGreet()
    let cuts = 2
    server.onBatch = () => (cuts-- > 0 ? 'store-then-cut' : 'ack')
    await server.assign(assignment('a', 'steps 20'))
    await server.until(() => server.lifecycle('a').includes('finished') && server.duplicates > 0)
    expect(seqs('a')).toEqual(Array.from({ length: 22 }, (_, index) => index + 1))
    await server.until(() => server.heartbeats.at(-1)!.spooledRecords === 0)
  })

  it('keeps records while the server cannot store, and leaves out only the one it cannot read', async () => {
    await startAndGreet()
    let failures = 2
    server.onBatch = (records) => {
      if (failures-- > 0) return new RankscopeError('STORE_FULL', 'disk full')
      const bad = records.some(({ body }) => body.kind === 'scalars' && body.step === 7)
      return bad ? new RankscopeError('MESSAGE_INVALID', 'step 7 is cursed') : 'ack'
    }
    await server.assign(assignment('a', 'steps 20'))
    await server.until(() => server.lifecycle('a').includes('finished'))
    expect(seqs('a').filter((seq) => seq <= 22)).toEqual(
      Array.from({ length: 22 }, (_, index) => index + 1).filter((seq) => seq !== 8),
    )
    expect(lines.join('\n')).toContain('step 7 is cursed')
  })

  it('sets aside the one record that the server cannot store: the others flow, the run’s log tells', async () => {
    await startAndGreet()
    server.onBatch = (records) => {
      const bad = records.some(({ body }) => body.kind === 'scalars' && body.step === 7)
      return bad ? new RankscopeError('STORE_FAILED', 'no such column') : 'ack'
    }
    await server.assign(assignment('a', 'steps 20'))
    await server.until(() => server.records.some(({ body }) => body.kind === 'log'))
    expect(seqs('a').toSorted((one, other) => one - other)).toEqual(
      Array.from({ length: 23 }, (_, index) => index + 1).filter((seq) => seq !== 8),
    )
    expect(server.records.find(({ body }) => body.kind === 'log')?.body).toMatchObject({
      level: 'error',
      message: expect.stringMatching(/record 8 of attempt 1 \(scalars\) .*STORE_FAILED: no such column/),
    })
    await server.until(() => server.heartbeats.at(-1)!.spooledRecords === 0)
    await daemon!.close(0)
    daemon = null
    const kept = new Database(join(folder, 'spool.db'))
      .prepare('SELECT run_id, attempt, seq, reason, body FROM set_aside')
      .all() as { body: ArrayBuffer }[]
    expect(kept).toMatchObject([{ run_id: 'a', attempt: 1, seq: 8, reason: 'STORE_FAILED: no such column' }])
    expect(decodeMessage(new Uint8Array(kept[0]!.body))).toMatchObject({ kind: 'scalars', step: 7 })
  })

  it('waits while the server can store nothing, and sets nothing aside for it', async () => {
    await startAndGreet()
    let failures = 7
    server.onBatch = () => (failures-- > 0 ? new RankscopeError('STORE_FAILED', 'disk I/O error') : 'ack')
    await server.assign(assignment('a', 'steps 20'))
    await server.until(() => server.lifecycle('a').includes('finished'))
    const steps = server.records.flatMap(({ body }) => (body.kind === 'scalars' ? [body.step] : []))
    expect(steps.toSorted((one, other) => one - other)).toEqual(
      Array.from({ length: 20 }, (_, index) => index + 1),
    )
    expect(lines.join('\n')).not.toContain('set_aside')
  })

  it('goes on from the newest checkpoint on its own disk, whichever the server knows', async () => {
    await startAndGreet()
    const place = join(folder, 'runs', 'a', '1', 'checkpoints')
    for (const step of ['00000010', '00000020', '00000030.partial'])
      mkdirSync(join(place, `step-${step}`), { recursive: true })
    const pruned = join(place, 'step-00000005')
    await server.assign({ ...assignment('a', 'told', 2), resumeFrom: pruned })
    await server.until(() => server.lifecycle('a').includes('finished'))
    const { body } = server.records.find((record) => record.body.kind === 'log')!
    expect(JSON.parse((body as { message: string }).message)).toMatchObject({
      checkpointFrom: join(place, 'step-00000020'),
      formerPlaces: [place],
      onFullDisk: 'wait',
    })
    await server.assign({ ...assignment('b', 'told', 2), resumeFrom: pruned })
    await server.until(() => server.lifecycle('b').includes('failed'))
    expect(server.records.at(-1)!.body).toMatchObject({ error: { code: 'CHECKPOINT_BROKEN' } })
  })

  it('removes the folders of a deleted run, its process first, and says what that frees', async () => {
    await startAndGreet()
    await server.assign(assignment('a', 'until-asked'))
    await server.until(() => seqs('a').length > 0)
    const runFolder = join(folder, 'runs', 'a')
    writeFileSync(join(runFolder, '1', 'weights'), 'x'.repeat(5000))
    const answer = await server.deleteRun('a')
    expect(answer).toMatchObject({ ok: true, value: { freedBytes: expect.any(Number) } })
    expect((answer as { value: { freedBytes: number } }).value.freedBytes).toBeGreaterThanOrEqual(5000)
    expect(existsSync(runFolder)).toBe(false)
    expect(await server.deleteRun('a')).toEqual({ ok: true, value: { freedBytes: 0 } })
    expect(await server.assign(assignment('b', 'steps 1')), 'the slot is free').toMatchObject({ ok: true })
  })

  it('keeps no more checkpoints than its owner gives room, and the newest of a run that goes on', async () => {
    const mebibyte = Buffer.alloc(2 ** 20)
    const write = (runId: string, step: number) => {
      const path = join(folder, 'runs', runId, '1', 'checkpoints', `step-0000000${step}`)
      mkdirSync(path, { recursive: true })
      writeFileSync(join(path, 'state'), mebibyte)
    }
    for (const [runId, step] of [
      ['old', 1],
      ['old', 2],
      ['other', 1],
    ] as const)
      write(runId, step)
    await startAndGreet({ checkpointBytes: 1.5 * 2 ** 20 })
    await server.assign(assignment('a', 'until-asked'))
    await server.command({ runId: 'a', attempt: 1, command: 'checkpoint' })
    await server.until(() => server.records.some(({ body }) => body.kind === 'checkpoint'))
    expect(lines.filter((line) => line.includes('--checkpoint-gib'))).toEqual([
      expect.stringContaining(join('old', '1', 'checkpoints', 'step-00000001')),
    ])
  })

  it('ends what an older attempt still does when a newer one begins', async () => {
    await startAndGreet({ slots: 1 })
    await server.assign(assignment('a', 'deaf'))
    await server.until(() => server.lifecycle('a').includes('running'))
    expect(await server.assign(assignment('a', 'steps 3', 2))).toEqual({ ok: true, value: null })
    await server.until(() => server.lifecycle('a').includes('finished'))
    expect(server.records.filter(({ attempt }) => attempt === 1)).toHaveLength(1)
  })

  it('has on disk what a run told before it saves a checkpoint, even where the run is killed right then', async () => {
    await startAndGreet()
    await server.assign(assignment('a', 'kept 2000'))
    await server.until(() => server.lifecycle('a').includes('failed'))
    const steps = server.records.flatMap(({ body }) => (body.kind === 'scalars' ? [body.step] : []))
    expect(steps).toEqual(Array.from({ length: 2000 }, (_, index) => index + 1))
  })

  it('removes what a run was writing when it was killed', async () => {
    await startAndGreet()
    const aside = join(folder, 'runs', 'a', '1', 'checkpoints', 'step-00000010.partial')
    mkdirSync(aside, { recursive: true })
    writeFileSync(join(folder, 'runs', 'a', '1', 'model.safetensors.77.tmp'), '')
    await server.assign(assignment('a', 'exit 1'))
    await server.until(() => server.lifecycle('a').includes('failed'))
    expect(readdirSync(join(folder, 'runs', 'a', '1'), { recursive: true }).sort()).toEqual([
      'checkpoints',
      'process.log',
    ])
  })

  it('removes nothing but the folders of a run, whatever a server calls a run (P28)', async () => {
    await startAndGreet()
    mkdirSync(join(folder, 'runs', 'a'), { recursive: true })
    writeFileSync(join(folder, 'precious'), '')
    for (const runId of ['..', '.', '../precious', 'a/..', '/', 'a/../../precious'])
      expect(await server.deleteRun(runId), runId).toMatchObject({
        ok: false,
        error: { code: 'MESSAGE_INVALID' },
      })
    expect([existsSync(join(folder, 'precious')), existsSync(join(folder, 'runs', 'a'))]).toEqual([
      true,
      true,
    ])
    expect(await server.deleteRun('a')).toEqual({ ok: true, value: { freedBytes: 0 } })
    expect(readdirSync(join(folder, 'runs'))).toEqual([])
  })

  it('is not disturbed by files that others left among the runs', async () => {
    await startAndGreet({ checkpointBytes: 1 })
    for (const name of ['.DS_Store', 'notes.txt']) writeFileSync(join(folder, 'runs', name), '')
    await server.assign(assignment('a', 'until-asked'))
    await server.command({ runId: 'a', attempt: 1, command: 'checkpoint' })
    await server.until(() => server.records.some(({ body }) => body.kind === 'checkpoint'))
    await server.command({ runId: 'a', attempt: 1, command: 'stop' })
    await server.until(() => server.lifecycle('a').includes('stopped'))
  })

  it('replays the spool after a restart with no server in between', async () => {
    await startAndGreet()
    // Whatever arrives: a single record that is refused for another reason gets a line in the log, one record more.
    server.onBatch = () => new RankscopeError('STORE_FULL', 'not now')
    await server.assign(assignment('a', 'steps 20'))
    await server.until(() => server.heartbeats.some((beat) => beat.spooledRecords === 22))
    await server.close()
    await daemon!.close(0)
    server.onBatch = () => 'ack'
    await server.listen()
    start()
    await server.until(() => server.lifecycle('a').includes('finished'))
    expect(seqs('a')).toHaveLength(22)
    expect(server.hellos.at(-1)!.activeRuns, 'a run whose last word waits is still spoken for').toEqual([
      { runId: 'a', attempt: 1 },
    ])
  })

  it('reports a process that died by a signal as crashed, and nothing of the other runs changes', async () => {
    await startAndGreet()
    await server.assign(assignment('a', 'until-asked'))
    await server.assign(assignment('b', 'until-asked'))
    await server.until(() => seqs('a').length > 5 && seqs('b').length > 5)
    const started = lines.find((line) => line.includes('(attempt 1, process'))!
    process.kill(Number(/process (\d+)/.exec(started)![1]), 'SIGKILL')
    await server.until(() => server.lifecycle('a').includes('failed'))
    const last = server.records.filter((record) => record.runId === 'a').at(-1)!
    expect(last.body).toMatchObject({ state: 'failed', error: { code: 'RUN_CRASHED' } })
    expect(last.body).toMatchObject({ error: { message: expect.stringContaining('SIGKILL') } })
    const before = seqs('b').length
    await server.until(() => seqs('b').length > before || seqs('b').length > 100)
  })

  it.each([
    ['throw', 'the tensor fell over'],
    ['exit 3', 'exit code 3:\nlast words'],
  ])('quotes the last lines of a process that ended by itself: %s', async (behaviour, quoted) => {
    await startAndGreet()
    await server.assign(assignment('a', behaviour))
    await server.until(() => server.lifecycle('a').includes('failed'))
    expect(server.records.at(-1)!.body).toMatchObject({
      error: { code: 'RUN_CRASHED', message: expect.stringContaining(quoted) },
    })
    const log = readFileSync(join(folder, 'runs', 'a', '1', 'process.log'), 'utf8')
    expect(log).toContain(quoted.split('\n').at(-1)!)
  })

  it('passes checkpoint on, and kills a run that does not stop in time', async () => {
    await startAndGreet({ stopGraceMs: 50 })
    await server.assign(assignment('a', 'until-asked'))
    await server.command({ runId: 'a', attempt: 1, command: 'checkpoint' })
    await server.until(() => server.records.some(({ body }) => body.kind === 'checkpoint'))
    await server.assign(assignment('b', 'deaf'))
    await server.until(() => server.lifecycle('b').includes('running'))
    await server.command({ runId: 'b', attempt: 1, command: 'stop' })
    await server.until(() => server.lifecycle('b').includes('stopped'))
  })

  it('refuses a command for an attempt that is not alive', async () => {
    await startAndGreet()
    const answer = await server.command({ runId: 'nobody', attempt: 1, command: 'pause' })
    expect(answer).toMatchObject({ ok: false, error: { code: 'NOT_FOUND' } })
  })

  it('stops runs that the server has no use for', async () => {
    await startAndGreet()
    await server.assign(assignment('a', 'until-asked'))
    await server.until(() => seqs('a').length > 0)
    server.abandon = [{ runId: 'a', attempt: 1 }]
    server.cut()
    await server.until(() => server.lifecycle('a').includes('stopped'))
  })

  it('fails a run whose checkpoint lies outside its own runs', async () => {
    await startAndGreet()
    await server.assign({ ...assignment('a', 'steps 1', 2), resumeFrom: tmpdir() })
    await server.until(() => server.lifecycle('a').includes('failed'))
    expect(server.records[0]!.body).toMatchObject({ error: { code: 'PATH_FORBIDDEN' } })
  })

  it('evaluates what a run of this node left, and nothing else of its disk', async () => {
    await startAndGreet()
    const home = join(folder, 'runs', 'trained', '1')
    const model = join(home, 'model')
    mkdirSync(model, { recursive: true })
    const evaluate = async (runId: string, what: 'checkpoint' | 'model', path: string) => {
      const { config, ...given } = assignment(runId, 'told')
      const of = { runId: 'trained', nodeId: 'n', what, path }
      await server.assign({ ...given, config: { ...config, job: { kind: 'evaluation', of } } })
      await server.until(() =>
        server.lifecycle(runId).some((state) => state === 'finished' || state === 'failed'),
      )
      const told = server.records.find((one) => one.runId === runId && one.body.kind === 'log')?.body
      return told && JSON.parse((told as { message: string }).message)
    }
    expect(await evaluate('b', 'model', model)).toMatchObject({
      checkpointFrom: null,
      roots: { models: expect.arrayContaining([home]) },
    })
    const refused = async (runId: string, what: 'checkpoint' | 'model', path: string) => {
      expect(await evaluate(runId, what, path)).toBeUndefined()
      return server.records.findLast((one) => one.runId === runId)!.body
    }
    expect(await refused('c', 'model', tmpdir())).toMatchObject({ error: { code: 'PATH_FORBIDDEN' } })
    expect(await refused('d', 'checkpoint', model)).toMatchObject({ error: { code: 'CHECKPOINT_BROKEN' } })
    expect(await refused('e', 'model', join(home, 'gone'))).toMatchObject({
      error: { code: 'MODEL_NOT_FOUND' },
    })
  })

  it('replaces a record that does not fit the protocol by a log line', async () => {
    await startAndGreet()
    await server.assign(assignment('a', 'broken-record'))
    await server.until(() => server.lifecycle('a').includes('finished'))
    expect(server.records[1]!.body).toMatchObject({ kind: 'log', level: 'error' })
    const kept = readFileSync(join(folder, 'runs', 'a', '1', 'refused-records.jsonl'), 'utf8')
    expect(JSON.parse(kept)).toMatchObject({ body: { kind: 'scalars', step: -1 } })
  })

  it('halts runs while the spool is full and lets them go on when the server has taken enough', async () => {
    await startAndGreet({ spoolBytes: 200_000 })
    let taking = false
    server.onBatch = () => (taking ? 'ack' : new RankscopeError('STORE_FULL', 'not now'))
    await server.assign(assignment('a', 'flood 200'))
    await server.until(() => lines.some((line) => line.includes('runs wait')))
    taking = true
    await server.until(() => server.lifecycle('a').includes('finished'))
    expect(seqs('a')).toHaveLength(202)
    // The daemon says so when the acknowledgement has reached it, which may be after the server has all records.
    await server.until(() => lines.some((line) => line.includes('runs go on')))
  })

  it('asks for a checkpoint when it is closed, and writes no last word: the run is to be requeued', async () => {
    await startAndGreet()
    await server.assign(assignment('a', 'until-asked'))
    await server.until(() => seqs('a').length > 5)
    await daemon!.close(10_000)
    await startAndGreet()
    await server.until(() => server.records.some(({ body }) => body.kind === 'checkpoint'))
    expect(server.hellos.at(-1)!.activeRuns).toEqual([])
    expect(server.lifecycle('a')).toEqual(['running'])
  })

  it('says so when the token is wrong', async () => {
    const refusal = new Promise<RankscopeError>((resolve) => start({ token: 'wrong', refused: resolve }))
    expect(await refusal).toMatchObject({ code: 'UNAUTHORIZED' })
  })
})
