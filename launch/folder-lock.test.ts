import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { lockFolder as lock } from './folder-lock.ts'

const lockFolder = (folder: string) => lock(folder, { name: 'server.lock', option: '--data' })

describe('the lock of a data folder', () => {
  let folder: string
  const file = () => join(folder, 'server.lock')
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'rankscope-lock-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it('is had by one, who is named to the next, until it is given back', () => {
    const release = lockFolder(folder)
    expect(() => lockFolder(folder)).toThrowError(
      expect.objectContaining({ code: 'FOLDER_IN_USE', message: expect.stringContaining(`${process.pid}`) }),
    )
    release()
    expect(existsSync(file())).toBe(false)
    lockFolder(folder)()
  })

  it.each([
    ['empty', ''],
    ['torn', '{"processId": 12'],
    ['of no sense', '[]'],
    [
      'of a reused process id',
      JSON.stringify({ processId: process.ppid, start: 'boot/1', host: hostname() }),
    ],
  ])('that is %s does not refuse for ever', (_, text) => {
    writeFileSync(file(), text)
    lockFolder(folder)()
  })

  it('that is a link to nowhere does not refuse for ever; a pipe or a folder is named', () => {
    symlinkSync(join(folder, 'nowhere'), file())
    lockFolder(folder)()
    execFileSync('mkfifo', [file()])
    const named = expect.objectContaining({ code: 'FILE_UNUSABLE', message: expect.stringContaining(file()) })
    expect(() => lockFolder(folder)).toThrowError(named)
    rmSync(file())
    mkdirSync(file())
    expect(() => lockFolder(folder)).toThrowError(named)
  })

  it('of a process that is gone does not refuse for ever', () => {
    const { pid } = spawnSync(process.execPath, ['-e', ''])
    writeFileSync(file(), JSON.stringify({ processId: pid, start: null, host: hostname() }))
    lockFolder(folder)()
  })

  it('of a process that is alive holds, also of one on another machine', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
    try {
      for (const holder of [
        { processId: child.pid, start: null, host: hostname() },
        { processId: 1, start: 'x', host: 'another.example' },
      ]) {
        const text = JSON.stringify(holder)
        writeFileSync(file(), text)
        expect(() => lockFolder(folder)).toThrowError(expect.objectContaining({ code: 'FOLDER_IN_USE' }))
        expect(readFileSync(file(), 'utf8')).toBe(text)
      }
    } finally {
      child.kill()
    }
  })

  it('that cannot be written is a coded error that names the path', () => {
    writeFileSync(join(folder, 'file'), '')
    expect(() => lockFolder(join(folder, 'file'))).toThrowError(
      expect.objectContaining({
        code: 'FILE_UNUSABLE',
        message: expect.stringContaining(join(folder, 'file')),
      }),
    )
  })
})
