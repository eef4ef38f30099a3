/**
 * Files of records of a run that goes on from a checkpoint. What the files say about steps beyond it will be said again and
 * goes (rule P9 of docs/protocol.md, on disk); so does what a killed process left of its last line.
 */
import { closeSync, existsSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs'
import { whileWriting } from '@rankscope/protocol'

export interface Kept {
  /** Lines that were no JSON. */
  readonly unreadable: number
  /** Lines about later steps. */
  readonly superseded: number
}

const chunkBytes = 1 << 20

/**
 * Rewrites `file` without lines that are no JSON objects and those whose `step` is beyond `step`; `onKept` sees the others.
 * The file is whole at every moment: written aside, then renamed. It may be of any size.
 */
export function cutLines(file: string, step: number, onKept: (line: Record<string, unknown>) => void): Kept {
  const counts = { unreadable: 0, superseded: 0 }
  if (!existsSync(file)) return counts
  const aside = `${file}.${process.pid}.tmp`
  const out = openSync(aside, 'w')
  try {
    for (const bytes of lines(file)) {
      const line = parsed(bytes)
      if (line === null) counts.unreadable++
      else if (typeof line['step'] === 'number' && line['step'] > step) counts.superseded++
      else {
        whileWriting(file, () => writeWhole(out, bytes))
        onKept(line)
      }
    }
    renameSync(aside, file)
    return counts
  } finally {
    closeSync(out)
    rmSync(aside, { force: true })
  }
}

/** Every line with its end, empty ones left out; the last may have none. */
function* lines(file: string): Generator<Buffer> {
  const input = openSync(file, 'r')
  try {
    let rest: Buffer = Buffer.alloc(0)
    const chunk = Buffer.alloc(chunkBytes)
    for (;;) {
      const count = readSync(input, chunk)
      const bytes = Buffer.concat([rest, chunk.subarray(0, count)])
      let start = 0
      for (let end = bytes.indexOf('\n'); end >= 0; end = bytes.indexOf('\n', start)) {
        if (end > start) yield bytes.subarray(start, end + 1)
        start = end + 1
      }
      rest = bytes.subarray(start)
      if (count > 0) continue
      if (rest.length > 0) yield rest
      return
    }
  } finally {
    closeSync(input)
  }
}

/** A line that ends is whole; one that does not was cut, even where it happens to be JSON. */
function parsed(bytes: Buffer): Record<string, unknown> | null {
  if (bytes.at(-1) !== 0x0a) return null
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'))
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null
  } catch {
    return null
  }
}

function writeWhole(file: number, bytes: Buffer): void {
  for (let start = 0; start < bytes.length; ) start += writeSync(file, bytes, start)
}
