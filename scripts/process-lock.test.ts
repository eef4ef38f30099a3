/** Who holds a state folder, whatever a crash or a loss of power left of the file that says so. */
import { execFileSync, spawn } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { takeProcessLock } from './process-lock.mjs'

const lockModule = pathToFileURL(join(import.meta.dirname, 'process-lock.mjs')).href

describe('a lock file', () => {
  let folder: string
  let file: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'rankscope-lock-'))
    file = join(folder, 'running.json')
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  /** A process that takes the lock, says who holds it, and lives until its input ends. */
  const taker = () => {
    const code = `
      const { takeProcessLock } = await import(${JSON.stringify(lockModule)})
      console.log(String(takeProcessLock(${JSON.stringify(file)})))
      process.stdin.resume().on('end', () => process.exit(0))`
    const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const gone = new Promise<void>((resolve) => child.on('close', () => resolve()))
    const answer = new Promise<string>((resolve) =>
      child.stdout.once('data', (part: Buffer) => resolve(part.toString().trim())),
    )
    const end = async (signal?: NodeJS.Signals) => {
      if (signal) child.kill(signal)
      else child.stdin.end()
      await gone
    }
    return { answer, end, processId: child.pid! }
  }

  it('has one living holder, who gives it back', async () => {
    const first = taker()
    expect(await first.answer).toBe('null')
    const second = taker()
    expect(await second.answer).toBe(String(first.processId))
    await second.end()
    expect(readdirSync(folder), 'the loser leaves it').toEqual(['running.json'])
    await first.end()
    expect(readdirSync(folder)).toEqual([])
  })

  it('that is a link to nowhere is taken over; what is no file is named, not waited for', async () => {
    symlinkSync(join(folder, 'nowhere'), file)
    const first = taker()
    expect(await first.answer).toBe('null')
    await first.end()
    for (const make of [() => mkdirSync(file), () => execFileSync('mkfifo', [file])]) {
      make()
      expect(() => takeProcessLock(file)).toThrowError(
        expect.objectContaining({ code: expect.stringMatching(/EISDIR|ENXIO/), path: file }),
      )
      rmSync(file, { recursive: true })
    }
    expect(readdirSync(folder)).toEqual([])
  })

  it('whose holder was killed is taken over', async () => {
    const killed = taker()
    await killed.answer
    await killed.end('SIGKILL')
    expect(readdirSync(folder)).toEqual(['running.json'])
    const next = taker()
    expect(await next.answer).toBe('null')
    await next.end()
  })

  it.each([
    ['empty', () => ''],
    ['torn', () => '{"processId":1'],
    ['of another kind', () => '[]'],
    [
      'of a process id that another process has now',
      () => JSON.stringify({ processId: process.pid, start: '1' }),
    ],
    ['of an older version, of a process that is none of ours', () => '1'],
    ['of an older version, of a process that is gone', () => '4194303'],
  ])('that is %s is taken over', async (_, content) => {
    writeFileSync(file, content())
    const next = taker()
    expect(await next.answer).toBe('null')
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ processId: next.processId })
    await next.end()
  })

  it('is given to one of many that come at once', async () => {
    writeFileSync(file, '')
    const all = Array.from({ length: 6 }, taker)
    const answers = await Promise.all(all.map(({ answer }) => answer))
    expect(answers.filter((answer) => answer === 'null')).toHaveLength(1)
    for (const { end } of all) await end()
  })
})
