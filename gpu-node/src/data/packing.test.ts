import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tokenizerConfig, trainTokenizer } from '../pretrain/bpe.ts'
import { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { packExamples, packTexts, readTextFile } from './packing.ts'
import { Tally } from './tally.ts'

const tokenizer = TextTokenizer.from(trainTokenizer(['one day a cat ran'], 300), tokenizerConfig(64), 300)
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'packing-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function read(content: string | Buffer, blockLength: number, limit?: number, tally = new Tally()) {
  const file = join(folder, 'a.txt')
  writeFileSync(file, content)
  return readTextFile(file, tokenizer, blockLength, tally, limit)
}
const idsOf = (examples: readonly { inputIds: Int32Array }[]) =>
  examples.flatMap(({ inputIds }) => [...inputIds])

describe('packed text', () => {
  const text = 'One day a cat ran.\n\nThe dog\nslept.\n\n\nThe end.'
  const documents = ['One day a cat ran.', 'The dog\nslept.', 'The end.']
  const whole = documents.flatMap((part) => [...tokenizer.encode(part), tokenizer.endTokenId])

  it('loses nothing but the tail, which is counted, and separates documents by the end token', async () => {
    const tally = new Tally()
    const { examples, leftOver } = await read(text, 6, undefined, tally)
    expect(examples.every(({ inputIds, labels }) => inputIds.length === 6 && labels === inputIds)).toBe(true)
    expect(idsOf(examples)).toEqual(whole.slice(0, Math.floor(whole.length / 6) * 6))
    expect(leftOver).toBe(whole.length % 6)
    expect(tally.read).toBe(3)
    expect(packTexts(documents, tokenizer, 6)).toEqual(examples)
    expect(idsOf((await read(text, 400)).examples)).toEqual(whole)
  })

  it('is the same with a byte order mark, with lines that end in CR LF, and with blank lines of spaces', async () => {
    const variant = `\uFEFF  ${text.replaceAll('\n\n', '\n \t\n').replaceAll('\n', '\r\n')}\r\n\r\n`
    expect(idsOf((await read(variant, 400)).examples)).toEqual(whole)
  })

  it('is read as far as its limit', async () => {
    const { examples } = await read(text, 6, 2)
    expect(idsOf(examples)).toEqual(whole.slice(0, 12))
  })

  it.each([
    ['Latin-1', Buffer.from('One\n\ncaf\xe9 x\n', 'latin1'), /a.txt:3: .*not UTF-8/],
    ['UTF-16', Buffer.from('One day', 'utf16le'), /a.txt:1: .*NUL/],
    ['UTF-16 with its mark', Buffer.from('\uFEFFOne day', 'utf16le'), /a.txt:1: .*UTF-16/],
  ])('%s is refused with its line', async (_, content, message) => {
    await expect(read(content, 6)).rejects.toThrow(
      expect.objectContaining({ code: 'DATA_BROKEN', message: expect.stringMatching(message) }),
    )
  })

  it('a file of white space is DATA_EMPTY', async () => {
    await expect(read(' \n\n', 6)).rejects.toThrow(expect.objectContaining({ code: 'DATA_EMPTY' }))
  })

  it.each(['\n', ' '])(
    'a document longer than a piece keeps all its text, cut at %j, and that is told',
    async (separator) => {
      const words = Array.from({ length: 5000 }, (_, i) => `word${i % 7}`).join(separator)
      const file = join(folder, 'long.txt')
      writeFileSync(file, `${words}\n\nnext`)
      const tally = new Tally()
      const { examples } = await readTextFile(file, tokenizer, 100_000, tally, undefined, 1000)
      const ids = idsOf(examples)
      expect(tokenizer.decode(ids)).toBe(`${words}next`)
      // One end per document, and pieces of one document have none between them.
      expect(ids.filter((id) => id === tokenizer.endTokenId)).toHaveLength(2)
      expect(tally.read).toBe(2)
      expect(tally.notes).toEqual([
        expect.stringMatching(/^1 of 2 records: longer than 1000 characters: tokenised in pieces/),
      ])
      const whole = await readTextFile(file, tokenizer, 100_000, new Tally())
      expect(ids).toEqual(idsOf(whole.examples))
    },
  )

  it('a line without a space is cut between characters, not within one', async () => {
    const file = join(folder, 'faces.txt')
    writeFileSync(file, '😀'.repeat(1001))
    const { examples } = await readTextFile(file, tokenizer, 100_000, new Tally(), undefined, 101)
    expect(tokenizer.decode(idsOf(examples))).toBe('😀'.repeat(1001))
  })

  it('takes time in proportion to its length: four times the text, not sixteen times the time', () => {
    // A tokenizer that costs nothing leaves the packing itself.
    const ids = Array.from({ length: 4_000_000 }, (_, i) => i % 50)
    const free = {
      encode: (count: string) => ids.slice(0, Number(count)),
      endTokenId: 1,
    } as unknown as TextTokenizer
    const time = (count: number) => {
      const start = performance.now()
      expect(packTexts([String(count)], free, 64)).toHaveLength(Math.floor((count + 1) / 64))
      return performance.now() - start
    }
    time(1_000_000)
    // Cutting blocks from the front of one array took 40 s for this.
    expect(time(4_000_000)).toBeLessThan(3000)
  })
})

describe('packed examples', () => {
  const example = (length: number, start: number) => {
    const inputIds = Int32Array.from({ length }, (_, i) => start + i)
    return { inputIds, labels: inputIds.map((id, i) => (i < 2 ? -100 : id)) }
  }

  it('stay whole, in rows no longer than the maximum, each exactly once', () => {
    const examples = [5, 3, 6, 2, 7, 4, 3, 8].map((length, i) => example(length, 10 * i))
    const rows = packExamples(examples, 8)
    expect(rows.every(({ inputIds }) => inputIds.length <= 8)).toBe(true)
    expect(rows).toHaveLength(5)
    expect(idsOf(rows).sort((a, b) => a - b)).toEqual(idsOf(examples).sort((a, b) => a - b))
    expect([...rows[0]!.inputIds]).toEqual([0, 1, 2, 3, 4, 10, 11, 12])
    expect([...rows[0]!.labels]).toEqual([-100, -100, 2, 3, 4, -100, -100, 12])
  })

  it('the first token of one is not predicted from the one before', () => {
    const text = { inputIds: Int32Array.of(1, 2, 3), labels: Int32Array.of(1, 2, 3) }
    const [row] = packExamples([text, text], 6)
    expect([...row!.labels]).toEqual([1, 2, 3, -100, 2, 3])
  })
})
