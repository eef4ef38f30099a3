import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { JsonSplitter } from './json-splitter.ts'
import { readJson } from './read-json.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'read-json-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function read(content: string | Buffer) {
  const file = join(folder, 'data')
  writeFileSync(file, content)
  const values = []
  for await (const part of readJson(file)) values.push(...part)
  return values.map(({ value, place }) => [place.slice(folder.length + 5), value])
}

const two = [
  [':1', { a: 1 }],
  [':2', { a: '}' }],
]

describe('JSON values of a file', () => {
  it.each([
    ['lines', '{"a": 1}\n{"a": "}"}\n'],
    ['lines, the last without an end', '{"a": 1}\n{"a": "}"}'],
    ['lines with a byte order mark', '\uFEFF{"a": 1}\n{"a": "}"}\n'],
    ['lines with a byte order mark in each', '\uFEFF{"a": 1}\n\uFEFF{"a": "}"}\n'],
    ['lines that end in CR LF', '{"a": 1}\r\n{"a": "}"}\r\n'],
    ['lines with white space around', ' {"a": 1} \n\t{"a": "}"}\n \n'],
  ])('%s', async (_, content) => {
    expect(await read(content)).toEqual(two)
    expect(await read(gzipSync(content))).toEqual(two)
  })

  it('blank lines are counted and hold nothing', async () => {
    expect(await read('\n\n{"a": 1}\n\n{"a": 2}')).toEqual([
      [':3', { a: 1 }],
      [':5', { a: 2 }],
    ])
    expect(await read('\n \r\n')).toEqual([])
    expect(await read('')).toEqual([])
  })

  it('values that follow one another on a line, and values over several lines', async () => {
    expect(await read('{"a": 1}{"a": 2} {"a": 3}')).toEqual([1, 2, 3].map((a) => [':1', { a }]))
    expect(
      await read('{"a": 1}\n{"a": 2}{"a": 3}\n').then((values) => values.map(([place]) => place)),
    ).toEqual([':1', ':2', ':2'])
    expect(await read('\n{\n "a": 1\n}\n\n\n{\n "a": [2]\n}')).toEqual([
      [':2', { a: 1 }],
      [':7', { a: [2] }],
    ])
    expect(await read('{"a": 1}\r{"a": 2}')).toHaveLength(2)
  })

  it('an array, whatever stands before its bracket, with the lines of its elements', async () => {
    const array = '[\n  {"a": "x, ] \\" \\\\"},\n\n  {\n "a": [1, {"b": "]"}]}, 7\n]\n'
    const expected = [
      [':2, record 1', { a: 'x, ] " \\' }],
      [':4, record 2', { a: [1, { b: ']' }] }],
      [':5, record 3', 7],
    ]
    expect(await read(array)).toEqual(expected)
    expect(await read(`\uFEFF${array}`)).toEqual(expected)
    expect(await read('[]')).toEqual([])
    expect(await read('[ 1 , "b" ]')).toEqual([
      [':1, record 1', 1],
      [':1, record 2', 'b'],
    ])
  })

  it('the list inside the only object of a file, whatever its name, with lines', async () => {
    const wrapped = JSON.stringify({ version: '1', data: [{ a: 1 }, { a: 2 }], licence: null }, null, 1)
    expect(await read(wrapped)).toEqual([
      [':4, record 1', { a: 1 }],
      [':7, record 2', { a: 2 }],
    ])
    expect(await read('{"rows": [{"a": 1}]}')).toEqual([[':1, record 1', { a: 1 }]])
    await expect(read('{"train": [{"a": 1}], "test": [{"a": 2}]}')).rejects.toThrow(
      /several lists.*train, test/,
    )
    // A single record is no wrapper.
    expect(await read('{"messages": [{"role": "user"}]}')).toHaveLength(1)
    expect(await read('{"data": [{"a": 1}]}\n{"data": [{"a": 2}]}')).toHaveLength(2)
  })

  it.each([
    ['a comma after a line', '{"a": 1},\n{"a": 2}\n', /data:1: .*comma/],
    ['a comma after the last element', '[{"a": 1},\n]', /data:2: .*comma/],
    ['a comma before the first', '[,{"a": 1}]', /data:1: .*comma/],
    ['an array that does not end', '[{"a": 1},\n{"a": 2}', /data:2: .*ends before the array/],
    ['an element that does not end', '[{"a": 1', /data:1: .*ends before the array/],
    ['a second array', '[{"a": 1}]\n[{"a": 2}]', /data:2: .*follows the end/],
    ['text after an array', '[{"a": 1}]\nx', /data:2: .*follows the end/],
    ['a line that is cut', '{"a": 1}\n{"a": "b\n{"a": 2}\n', /data:2: the line is not valid JSON/],
    ['a first line that is cut', '{"a": "b\n{"a": 2}\n', /data:1: the line is not valid JSON/],
    ['a last line that is cut', '{"a": 1}\n\n{"a": 2', /data:3: .*does not end/],
    ['a word in a line', '{"a": 1}\nx\n', /data:2: .*/],
    ['single quotes', "{'a': 1}\n{'a': 2}", /data:1: the line is not valid JSON/],
    ['NaN', '[{"a": 1},\n{"a": NaN}]', /data:2, record 2: the line is not valid JSON/],
    ['too many brackets', '{"a": 1}}\n', /data:1: .*closes nothing/],
    ['a field twice', '{"a": 1}\n{"a": 1, "b": {"c": 1, "c": 2}}\n', /data:2: .*"c" twice/],
    ['a field twice, spelt in two ways', '[{"a": 1, "\\u0061": 2}]', /data:1, record 1: .*"a" twice/],
    [
      'Latin-1',
      Buffer.from('{"a": 1}\n{"a": "caf\xe9"}\n', 'latin1'),
      /data:2: .*not UTF-8 \(byte 0xe9 at 11\)/,
    ],
    ['Latin-1 at the very end', Buffer.from('{"a": 1}\n{"a": "caf\xe9', 'latin1'), /data:2: .*not UTF-8/],
    ['UTF-16 with its mark', Buffer.from('\uFEFF{"a": 1}\n', 'utf16le'), /data:1: .*UTF-16/],
    ['UTF-16 without it', Buffer.from('{"a": 1}\n', 'utf16le'), /data:1: .*NUL/],
    [
      'a surrogate written as UTF-8',
      Buffer.from('{"a": 1}\n{"a": "\xed\xa0\xbd"}', 'latin1'),
      /data:2: .*not UTF-8/,
    ],
    ['a NUL', '{"a": 1}\n{"a": "\0"}', /data:2: .*NUL/],
  ])('%s is refused with its line', async (_, content, message) => {
    await expect(read(content)).rejects.toThrow(
      expect.objectContaining({ code: 'DATA_BROKEN', message: expect.stringMatching(message) }),
    )
  })

  it('a field that an object and its neighbour share is not there twice', async () => {
    expect(await read('[{"a": {"a": "\\"a\\": "}}, {"a": [{"a": 1}, {"a": 2}]}]')).toHaveLength(2)
  })

  it('a record of 300 million characters is refused with the limit, not with the end of memory', async () => {
    const piece = gzipSync('x'.repeat(2 ** 20))
    const line = Buffer.concat([gzipSync('{"a": "'), ...Array<Buffer>(300).fill(piece), gzipSync('"}')])
    await expect(read(line)).rejects.toThrow(/:1: a line of more than 268435456 characters/)
  })

  it('cutting the text anywhere changes nothing', () => {
    const value = fc.jsonValue({ maxDepth: 3 })
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 1 }),
        fc.array(fc.nat(200)),
        fc.boolean(),
        (values, cuts, indented) => {
          const text = JSON.stringify(values, null, indented ? 1 : 0)
          const splitter = new JsonSplitter('f', 'array')
          const found: string[] = []
          let start = 0
          for (const cut of [...cuts, text.length]) {
            const end = Math.min(text.length, start + cut)
            found.push(...splitter.push(text.slice(start, end)).map((raw) => raw.text))
            start = end
          }
          splitter.end()
          expect(found.map((raw) => JSON.parse(raw))).toEqual(JSON.parse(text))
        },
      ),
      { seed: 1, numRuns: 300 },
    )
  })
})
