/** What a server says when it cannot start, and what it does when its disk is full. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Health, RunRecord, RunView } from '@rankscope/protocol'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startServer } from './start-server.ts'
import { Bench, type FakeNode } from './testing/peers.ts'
import { lifecycle, record, sampleConfig } from './testing/samples.ts'

describe('a server', () => {
  let folder: string
  const start = (changes: object = {}) =>
    startServer({ port: 0, dataFolder: folder, dashboardFolder: join(folder, 'none'), ...changes })
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'rankscope-start-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it('has its data folder alone, and gives it back when it closes', async () => {
    const first = await start()
    await expect(start()).rejects.toMatchObject({ code: 'FOLDER_IN_USE' })
    await first.close()
    await (await start()).close()
  })

  it('names the port that is taken, and leaves nothing behind', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => other.once('listening', resolve))
    const { port } = other.address() as { port: number }
    await expect(start({ port })).rejects.toMatchObject({
      code: 'ADDRESS_UNUSABLE',
      message: expect.stringContaining(String(port)),
    })
    await expect(start({ host: '192.0.2.1' })).rejects.toMatchObject({ code: 'ADDRESS_UNUSABLE' })
    await (await start()).close()
    other.close()
  })

  it.each([
    ['a folder where the database belongs', 'FILE_UNUSABLE', () => mkdirSync(join(folder, 'rankscope.db'))],
    [
      'a file that is no database',
      'STORE_BROKEN',
      () => writeFileSync(join(folder, 'rankscope.db'), 'no database at all. '.repeat(500)),
    ],
  ])('refuses %s and names it', async (_, code, prepare) => {
    prepare()
    await expect(start()).rejects.toMatchObject({ code, message: expect.stringContaining('rankscope.db') })
    rmSync(join(folder, 'rankscope.db'), { recursive: true })
    await (await start()).close()
  })

  it('refuses a data folder that is a file, and one that may not be made', async () => {
    writeFileSync(join(folder, 'file'), '')
    for (const dataFolder of [join(folder, 'file'), join(folder, 'file', 'below')])
      await expect(start({ dataFolder })).rejects.toMatchObject({
        code: 'FILE_UNUSABLE',
        message: expect.stringContaining(dataFolder),
      })
  })
})

/** Fills the disk with log lines: the sequence number of the last that was acknowledged. */
async function fill(node: FakeNode, runId: string, first: number): Promise<number> {
  for (let seq = first; seq < 100_000; seq += 10) {
    const lines: RunRecord[] = Array.from({ length: 10 }, (_, index) =>
      record(runId, seq + index, { kind: 'log', level: 'info', message: `${seq + index}`.padEnd(4000, '.') }),
    )
    const answer = await node.records(...lines)
    if (!answer.ok) {
      expect(answer.error.code).toBe('STORE_FULL')
      return seq - 1
    }
    expect(answer.value.rejected).toEqual([])
  }
  throw new Error('the disk is never full')
}

/** One story for both ways to a full disk; `makeRoom` is called when it is full. */
async function survives(bench: Bench, makeRoom: (victim: RunView) => Promise<void>): Promise<void> {
  const [node, browser] = [bench.node(), bench.browser()]
  const health: Health[] = []
  browser.socket.on('health', (state) => health.push(state))
  await node.hello()
  const victim = await bench.createRun(sampleConfig())
  const { runId } = await bench.createRun(sampleConfig({ seed: 1 }))
  await node.assignments.count(2)
  const line = (seq: number) => ({ kind: 'log', level: 'info', message: `${seq}`.padEnd(4000, '.') }) as const
  await node.records(
    ...Array.from({ length: 100 }, (_, index) => record(victim.runId, index + 1, line(index))),
    record(victim.runId, 101, lifecycle('finished')),
    record(runId, 1, lifecycle('running')),
  )
  const last = await fill(node, runId, 2)
  expect(last).toBeGreaterThan(10)
  expect(await bench.get('/api/health')).toMatchObject({
    status: 'store-full',
    message: expect.stringContaining('rankscope.db'),
  })
  expect((await bench.get<{ runs: unknown[] }>('/api/runs')).runs).toHaveLength(2)
  const waiting = record(runId, last + 1, { kind: 'log', level: 'info', message: 'waits in the spool' })
  expect(await node.records(waiting)).toMatchObject({ ok: false, error: { code: 'STORE_FULL' } })
  // A daemon that starts now is welcome.
  node.close()
  const again = bench.node()
  expect(await again.hello({ activeRuns: [{ runId, attempt: 1 }] })).toMatchObject({
    ok: true,
    value: { abandon: [] },
  })

  await makeRoom(victim)
  for (;;) {
    const answer = await again.records(waiting)
    if (answer.ok) break
    expect(answer.error.code).toBe('STORE_FULL')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  expect(await bench.get('/api/health')).toMatchObject({ status: 'ok', message: null })
  const { logs } = await bench.get<{ logs: { message: string }[] }>(`/api/runs/${runId}/logs?limit=10000`)
  expect(logs.map(({ message }) => message)).toEqual([
    ...Array.from({ length: last - 1 }, (_, index) => line(index + 2).message),
    'waits in the spool',
  ])
  expect(health.map(({ status }) => status)).toEqual(['ok', 'store-full', 'ok'])
}

describe('a full disk', () => {
  it('halts what is written and nothing else, until a deletion makes room', async () => {
    const bench = await Bench.start({ maxPages: 400 })
    try {
      await survives(bench, async ({ runId }) => {
        const deleted = await bench.server.app.inject({
          method: 'DELETE',
          url: `/api/runs/${runId}`,
          headers: bench.headers,
        })
        expect(deleted.statusCode, deleted.body).toBeLessThan(300)
      })
    } finally {
      await bench.close()
    }
  })

  const disk = mkdtempSync(join(tmpdir(), 'rankscope-small-'))
  const isMounted =
    spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', disk], { stdio: 'ignore' }).status === 0
  afterAll(() => {
    if (isMounted) spawnSync('umount', [disk])
    rmSync(disk, { recursive: true, force: true })
  })

  it.skipIf(!isMounted)('that is real does the same (needs root: a small tmpfs is mounted)', async () => {
    const ballast = join(disk, 'ballast')
    writeFileSync(ballast, new Uint8Array(3 * 2 ** 20))
    const bench = await Bench.start({ dataFolder: join(disk, 'data') })
    try {
      await survives(bench, async () => rmSync(ballast))
    } finally {
      await bench.close()
    }
  })
})
