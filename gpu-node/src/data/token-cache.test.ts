import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { builtInModels } from '../daemon/daemon.ts'
import { taskRecords } from '../tasks/index.ts'
import { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { tokenizeRecords } from './examples.ts'
import type { InstructionRecord } from './records.ts'
import { createTemplate } from './templates.ts'
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

  const template = (name: 'plain' | 'alpaca') =>
    createTemplate(name, tokenizer, () => {
      throw new Error('no chat template is asked for')
    })
  const plainly = () => tokenizeRecords(records, template('plain'), maxLength)

  const once = (
    changes: {
      template?: 'plain' | 'alpaca'
      maxLength?: number
      records?: readonly InstructionRecord[]
      folder?: string | null
      heldRecords?: number
    } = {},
  ) =>
    tokenizeOnce(
      async function* () {
        yield changes.records ?? records
      },
      {
        template: template(changes.template ?? 'plain'),
        tokenizer,
        maxLength: changes.maxLength ?? maxLength,
        folder: changes.folder === undefined ? folder : changes.folder,
        heldRecords: changes.heldRecords ?? 2000,
      },
    )

  it('are the same from the cache as without it: ids, labels, records, what was cut and what was dropped', async () => {
    const plain = plainly()
    expect(plain.truncated).toBeGreaterThan(0)
    expect(Object.keys(plain.skipped)).toHaveLength(1)
    expect(await once()).toEqual({ ...plain, cacheProblem: null })
    expect(readdirSync(folder)).toHaveLength(1)
    expect(await once()).toEqual({ ...plain, cacheProblem: null })
  })

  it('of conversations keep the labels of every answer', async () => {
    const turn = (role: 'user' | 'assistant', content: string) => ({
      role,
      content,
      trained: role === 'assistant',
    })
    const talks = records.map((record) => ({
      ...record,
      turns: [
        turn('user', 'hi'),
        turn('assistant', 'hello'),
        turn('user', record.instruction),
        turn('assistant', record.output),
      ],
    }))
    const plain = tokenizeRecords(talks, template('plain'), 128)
    const [{ labels }] = plain.examples as [(typeof plain.examples)[0]]
    // Two stretches are trained on, and two are not.
    expect(labels.filter((label, at) => (label === -100) !== (labels[at - 1] === -100))).toHaveLength(4)
    await once({ records: talks, maxLength: 128 })
    expect(await once({ records: talks, maxLength: 128 })).toEqual({ ...plain, cacheProblem: null })
    expect(readdirSync(folder)).toHaveLength(1)
  })

  it('of more records than are held between two passes are the same', async () => {
    const set = await once({ heldRecords: 500 })
    expect(set).toEqual({ ...plainly(), cacheProblem: null })
    expect(await once({ heldRecords: 500 })).toEqual(set)
  })

  it('of a file that changes between the passes are refused', async () => {
    let pass = 0
    const read = async function* () {
      yield pass++ === 0 ? records : [...records.slice(0, -1), records[1]!]
    }
    const settings = { template: template('plain'), tokenizer, maxLength, folder, heldRecords: 500 }
    await expect(tokenizeOnce(read, settings)).rejects.toThrow(/changed while it was read/)
  })

  it('of another template, length or record are another file', async () => {
    await once()
    await once({ template: 'alpaca', maxLength: 512 })
    await once({ maxLength: 64 })
    await once({ records: [...records.slice(0, -1), { ...records.at(-1)!, output: 'another' }] })
    expect(readdirSync(folder)).toHaveLength(4)
  })

  it('are tokenised again where the file was damaged', async () => {
    const whole = await once()
    const file = join(folder, readdirSync(folder)[0]!)
    const bytes = readFileSync(file)
    bytes[bytes.length - 5]! ^= 1
    writeFileSync(file, bytes)
    expect(await once()).toEqual(whole)
    expect(await once()).toEqual(whole)
  })

  it('are there without a cache, and where it cannot be written the reason is told', async () => {
    expect(await once({ folder: null })).toMatchObject(plainly())
    const file = join(folder, 'file')
    writeFileSync(file, '')
    expect(await once({ folder: file })).toMatchObject({
      ...plainly(),
      cacheProblem: expect.stringContaining('cannot be written'),
    })
  })
})
