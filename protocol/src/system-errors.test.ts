import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { describe, expect, it } from 'vitest'
import { errorPayload, isDiskFull, whileWriting } from './system-errors.ts'

function payloadOf(work: () => unknown) {
  try {
    work()
  } catch (error) {
    return errorPayload(error)
  }
  throw new Error('it did not fail')
}

describe('what the system says becomes a coded error', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rankscope-system-'))

  it('that names the file', () => {
    expect(payloadOf(() => readFileSync(folder))).toMatchObject({ code: 'FILE_UNUSABLE' })
    const file = join(folder, 'file')
    writeFileSync(file, '')
    expect(payloadOf(() => readFileSync(join(file, 'below')))).toMatchObject({
      code: 'FILE_UNUSABLE',
      message: expect.stringContaining(join(file, 'below')),
    })
    expect(payloadOf(() => readFileSync(join(folder, 'none')))).toMatchObject({
      code: 'FILE_UNUSABLE',
      message: `${join(folder, 'none')}: there is no such file or folder (ENOENT)`,
      hint: 'check the path',
    })
    rmSync(folder, { recursive: true })
  })

  it.skipIf(process.platform !== 'linux')(
    'that names the file which found no room, where the system does not',
    () => {
      const full = openSync('/dev/full', 'w')
      const write = () => whileWriting('/data/weights.safetensors', () => writeSync(full, 'x'))
      expect(payloadOf(write)).toEqual({
        code: 'DISK_FULL',
        message: '/data/weights.safetensors: the disk is full (ENOSPC)',
        hint: 'free some space, or choose a folder on another disk',
      })
      expect(isDiskFull(new Error('ENOSPC'))).toBe(false)
    },
  )

  it('that names the port', async () => {
    const listen = (port: number) =>
      new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
        const server = createServer().on('error', reject)
        server.listen(port, '127.0.0.1', () => resolve(server))
      })
    const first = await listen(0)
    const { port } = first.address() as { port: number }
    const error = await listen(port).catch((failure: unknown) => failure)
    expect(errorPayload(error)).toMatchObject({
      code: 'ADDRESS_UNUSABLE',
      message: `127.0.0.1:${port} is taken`,
    })
    first.close()
  })

  it('that names the option', () => {
    const parse = (...args: string[]) => parseArgs({ args, options: { port: { type: 'string' } } })
    expect(payloadOf(() => parse('--prt', '1'))).toMatchObject({
      code: 'OPTION_INVALID',
      message: expect.stringContaining('--prt'),
      hint: '--help lists the options',
    })
    expect(payloadOf(() => parse('--port'))).toMatchObject({ code: 'OPTION_INVALID' })
    expect(payloadOf(() => parse('word'))).toMatchObject({ code: 'OPTION_INVALID' })
  })

  it('and what nobody foresaw stays INTERNAL', () => {
    expect(errorPayload(new TypeError('x is not a function'))).toEqual({
      code: 'INTERNAL',
      message: 'x is not a function',
      hint: null,
    })
  })
})
