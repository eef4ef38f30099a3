/** Files that are whole or not there, whatever happens: written aside, on disk before they take their name. */
import { createHash } from 'node:crypto'
import {
  closeSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { whileWriting } from '@rankscope/protocol'

/** Hears of a write that failed: returns when it may be tried again, or throws. */
export type RoomOnDisk = (error: unknown) => Promise<void>

/** Waits for nothing. */
export const noRoom: RoomOnDisk = async (error) => {
  throw error
}

/**
 * `fill` puts bytes into a file that takes the name `file` when it is complete and on disk. Where that fails nothing is
 * left behind, and the error names the file. A write that finds no room goes on where it stopped as soon as `room`
 * returns: whoever makes the bytes is asked for them once.
 */
export async function writeDurably(
  file: string,
  fill: (put: (bytes: Uint8Array) => Promise<void>) => Promise<void>,
  room: RoomOnDisk = noRoom,
): Promise<void> {
  const temporary = nameAside(file)
  try {
    const descriptor = whileWriting(file, () => openSync(temporary, 'w'))
    try {
      await fill((bytes) => putAll(file, descriptor, bytes, room))
      whileWriting(file, () => fsyncSync(descriptor))
    } finally {
      closeSync(descriptor)
    }
    takeName(temporary, file)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}

/** The same for a short text, at once. */
export function writeTextDurably(file: string, text: string): void {
  const temporary = nameAside(file)
  try {
    whileWriting(file, () => {
      const descriptor = openSync(temporary, 'w')
      try {
        writeFileSync(descriptor, text)
        fsyncSync(descriptor)
      } finally {
        closeSync(descriptor)
      }
    })
    takeName(temporary, file)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}

const nameAside = (file: string) => `${file}.${process.pid}.tmp`

async function putAll(file: string, descriptor: number, bytes: Uint8Array, room: RoomOnDisk): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    try {
      const length = Math.min(bytes.length - done, 2 ** 30)
      done += whileWriting(file, () => writeSync(descriptor, bytes, done, length))
    } catch (error) {
      await room(error)
    }
  }
}

function takeName(temporary: string, file: string): void {
  renameSync(temporary, file)
  syncFolder(dirname(file))
}

/** Makes sure that names given or taken in the folder outlast a loss of power. */
export function syncFolder(folder: string): void {
  // Windows cannot open a folder, and needs no such thing.
  if (process.platform === 'win32') return
  const descriptor = openSync(folder, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** Fills `bytes` from `position` on, however few a single read brings; how many there were before the file ended. */
export function readFully(descriptor: number, bytes: Uint8Array, position: number): number {
  let done = 0
  while (done < bytes.length) {
    const read = readSync(descriptor, bytes, done, Math.min(bytes.length - done, 2 ** 30), position + done)
    if (read === 0) break
    done += read
  }
  return done
}

const chunkBytes = 4 * 2 ** 20

/** Size and SHA-256 of a file as it is read back. */
export function fingerprint(file: string): { bytes: number; sha256: string } {
  const hash = createHash('sha256')
  const chunk = Buffer.allocUnsafe(chunkBytes)
  const descriptor = openSync(file, 'r')
  let bytes = 0
  try {
    for (;;) {
      const read = readSync(descriptor, chunk, 0, chunkBytes, null)
      if (read === 0) return { bytes, sha256: hash.digest('hex') }
      hash.update(chunk.subarray(0, read))
      bytes += read
    }
  } finally {
    closeSync(descriptor)
  }
}
