import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { launchCommand, launcher } from './index.ts'

describe('the launcher', () => {
  let folder = ''
  const url = (name: string) => pathToFileURL(join(folder, name))
  const write = (name: string, text: string) => writeFileSync(join(folder, name), text)
  const run = (...args: string[]) => {
    const [program, ...rest] = launchCommand(url('entry.ts'), ...args)
    return spawnSync(program, rest, { encoding: 'utf8' })
  }
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'rankscope-launch-'))
    write('part.ts', 'export const answer: number = 1\n')
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  it('runs a module with its arguments, as at its own place', () => {
    write(
      'entry.ts',
      `import { answer } from './part.ts'\nconsole.log(JSON.stringify([answer, process.argv.slice(1), import.meta.dirname]))\n`,
    )
    expect(JSON.parse(run('a', '--b').stdout)).toEqual([1, [join(folder, 'entry.ts'), 'a', '--b'], folder])
  })

  it('never runs what a source was before: a change of any is seen at the next start', () => {
    write('entry.ts', `import { answer } from './part.ts'\nconsole.log(answer)\n`)
    expect([run().stdout, run().stdout]).toEqual(['1\n', '1\n'])
    write('part.ts', 'export const answer: number = 22\n')
    expect(run().stdout).toBe('22\n')
  })

  it('names lines of the sources in the stack of an error', () => {
    write(
      'part.ts',
      `interface Long {\n  a: 1\n}\nexport function fail(_: Long): never {\n  throw new Error('on purpose')\n}\n`,
    )
    write('entry.ts', `import { fail } from './part.ts'\nfail({ a: 1 })\n`)
    const { status, stderr } = run()
    expect(status).toBe(1)
    expect(stderr).toContain(`${url('part.ts').href}:5:9`)
    expect(stderr).toContain(`${url('entry.ts').href}:2:1`)
  })

  it('starts a thread by the URL in its data', async () => {
    write(
      'entry.ts',
      `import { parentPort, workerData } from 'node:worker_threads'\nparentPort!.postMessage(workerData.value)\n`,
    )
    const worker = new Worker(launcher, { workerData: { entry: url('entry.ts').href, value: 7 } })
    expect(await new Promise((resolve) => worker.once('message', resolve))).toBe(7)
    await worker.terminate()
  })
})
