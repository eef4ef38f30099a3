/**
 * Data files as text: pieces of UTF-8 that are held to be UTF-8, and lines. Bytes in another encoding would be read as
 * replacement characters and trained on; they are refused with their line, and so are NULs, which UTF-16 is full of.
 */
import { isUtf8 } from 'node:buffer'
import { RankscopeError } from '@rankscope/protocol'
import { readBytes } from './open-file.ts'

/** A string holds at most half a billion characters; one record or line stays well below. */
export const longestRecord = 256 * 2 ** 20

export interface TextPiece {
  readonly text: string
  /** Number of the line in which the piece begins, from 1. */
  readonly line: number
}

/** Consecutive pieces of a file, without a byte order mark. Throws DATA_BROKEN, naming the line. */
export async function* readText(file: string): AsyncGenerator<TextPiece> {
  let line = 1
  let rest: Buffer = Buffer.alloc(0)
  let first = true
  function* decode(bytes: Buffer): Generator<TextPiece> {
    const fault = isUtf8(bytes) && !bytes.includes(0) ? null : firstFault(bytes)
    const text = bytes.toString('utf8', 0, fault?.lineStart)
    if (text !== '') yield { text: first && text.startsWith('\uFEFF') ? text.slice(1) : text, line }
    first = false
    line += count(bytes.subarray(0, fault?.lineStart), 0x0a)
    // What stands before has been handed over: a reader that needs no more never hears of it.
    if (fault) throw notUtf8(`${file}:${line}`, fault.what, fault.encoding)
  }
  for await (const bytes of readBytes(file)) {
    if (first && rest.length === 0) refuseWideEncoding(file, bytes)
    const joined = rest.length === 0 ? bytes : Buffer.concat([rest, bytes])
    const end = wholeCharacters(joined)
    rest = joined.subarray(end)
    yield* decode(joined.subarray(0, end))
  }
  yield* decode(rest)
}

/** The lines of a file, without their ends (LF or CR LF); an end after the last line begins no further one. */
export async function* readLines(file: string): AsyncGenerator<TextPiece[]> {
  let rest = ''
  let line = 1
  for await (const { text } of readText(file)) {
    const lines = text.split('\n')
    // Joined to what went before only now: a long line is not searched again with each piece.
    lines[0] = rest + (lines[0] as string)
    rest = lines.pop() as string
    if (rest.length > longestRecord) throw tooLong(`${file}:${line + lines.length}`, 'line')
    yield lines.map((content, index) => ({ text: withoutReturn(content), line: line + index }))
    line += lines.length
  }
  if (rest !== '') yield [{ text: withoutReturn(rest), line }]
}

export function tooLong(place: string, what: string): RankscopeError {
  return new RankscopeError('DATA_BROKEN', `${place}: a ${what} of more than ${longestRecord} characters`, {
    hint: 'One record, line or value may hold 256 Mi characters: split it.',
  })
}

function withoutReturn(text: string): string {
  return text.endsWith('\r') ? text.slice(0, -1) : text
}

/** How many of the bytes make whole characters: one that was cut waits for its other bytes. */
function wholeCharacters(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] as number
    if ((byte & 0xc0) === 0x80) continue
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
    return length > back ? bytes.length - back : bytes.length
  }
  return bytes.length
}

function refuseWideEncoding(file: string, bytes: Buffer): void {
  const mark = bytes.toString('hex', 0, 2)
  if (mark === 'fffe' || mark === 'feff')
    throw notUtf8(`${file}:1`, 'the file is UTF-16, not UTF-8', 'UTF-16')
}

/** The first line with a byte that no text in UTF-8 holds. */
function firstFault(bytes: Buffer): { lineStart: number; what: string; encoding: string } {
  for (let lineStart = 0; ; ) {
    const end = bytes.indexOf(0x0a, lineStart)
    const content = bytes.subarray(lineStart, end === -1 ? bytes.length : end)
    if (content.includes(0))
      return { lineStart, what: 'the line holds a NUL; UTF-16 and binary files do', encoding: 'UTF-16' }
    if (!isUtf8(content) || end === -1)
      return { lineStart, what: `the line is not UTF-8 (${firstWrong(content)})`, encoding: 'LATIN1' }
    lineStart = end + 1
  }
}

/** The first byte that belongs to no character, for the message. */
function firstWrong(bytes: Buffer): string {
  let low = 0
  let high = bytes.length
  // The longest beginning that is UTF-8, characters cut at its end aside.
  while (low < high) {
    const middle = (low + high + 1) >> 1
    const part = bytes.subarray(0, middle)
    if (isUtf8(part.subarray(0, wholeCharacters(part)))) low = middle
    else high = middle - 1
  }
  const at = wholeCharacters(bytes.subarray(0, low))
  return `byte 0x${(bytes[at] ?? 0).toString(16).padStart(2, '0')} at ${at + 1}`
}

function count(bytes: Buffer, value: number): number {
  let found = 0
  for (let at = bytes.indexOf(value); at !== -1; at = bytes.indexOf(value, at + 1)) found++
  return found
}

function notUtf8(place: string, what: string, encoding: string): RankscopeError {
  return new RankscopeError('DATA_BROKEN', `${place}: ${what}`, {
    hint: `Convert the file, e.g. iconv -f ${encoding} -t UTF-8.`,
  })
}
