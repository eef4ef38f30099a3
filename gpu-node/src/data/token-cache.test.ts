import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { builtInModels } from '../daemon/daemon.ts'
import { taskRecords } from '../tasks/index.ts'
import { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { tokenizeRecords } from './examples.ts'
import { templates } from './templates.ts'
import { tokenizeOnce } from './token-cache.ts'

const tokenizer = TextTokenizer.load(join(builtInModels, 'rankscope-mini'), 768)
const records = taskRecords('choice', 'train', 1000, 0)
/** Short enough that some examples are cut and some lose all their labels. */
const maxLength = 34

describe('tokenised records', () => {
  let folder = ''
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'token-cache-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const once = (
    changes: { template?: 'plain' | 'alpaca'; maxLength?: number; records?: typeof records } = {},
  ) =>
    tokenizeOnce(
      changes.records ?? records,
      templates[changes.template ?? 'plain'],
      tokenizer,
      changes.maxLength ?? maxLength,
      folder,
    )

  it('are the same from the cache as without it: ids, labels, what was cut and what was dropped', () => {
    const plain = tokenizeRecords(records, templates.plain, tokenizer, maxLength)
    expect(plain.truncated).toBeGreaterThan(0)
    expect(plain.dropped).toBeGreaterThan(0)
    expect(once()).toEqual({ ...plain, cacheProblem: null })
    expect(readdirSync(folder)).toHaveLength(1)
    expect(once()).toEqual({ ...plain, cacheProblem: null })
  })

  it('of another template, length or record are another file', () => {
    once()
    once({ template: 'alpaca', maxLength: 512 })
    once({ maxLength: 64 })
    once({ records: [...records.slice(0, -1), { ...records.at(-1)!, output: 'another' }] })
    expect(readdirSync(folder)).toHaveLength(4)
  })

  it('are tokenised again where the file was damaged', () => {
    const whole = once()
    const file = join(folder, readdirSync(folder)[0]!)
    const bytes = readFileSync(file)
    bytes[bytes.length - 5]! ^= 1
    writeFileSync(file, bytes)
    expect(once()).toEqual(whole)
    expect(once()).toEqual(whole)
  })

  it('are there without a cache, and where it cannot be written the reason is told', () => {
    const plain = tokenizeRecords(records, templates.plain, tokenizer, maxLength)
    expect(tokenizeOnce(records, templates.plain, tokenizer, maxLength, null)).toMatchObject(plain)
    const file = join(folder, 'file')
    writeFileSync(file, '')
    expect(tokenizeOnce(records, templates.plain, tokenizer, maxLength, file)).toMatchObject({
      ...plain,
      cacheProblem: expect.stringContaining('cannot be written'),
    })
  })
})
