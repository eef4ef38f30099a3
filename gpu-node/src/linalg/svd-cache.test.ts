import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { CacheLocation } from '../disk-cache.ts'
import { Random } from '../random.ts'

import { createPortable } from './portable.ts'
import { cacheEntry } from './svd-cache.ts'
import { type TopSvd, type TopSvdOptions, topSvd } from './top-svd.ts'

const [rows, columns] = [9, 7]
const algebra = createPortable()
let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'svd-cache-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const location = (limitBytes = 1e9) => ({ folder, limitBytes })

const cached = (...place: Parameters<typeof cacheEntry>) => cacheEntry(...place).read()
const keep = (location: CacheLocation, asked: ReturnType<typeof subject>, result: TopSvd) =>
  cacheEntry(location, asked).write(result)

function subject(rank: number, seed = 1, options: TopSvdOptions = { kind: 'full' }) {
  const w = new Random(seed).fillNormal(new Float32Array(rows * columns))
  return { w, rows, columns, rank, options, algebra: 'portable' as const }
}

function store(rank: number, seed = 1, options?: TopSvdOptions) {
  const asked = subject(rank, seed, options)
  const result = topSvd(algebra, asked.w, asked, asked.options)
  expect(keep(location(), asked, result)).toBeNull()
  return result
}

const onlyFile = () => join(folder, readdirSync(folder)[0]!)

test('what was stored is read back bit for bit', () => {
  expect(cached(location(), subject(5))).toBeNull()
  const stored = store(5)
  expect(cached(location(), subject(5))).toEqual(stored)
})

test('a higher rank answers a lower one by its prefix, a lower one does not answer a higher', () => {
  const stored = store(5)
  const prefix = cached(location(), subject(2))!
  expect(prefix.s).toEqual(stored.s.slice(0, 2))
  for (let i = 0; i < rows; i++)
    expect(prefix.u.slice(i * 2, i * 2 + 2)).toEqual(stored.u.slice(i * 5, i * 5 + 2))
  for (let i = 0; i < columns; i++)
    expect(prefix.v.slice(i * 2, i * 2 + 2)).toEqual(stored.v.slice(i * 5, i * 5 + 2))
  expect(cached(location(), subject(6))).toBeNull()
})

test('another matrix, shape, kind, seed or number of iterations is another entry', () => {
  store(3)
  expect(cached(location(), subject(3, 2))).toBeNull()
  expect(cached(location(), { ...subject(3), rows: columns, columns: rows })).toBeNull()
  const randomized = { kind: 'randomized', iterations: 4, seed: 1 } as const
  expect(cached(location(), subject(3, 1, randomized))).toBeNull()
  store(3, 1, randomized)
  expect(cached(location(), subject(3, 1, randomized))).not.toBeNull()
  expect(cached(location(), subject(3, 1, { ...randomized, seed: 2 }))).toBeNull()
  expect(cached(location(), subject(3, 1, { ...randomized, iterations: 5 }))).toBeNull()
  expect(cached(location(), { ...subject(3), algebra: 'lapack' })).toBeNull()
})

test('a sketch answers for its own rank alone: another rank draws another', () => {
  const randomized = { kind: 'randomized', iterations: 1, oversample: 1, seed: 1 } as const
  const wide = store(4, 1, randomized)
  expect(cached(location(), subject(2, 1, randomized))).toBeNull()
  const narrow = store(2, 1, randomized)
  expect(narrow.s[1]).not.toBe(wide.s[1])
  expect(cached(location(), subject(2, 1, randomized))).toEqual(narrow)
})

test.each([
  ['cut short', (bytes: Buffer) => bytes.subarray(0, bytes.length - 8)],
  ['one bit changed', (bytes: Buffer) => bytes.fill(bytes.at(-3)! ^ 1, bytes.length - 3, bytes.length - 2)],
  ['another rank in its header', (bytes: Buffer) => changed(bytes, '"rank":4', '"rank":5')],
  ['another shape in its header', (bytes: Buffer) => changed(bytes, '"columns":7', '"columns":9')],
  ['empty', () => Buffer.alloc(0)],
  ['not its format', () => Buffer.from('{"version":1}\nrubbish')],
])('a file that is %s is removed and does not answer', (_, damage) => {
  store(4)
  const file = onlyFile()
  writeFileSync(file, damage(readFileSync(file)))
  expect(cached(location(), subject(4))).toBeNull()
  expect(existsSync(file)).toBe(false)
})

test('a file under the name of another matrix does not answer for it', () => {
  store(4, 1)
  const file = onlyFile()
  const bytes = readFileSync(file)
  store(4, 2)
  const other = readdirSync(folder).find((name) => !file.endsWith(name))!
  writeFileSync(join(folder, other), bytes)
  expect(cached(location(), subject(4, 2))).toBeNull()
  expect(cached(location(), subject(4, 1))).not.toBeNull()
})

/** The same length, so that everything else about the file fits. */
function changed(bytes: Buffer, from: string, to: string): Buffer {
  const text = bytes.toString('latin1')
  expect(text).toContain(from)
  return Buffer.from(text.replace(from, to), 'latin1')
}

test('beyond the size limit the entry used longest ago goes, never the newest', () => {
  store(4, 1)
  const first = onlyFile()
  const size = statSync(first).size
  utimesSync(first, 1000, 1000)
  store(4, 2)
  const second = readdirSync(folder).find((name) => !first.endsWith(name))!
  utimesSync(join(folder, second), 2000, 2000)
  // Reading counts as use.
  cached(location(), subject(4, 1))
  const third = subject(4, 3)
  keep(location(2 * size), third, topSvd(algebra, third.w, third, third.options))
  expect(cached(location(), subject(4, 1))).not.toBeNull()
  expect(cached(location(), subject(4, 2))).toBeNull()
  expect(cached(location(), third)).not.toBeNull()
  keep(location(1), third, topSvd(algebra, third.w, third, third.options))
  expect(readdirSync(folder)).toHaveLength(1)
})

test('a folder that cannot be written is reported, not fatal', () => {
  writeFileSync(join(folder, 'file'), '')
  const asked = subject(2)
  const result = topSvd(algebra, asked.w, asked, asked.options)
  expect(keep({ folder: join(folder, 'file'), limitBytes: 1 }, asked, result)).toMatch(/cannot be written/)
})
