import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readText } from './read-text.ts'
import { readValues } from './read-values.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'read-values-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function write(name: string, content: string | Uint8Array): string {
  const file = join(folder, name)
  writeFileSync(file, content)
  return file
}

async function read(file: string, limit?: number) {
  const all = []
  for await (const values of readValues(file, limit)) all.push(...values)
  return all
}
const values = async (file: string, limit?: number) => (await read(file, limit)).map(({ value }) => value)
const broken = (message: RegExp) =>
  expect.objectContaining({ code: 'DATA_BROKEN', message: expect.stringMatching(message) })

describe('what is no data file', () => {
  it('an absent file is DATA_NOT_FOUND, as one below a file or with a NUL in its name', async () => {
    const absent = expect.objectContaining({ code: 'DATA_NOT_FOUND' })
    const file = write('a.jsonl', '{}')
    for (const path of [join(folder, 'nowhere'), join(file, 'below'), `${file}\0`])
      await expect(read(path)).rejects.toThrow(absent)
    symlinkSync(join(folder, 'nowhere'), join(folder, 'dangling'))
    await expect(read(join(folder, 'dangling'))).rejects.toThrow(absent)
  })

  it('a folder, a pipe, a socket and a device are refused at once', async () => {
    mkdirSync(join(folder, 'a folder.jsonl'))
    await expect(read(join(folder, 'a folder.jsonl'))).rejects.toThrow(broken(/is a folder/))
    const pipe = join(folder, 'pipe')
    execFileSync('mkfifo', [pipe])
    await expect(read(pipe)).rejects.toThrow(broken(/no regular file/))
    await expect(read('/dev/zero')).rejects.toThrow(broken(/no regular file/))
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(join(folder, 'socket'), resolve))
    await expect(read(join(folder, 'socket'))).rejects.toThrow(broken(/socket/))
    await new Promise((resolve) => server.close(resolve))
  })

  it('a file that its user may not read is refused with the reason', () => {
    // The owner of everything may read everything: another user asks.
    const file = write('secret.jsonl', '{}')
    execFileSync('chmod', ['0', file])
    const script = `
      import { readValues } from ${JSON.stringify(join(import.meta.dirname, 'read-values.ts'))}
      if (process.getuid() === 0) process.setuid(65534)
      try { for await (const part of readValues(${JSON.stringify(file)})) part }
      catch (error) { console.log(error.code, error.message) }`
    const main = write('secret.ts', script)
    execFileSync('chmod', ['755', folder])
    const launch = join(import.meta.dirname, '../../../launch/launch.mjs')
    expect(spawnSync(process.execPath, [launch, main], { encoding: 'utf8' }).stdout).toMatch(
      /DATA_BROKEN .*secret.jsonl: the file may not be read \(EACCES\)/,
    )
  })

  it('other archives are named', async () => {
    await expect(read(write('a.zip', Buffer.from('504b030414', 'hex')))).rejects.toThrow(broken(/zip/))
    await expect(read(write('a.jsonl.zst', Buffer.from('28b52ffd04', 'hex')))).rejects.toThrow(broken(/zstd/))
  })
})

describe('gzip', () => {
  const lines = '{"a": 1}\n{"a": 2}\n'

  it('is known by its content: whatever its name, and in several members', async () => {
    const expected = [{ a: 1 }, { a: 2 }]
    expect(await values(write('packed.jsonl', gzipSync(lines)))).toEqual(expected)
    expect(await values(write('not-packed.jsonl.gz', lines))).toEqual(expected)
    const members = Buffer.concat([gzipSync('{"a": 1}\n{"a"'), gzipSync(': 2}\n')])
    expect(await values(write('members.jsonl.gz', members))).toEqual(expected)
    expect(await values(write('a.json.gz', gzipSync('[{"a": 1}, {"a": 2}]')))).toEqual(expected)
  })

  it('that is cut, altered or followed by something is refused', async () => {
    const whole = gzipSync(lines.repeat(100))
    await expect(read(write('cut.gz', whole.subarray(0, -9)))).rejects.toThrow(broken(/cut short/))
    await expect(read(write('head.gz', whole.subarray(0, 3)))).rejects.toThrow(broken(/cut short/))
    const altered = Buffer.from(whole)
    altered[whole.length - 6]! ^= 1
    await expect(read(write('altered.gz', altered))).rejects.toThrow(broken(/damaged/))
    const followed = Buffer.concat([whole, Buffer.from(lines)])
    await expect(read(write('followed.gz', followed))).rejects.toThrow(broken(/damaged/))
  })

  it('that unpacks to far more than it holds is given up with the limit', async () => {
    const member = gzipSync(' '.repeat(16 * 2 ** 20))
    const file = write('bomb.jsonl.gz', Buffer.concat([gzipSync('['), ...Array<Buffer>(65).fill(member)]))
    const before = process.memoryUsage.rss()
    await expect(read(file)).rejects.toThrow(broken(/unpacks to more than 1073741824 bytes, over 200 times/))
    expect(process.memoryUsage.rss() - before).toBeLessThan(512 * 2 ** 20)
  })
})

