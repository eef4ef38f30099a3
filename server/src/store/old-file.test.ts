import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'libsql'
import { expect, it, onTestFinished } from 'vitest'
import { record, sampleConfig } from '../testing/samples.ts'
import { openSqliteStore } from './sqlite.ts'

it('a database of an earlier release is rewritten when it is opened, and shrinks from then on (P28)', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rankscope-old-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'rankscope.db')
  const before = await openSqliteStore(file)
  for (const runId of ['gone', 'kept']) {
    const [run] = await before.createRuns([{ runId, name: runId, config: sampleConfig({}), createdMs: 1 }])
    await before.updateRun(runId, run!.revision, { state: 'assigned', nodeId: 'node-a' })
  }
  const line = (runId: string, seq: number) =>
    record(runId, seq, { kind: 'log', level: 'info', message: 'x'.repeat(100_000) })
  await before.append(
    'node-a',
    Array.from({ length: 80 }, (_, index) => line('gone', index + 1)),
  )
  await before.append('node-a', [line('kept', 1)])
  await before.close()
  // As it was made before.
  const old = new Database(file)
  old.pragma('auto_vacuum = NONE')
  old.exec('vacuum')
  old.close()
  const { size } = statSync(file)
  expect(size).toBeGreaterThan(8_000_000)

  const store = await openSqliteStore(file)
  onTestFinished(() => store.close())
  await store.deleteRun('gone')
  while (await store.purge());
  let freedBytes = 0
  for (;;) {
    const freed = await store.shrink()
    freedBytes += freed.freedBytes
    if (!freed.isMore) break
  }
  expect(freedBytes).toBeGreaterThan(7_000_000)
  expect(statSync(file).size).toBeLessThan(size / 4)
  expect(await store.recordsAfter('kept', 0, 9)).toHaveLength(1)
})
