/** Files of a folder as a zip and back, as streams: neither direction holds more than one file. */
import { RankscopeError } from '@rankscope/protocol'
import { Unzip, UnzipInflate, Zip, ZipDeflate } from 'fflate'

export type ZippedFile = { path: string; content: Uint8Array }

/** A zip without its 64-bit extension ends there. */
const largestZip = 0xffff_ffff
const mostFiles = 0xffff
/** Of one file, unpacked: more than any that is written here, and no bomb. */
const largestFile = 64 * 2 ** 20

export async function* zipped(files: AsyncIterable<ZippedFile>): AsyncGenerator<Uint8Array> {
  let ready: Uint8Array[] = []
  let size = 0
  let count = 0
  const zip = new Zip((error, chunk) => {
    if (error) throw error
    ready.push(chunk)
  })
  const taken = () => {
    const chunks = ready
    ready = []
    for (const chunk of chunks) size += chunk.byteLength
    if (size > largestZip || count > mostFiles)
      throw new RankscopeError(
        'FILE_UNUSABLE',
        `${count} files of ${size} bytes are too much for one zip file`,
        {
          hint: 'export fewer runs, or the runs’ scalars one by one',
        },
      )
    return chunks
  }
  for await (const { path, content } of files) {
    const entry = new ZipDeflate(path, { level: 3 })
    zip.add(entry)
    entry.push(content, true)
    count++
    yield* taken()
  }
  zip.end()
  yield* taken()
}

/** In the order of the zip. MESSAGE_INVALID where it is none, or ends before its end. */
export async function* unzipped(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<ZippedFile> {
  const done: ZippedFile[] = []
  let open = 0
  const unzip = new Unzip((file) => {
    const chunks: Uint8Array[] = []
    let size = 0
    open++
    file.ondata = (error, chunk, isLast) => {
      if (error) throw broken(`${file.name}: ${error.message}`, error)
      chunks.push(chunk)
      size += chunk.byteLength
      if (size > largestFile) throw broken(`${file.name} is larger than ${largestFile} bytes`)
      if (!isLast) return
      open--
      done.push({ path: file.name, content: Buffer.concat(chunks) })
    }
    file.start()
  })
  unzip.register(UnzipInflate)
  let tail = Buffer.alloc(0)
  for await (const chunk of bytes) {
    tail = Buffer.concat([tail, chunk]).subarray(-endLength)
    try {
      unzip.push(chunk, false)
    } catch (error) {
      throw error instanceof RankscopeError ? error : broken(String(error), error)
    }
    yield* done.splice(0)
  }
  if (open > 0 || !tail.subarray(-endLength).equals(Buffer.concat([endMark, tail.subarray(4)])))
    throw broken('it is no zip file, or it was cut off')
}

/** The record at the end of a zip without a comment. */
const endLength = 22
const endMark = Buffer.from([0x50, 0x4b, 5, 6])

function broken(what: string, cause?: unknown): RankscopeError {
  return new RankscopeError('MESSAGE_INVALID', `the zip cannot be read: ${what}`, {
    cause,
    hint: 'take the file as it was exported',
  })
}