describe('large files', () => {
  it('of more than 2 GiB are read as far as the limit, in a moment', async () => {
    const file = write('large.jsonl', '{"a": 1}\n'.repeat(300_000))
    // The rest is a hole: what is not needed is not looked at.
    truncateSync(file, 2.2e9)
    const start = performance.now()
    expect(await values(file, 100)).toHaveLength(100)
    expect(performance.now() - start).toBeLessThan(2000)
    await expect(read(file)).rejects.toThrow(broken(/:300001: .*NUL/))
  })

  it('with an array as far as the limit, too', async () => {
    const file = write('large.json', `[${'{"a": 1},\n'.repeat(300_000)}`)
    truncateSync(file, 2.2e9)
    expect(await values(file, 100)).toHaveLength(100)
  })
})

describe('CSV', () => {
  it('has the names in its first line, quotes, line ends in cells, and lines for messages', async () => {
    const file = write('a.csv', '\uFEFFq,a\r\n"one, ""two""",1\r\n\r\n"line\nbreak",2\r\nlast,3')
    expect(await read(file)).toEqual([
      { value: { q: 'one, "two"', a: '1' }, place: `${file}:2` },
      { value: { q: 'line\nbreak', a: '2' }, place: `${file}:4` },
      { value: { q: 'last', a: '3' }, place: `${file}:6` },
    ])
    expect(await values(write('a.tsv.gz', gzipSync('q\ta\nx, y\t1\n')))).toEqual([{ q: 'x, y', a: '1' }])
    expect(await values(file, 1)).toHaveLength(1)
  })

  it.each([
    ['a row too short', 'q,a\n1,2\n3\n', /csv:3: /],
    ['a row too long', 'q,a\n1,2,3\n', /csv:2: /],
    ['a quote that is not closed', 'q,a\n1,2\n"3,4\n', /csv:\d: .*quote/i],
    ['a name twice', 'q,q\n1,2\n', /csv:1: .*"q" twice/],
    ['Latin-1', Buffer.from('q,a\ncaf\xe9,1\n', 'latin1'), /csv:2: .*not UTF-8/],
  ])('%s is refused with its line', async (_, content, message) => {
    await expect(read(write('broken.csv', content))).rejects.toThrow(broken(message))
  })
})

describe('Parquet', () => {
  const columnData = [
    { name: 'q', data: ['one', 'zwei – 二', 'three'] },
    { name: 'ids', data: [[1, 2], [3], []], type: 'JSON' as const },
    { name: 'n', data: [1n, -100n, 2n ** 60n], type: 'INT64' as const },
    { name: 'missing', data: ['x', null, 'y'] },
  ]
  const file = () => write('a.parquet', new Uint8Array(parquetWriteBuffer({ columnData, rowGroupSize: 2 })))

  it('is no text', async () => {
    await expect(readText(file()).next()).rejects.toThrow(broken(/is a Parquet file, not text/))
  })

  it('gives the rows of all groups, integers as numbers, nulls as null', async () => {
    expect(await read(file())).toEqual([
      { value: { q: 'one', ids: [1, 2], n: 1, missing: 'x' }, place: `${file()}, row 1` },
      { value: { q: 'zwei – 二', ids: [3], n: -100, missing: null }, place: `${file()}, row 2` },
      { value: { q: 'three', ids: [], n: String(2n ** 60n), missing: 'y' }, place: `${file()}, row 3` },
    ])
    expect(await values(file(), 1)).toHaveLength(1)
  })

  it('that is cut, or whose text is not UTF-8, is refused', async () => {
    const bytes = new Uint8Array(parquetWriteBuffer({ columnData }))
    await expect(read(write('cut.parquet', bytes.subarray(0, -20)))).rejects.toThrow(
      broken(/not a whole Parquet/),
    )
    const data = [Uint8Array.of(0x61), Uint8Array.of(0x63, 0xe9)]
    const wrong = parquetWriteBuffer({ columnData: [{ name: 'q', data, type: 'BYTE_ARRAY' }] })
    await expect(read(write('wrong.parquet', new Uint8Array(wrong)))).rejects.toThrow(
      broken(/row 2: .*not UTF-8/),
    )
  })
})
