import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { launchCommand } from '@rankscope/launch'
import { expect, it } from 'vitest'
import { openSqliteStore } from './sqlite.ts'

it('kill -9 in the middle of commits loses no batch that was acknowledged, and leaves none in part (P1)', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rankscope-crash-'))
  const file = join(folder, 'store.db')
  const [program, ...args] = launchCommand(new URL('../testing/killed-writer.ts', import.meta.url), file)
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let acknowledged = 0
  for await (const line of createInterface(child.stdout)) {
    acknowledged = Number(line)
    // Not awaited: commits go on until the signal arrives.
    if (acknowledged === 600) child.kill('SIGKILL')
  }
  const store = await openSqliteStore(file)
  const records = await store.recordsAfter('run', 0, 100_000)
  expect(acknowledged).toBeGreaterThanOrEqual(600)
  expect(records.length).toBeGreaterThanOrEqual(acknowledged)
  expect(records.length % 20).toBe(0)
  expect(records.map((record) => record.seq)).toEqual(records.map((_, index) => index + 1))
  const [run] = await store.listRuns()
  expect(run).toMatchObject({ lastCursor: records.length, progress: { step: records.length } })
  const { series } = await store.series('run', { names: null, points: 9, fromStep: null, toStep: null })
  expect(series[0]!.total).toBe(records.length)
  await store.close()
  rmSync(folder, { recursive: true })
})
