/**
 * The checkpoint that a run over several hosts goes on from: it lies on the host of rank 0 alone, which sends it to all;
 * the first rank of each other host writes it where the ranks there find it.
 */
import { createWriteStream, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { MpiCollective } from '../collectives/mpi.ts'
import type { RankOrder } from './rank-host.ts'

/** Sent at a time. */
const pieceBytes = 8 * 2 ** 20

type List = { name: string; files: { name: string; bytes: number }[] } | null

/** What the environment of this rank's run is to say of checkpoints. */
export async function shareCheckpoint(
  collective: MpiCollective,
  { environment }: RankOrder,
  firstRankHere: number,
): Promise<{ checkpointFrom?: string | null }> {
  const { checkpointFrom, folder } = environment
  const leads = collective.rank === 0
  const list = await shareJson<List>(
    collective,
    leads && checkpointFrom !== null ? listOf(checkpointFrom) : null,
  )
  if (list === null) return {}
  const place = join(folder, 'received', list.name)
  const writes = firstRankHere > 0 && collective.rank === firstRankHere
  if (writes) {
    rmSync(place, { recursive: true, force: true })
    mkdirSync(place, { recursive: true })
  }
  for (const { name, bytes } of list.files) {
    const file = leads ? await open(join(checkpointFrom!, name)) : null
    const copy = writes ? createWriteStream(join(place, name)) : null
    for (let sent = 0; sent < bytes; sent += pieceBytes) {
      const piece = new Uint8Array(Math.min(pieceBytes, bytes - sent))
      await file?.read(piece, 0, piece.length, sent)
      await collective.broadcast(piece)
      if (copy)
        await new Promise((resolve, reject) =>
          copy.write(piece, (error) => (error ? reject(error) : resolve(null))),
        )
    }
    await file?.close()
    if (copy) await new Promise((resolve) => copy.end(resolve))
  }
  // The others of the host open it when it is whole.
  await collective.barrier()
  return firstRankHere > 0 ? { checkpointFrom: place } : {}
}

function listOf(folder: string): List {
  const files = readdirSync(folder).map((name) => ({ name, bytes: statSync(join(folder, name)).size }))
  return { name: basename(folder), files }
}

async function shareJson<Value>(collective: MpiCollective, value: Value): Promise<Value> {
  const text = new TextEncoder().encode(JSON.stringify(value))
  const length = new Uint8Array(new Uint32Array([text.length]).buffer)
  await collective.broadcast(length)
  const bytes = collective.rank === 0 ? text : new Uint8Array(new Uint32Array(length.buffer)[0]!)
  await collective.broadcast(bytes)
  return JSON.parse(new TextDecoder().decode(bytes)) as Value
}
