import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { launchCommand } from '@rankscope/launch'
import { type RecordBody, toFloat64Bytes } from '@rankscope/protocol'
import Database from 'libsql'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openSpool, type Spool } from './spool.ts'

const run = { runId: 'run-a', attempt: 1 }
const scalars = (step: number, loss = step / 2): RecordBody => ({
  kind: 'scalars',
  step,
  values: { 'train/loss': loss },
})
const all = { count: 1000, bytes: Number.POSITIVE_INFINITY }

describe('the spool', () => {
  let folder: string
  let spool: Spool
  const file = () => join(folder, 'spool.db')

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'rankscope-spool-'))
    spool = openSpool(file())
  })
  afterEach(() => {
    spool.close()
    rmSync(folder, { recursive: true })
  })

  it('numbers the records of each attempt from 1 without gaps', () => {
    const other = { runId: 'run-a', attempt: 2 }
    spool.open(run)
    spool.open(other)
    spool.append([
      { ...run, timeMs: 1, body: scalars(1) },
      { ...other, timeMs: 2, body: scalars(1) },
      { ...run, timeMs: 3, body: scalars(2) },
    ])
    spool.append([{ ...run, timeMs: 4, body: scalars(3) }])
    expect(spool.read(0, all).map(({ record }) => [record.attempt, record.seq])).toEqual([
      [1, 1],
      [2, 1],
      [1, 2],
      [1, 3],
    ])
  })

  it('gives back NaN, infinities and float64 bytes as they came', () => {
    spool.open(run)
    const measure = { rank: Number.NaN }
    const bytes = toFloat64Bytes([3, 1e-300, Number.NaN])
    spool.append([
      { ...run, timeMs: 1.5, body: scalars(1, Number.NaN) },
      { ...run, timeMs: 2, body: scalars(2, Number.POSITIVE_INFINITY) },
      { ...run, timeMs: 3, body: { ...scalars(3), values: measure, bytes } as unknown as RecordBody },
    ])
    const bodies = spool.read(0, all).map(({ record }) => record.body)
    expect(bodies[0]).toEqual(scalars(1, Number.NaN))
    expect(bodies[1]).toEqual(scalars(2, Number.POSITIVE_INFINITY))
    expect(bodies[2]).toMatchObject({ bytes })
  })

  it('forgets exactly the named records, and counts what is left', () => {
    spool.open(run)
    spool.append([1, 2, 3].map((step) => ({ ...run, timeMs: step, body: scalars(step) })))
    const [first, , third] = spool.read(0, all)
    spool.forget([first!.position, third!.position, 999])
    expect(spool.read(0, all).map(({ record }) => record.seq)).toEqual([2])
    expect(spool.records).toBe(1)
    spool.forget(spool.read(0, all).map(({ position }) => position))
    expect([spool.records, spool.bytes]).toEqual([0, 0])
  })

  it('goes on numbering behind records that are long forgotten', () => {
    spool.open(run)
    spool.append([{ ...run, timeMs: 1, body: scalars(1) }])
    spool.forget(spool.read(0, all).map(({ position }) => position))
    spool.close()
    spool = openSpool(file())
    spool.append([{ ...run, timeMs: 2, body: scalars(2) }])
    expect(spool.read(0, all)[0]!.record.seq).toBe(2)
  })

  it('reads at least one record, however large, and stops at the limit otherwise', () => {
    spool.open(run)
    const long: RecordBody = { kind: 'log', level: 'info', message: 'x'.repeat(1000) }
    spool.append([1, 2, 3].map((timeMs) => ({ ...run, timeMs, body: long })))
    expect(spool.read(0, { count: 1000, bytes: 10 })).toHaveLength(1)
    expect(spool.read(0, { count: 1000, bytes: 2500 })).toHaveLength(2)
    expect(spool.read(0, { count: 2, bytes: 1e9 })).toHaveLength(2)
  })

  it('knows which runs have not said their last word', () => {
    const done = { runId: 'run-b', attempt: 1 }
    expect(spool.open(run)).toBe(true)
    expect(spool.open(run)).toBe(false)
    spool.open(done)
    spool.setProcess(run, 123, 'start')
    spool.append([
      { ...run, timeMs: 1, body: { kind: 'lifecycle', state: 'running', error: null } },
      { ...done, timeMs: 1, body: { kind: 'lifecycle', state: 'finished', error: null } },
    ])
    expect(spool.unfinished()).toEqual([{ ...run, processId: 123, processStart: 'start' }])
    spool.abandon(run)
    expect(spool.unfinished()).toEqual([])
  })

  it('writes all records of a call or none', () => {
    spool.open(run)
    const stranger = { runId: 'never-opened', attempt: 1, timeMs: 1, body: scalars(1) }
    expect(() => spool.append([{ ...run, timeMs: 1, body: scalars(1) }, stranger])).toThrow('never opened')
    expect(spool.read(0, all)).toEqual([])
    expect(spool.records).toBe(0)
  })

  it('refuses a second daemon on the same folder, and says what to do', () => {
    expect(() => openSpool(file())).toThrowError(
      expect.objectContaining({ code: 'STORE_FAILED', hint: expect.stringContaining('--state') }),
    )
  })

  it('opens behind a lock that was damaged, and says what to do with a spool that is', () => {
    spool.close()
    writeFileSync(`${file()}.lock`, Buffer.alloc(3000, 7))
    spool = openSpool(file())
    spool.close()
    const damaged = `${file()}-damaged`
    writeFileSync(damaged, Buffer.alloc(3000, 7))
    expect(() => openSpool(damaged)).toThrowError(
      expect.objectContaining({ code: 'STORE_FAILED', hint: expect.stringContaining('move it away') }),
    )
    spool = openSpool(file())
  })

  it('keeps every acknowledged append through kill -9', async () => {
    spool.close()
    const [program, ...args] = launchCommand(
      new URL('../testing/daemon/spool-appender.ts', import.meta.url),
      file(),
    )
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let told = ''
    child.stdout.on('data', (chunk: Buffer) => {
      told += chunk.toString()
      if (told.includes('\n200\n')) child.kill('SIGKILL')
    })
    await new Promise((resolve) => child.on('close', resolve))
    const lastTold = Number(told.slice(0, told.lastIndexOf('\n')).split('\n').at(-1))
    spool = openSpool(file())
    const steps = spool.read(0, { ...all, count: 1_000_000 }).map(({ record }) => record.seq)
    expect(steps.length).toBeGreaterThanOrEqual(lastTold)
    expect(steps).toEqual(steps.map((_, index) => index + 1))
  })

  it('sets a record aside that a disk has damaged; those around it are read', () => {
    spool.open(run)
    spool.append([1, 2, 3].map((step) => ({ ...run, timeMs: step, body: scalars(step) })))
    const [, second] = spool.read(0, all)
    spool.close()
    const database = new Database(file())
    // An array of 65,535 elements of which none follows.
    database
      .prepare('UPDATE records SET body = ? WHERE position = ?')
      .run(Buffer.from([0xdc, 0xff, 0xff]), second!.position)
    database.close()
    spool = openSpool(file())
    expect(spool.read(0, all).map(({ record }) => record.seq)).toEqual([1, 3])
    expect(spool.records).toBe(2)
    spool.close()
    const after = new Database(file())
    expect(after.prepare('SELECT seq, reason FROM set_aside').all()).toEqual([
      { seq: 2, reason: expect.stringContaining('damaged') },
    ])
    after.close()
    spool = openSpool(file())
  })

  it('gives room back to the disk when it was long and is empty again', () => {
    spool.open(run)
    const message = 'x'.repeat(2 ** 20)
    for (let turn = 0; turn < 4; turn++)
      spool.append(
        Array.from({ length: 12 }, () => ({
          ...run,
          timeMs: 1,
          body: { kind: 'log' as const, level: 'info' as const, message },
        })),
      )
    const full = statSync(file()).size
    expect(full).toBeGreaterThan(40 * 2 ** 20)
    for (const { position } of spool.read(0, all)) spool.forget([position])
    expect(statSync(file()).size).toBeLessThan(full / 2)
  })
})
