/**
 * Packing: plain text cut into blocks of one length, and examples put together into rows, so that no row is padding. The
 * time is that of reading: a text of gigabytes without a blank line is tokenised in pieces.
 */

import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { type ExampleSet, ignoredLabel, requireExamples, type TokenExample } from './examples.ts'
import { readLines } from './read-text.ts'
import { soundText, type Tally } from './tally.ts'

/** A document of more characters is tokenised in pieces, cut at the end of a line where there is one. */
const longestPiece = 4 * 2 ** 20

/** A document, or a piece of one. */
interface TextPart {
  readonly text: string
  readonly begins: boolean
  readonly ends: boolean
}

/**
 * Plain text, documents separated by blank lines, packed into blocks; at most `limit` blocks. Throws DATA_NOT_FOUND,
 * DATA_BROKEN or DATA_EMPTY.
 */
export async function readTextFile(
  file: string,
  tokenizer: TextTokenizer,
  blockLength: number,
  tally: Tally,
  limit = Number.POSITIVE_INFINITY,
  longest = longestPiece,
): Promise<ExampleSet & { leftOver: number }> {
  const packer = new BlockPacker(tokenizer, blockLength, limit)
  for await (const part of documents(file, tally, longest)) {
    packer.add(part)
    if (packer.full) break
  }
  const { examples, leftOver } = packer.finish()
  const set = { examples, origins: examples.map((_, index) => index), truncated: 0, skipped: {}, leftOver }
  return requireExamples(set, file)
}

/** Documents, whose outer white space goes; a line of white space alone ends one. */
async function* documents(file: string, tally: Tally, longest: number): AsyncGenerator<TextPart> {
  let lines: string[] = []
  let length = 0
  let begins = true
  let place = `${file}:1`
  const take = (ends: boolean, end = ''): TextPart | null => {
    const joined = lines.join('\n')
    const whole = begins ? joined.trimStart() : joined
    const text = ends ? whole.trimEnd() : whole + end
    lines = []
    length = 0
    if (begins && ends && text === '') return null
    if (begins) tally.read++
    const part = { text: soundText(text, 'text', place, tally), begins, ends }
    begins = ends
    return part
  }
  for await (const found of readLines(file)) {
    for (const { text, line } of found) {
      if (text.trim() === '') {
        const part = take(true)
        if (part) yield part
        continue
      }
      if (begins && lines.length === 0) place = `${file}:${line}`
      const pieces = text.length > longest ? cutAtSpaces(text, longest) : [text]
      for (const [index, piece] of pieces.entries()) {
        lines.push(piece)
        length += piece.length + 1
        const isWholeLine = index === pieces.length - 1
        if (isWholeLine && length < longest) continue
        tally.remark(`longer than ${longest} characters: tokenised in pieces`, place)
        const part = take(false, isWholeLine ? '\n' : '')
        if (part) yield part
      }
    }
  }
  const part = take(true)
  if (part) yield part
}

/** A space stays with the word after it, as tokenizers have it; a character of two units stays whole. */
function cutAtSpaces(line: string, longest: number): string[] {
  const pieces: string[] = []
  for (let start = 0; start < line.length; ) {
    const most = start + longest
    const space = line.lastIndexOf(' ', most)
    const isHalf = (line.codePointAt(most - 1) ?? 0) > 0xffff
    const end = most >= line.length ? line.length : space > start ? space : isHalf ? most + 1 : most
    pieces.push(line.slice(start, end))
    start = end
  }
  return pieces
}

/**
 * Language-model examples of exactly `blockLength` tokens, every label present: the documents one after another,
 * each closed by the end token, cut without padding. What does not fill a last block is left out, unless it is
 * all there is. No more documents are taken than `maxExamples` blocks need.
 */
export function packTexts(
  texts: Iterable<string>,
  tokenizer: TextTokenizer,
  blockLength: number,
  maxExamples = Number.POSITIVE_INFINITY,
): TokenExample[] {
  const packer = new BlockPacker(tokenizer, blockLength, maxExamples)
  for (const text of texts) {
    packer.add({ text, begins: true, ends: true })
    if (packer.full) break
  }
  return packer.finish().examples
}

class BlockPacker {
  readonly #tokenizer: TextTokenizer
  readonly #blockLength: number
  readonly #maxExamples: number
  readonly #examples: TokenExample[] = []
  #block: Int32Array
  #filled = 0

  constructor(tokenizer: TextTokenizer, blockLength: number, maxExamples: number) {
    this.#tokenizer = tokenizer
    this.#blockLength = blockLength
    this.#maxExamples = maxExamples
    this.#block = new Int32Array(blockLength)
  }

  get full(): boolean {
    return this.#examples.length >= this.#maxExamples
  }

  add({ text, begins, ends }: TextPart): void {
    // Only a document's beginning is marked as one.
    for (const id of this.#tokenizer.encode(text, { begin: begins })) this.#push(id)
    if (ends) this.#push(this.#tokenizer.endTokenId)
  }

  finish(): { examples: TokenExample[]; leftOver: number } {
    if (this.#examples.length > 0 || this.#filled <= 1)
      return { examples: this.#examples, leftOver: this.#filled }
    const inputIds = this.#block.slice(0, this.#filled)
    return { examples: [{ inputIds, labels: inputIds }], leftOver: 0 }
  }

  #push(id: number): void {
    if (this.full) return
    this.#block[this.#filled++] = id
    if (this.#filled < this.#blockLength) return
    this.#examples.push({ inputIds: this.#block, labels: this.#block })
    this.#block = new Int32Array(this.#blockLength)
    this.#filled = 0
  }
}

/** Rows that examples may still be added to; more of them fill rows better and take longer to look through. */
const openRows = 32

/**
 * Whole examples put together into rows of at most `maxLength` tokens, in their order: each goes to the row, among the
 * last ones begun, that it fills best. The first token of an example is not predicted from the one before it. Attention
 * is not cut between them: an example sees those before it in its row.
 */
export function packExamples(examples: readonly TokenExample[], maxLength: number): TokenExample[] {
  const rows: { parts: TokenExample[]; length: number }[] = []
  const open: typeof rows = []
  for (const example of examples) {
    const { length } = example.inputIds
    let best: (typeof rows)[number] | null = null
    for (const row of open)
      if (row.length + length <= maxLength && row.length > (best?.length ?? 0)) best = row
    if (best === null) {
      best = { parts: [], length: 0 }
      rows.push(best)
      open.push(best)
      if (open.length > openRows) open.shift()
    }
    best.parts.push(example)
    best.length += length
  }
  return rows.map(({ parts, length }) => {
    if (parts.length === 1) return parts[0] as TokenExample
    const inputIds = new Int32Array(length)
    const labels = new Int32Array(length)
    let at = 0
    for (const part of parts) {
      inputIds.set(part.inputIds, at)
      labels.set(part.labels, at)
      if (at > 0) labels[at] = ignoredLabel
      at += part.inputIds.length
    }
    return { inputIds, labels }
  })
}
