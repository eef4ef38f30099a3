/**
 * The checkpoint that a run over several hosts goes on from: it lies on the host of rank 0 alone, which chooses one that is
 * whole and sends it to all; the first rank of each other host writes it where the ranks there find it.
 */
import { closeSync, mkdirSync, openSync, readdirSync, rmSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { RankscopeError } from '@rankscope/protocol'
import { receivedFolder } from '../checkpoint-folders.ts'
import type { Collective } from '../collectives/collective.ts'
import { readFully, writeDurably } from '../durable-files.ts'
import { roomOnDisk } from './disk-room.ts'
import type { RunEnvironment } from './environment.ts'
import { newestCheckpoint } from './prepare.ts'
import type { RankOrder } from './rank-host.ts'

/** `path`: on the host of rank 0. */
type Chosen = { path: string; files: { name: string; bytes: number }[] } | null

/** Sent at a time. */
const pieceBytes = 8 * 2 ** 20

/**
 * What the environment of this rank's run is to say of checkpoints: every rank goes on from the same one, whatever an
 * earlier attempt left on its host. Throws CHECKPOINT_BROKEN on rank 0 where none is whole.
 */
export async function shareCheckpoint(
  collective: Collective,
  { config, environment }: Pick<RankOrder, 'config' | 'environment'>,
  firstRankHere: number,
  surroundings: Pick<RunEnvironment, 'control' | 'emit'>,
): Promise<Pick<RunEnvironment, 'checkpointFrom' | 'formerPlaces'>> {
  const around = { ...environment, ...surroundings }
  const leads = collective.rank === 0
  const own = leads ? (newestCheckpoint(config, around)?.path ?? null) : null
  const chosen = await shareJson<Chosen>(collective, own === null ? null : { path: own, files: filesOf(own) })
  const formerPlaces = leads ? (environment.formerPlaces ?? []) : []
  if (chosen === null) return { checkpointFrom: null, formerPlaces }
  const isSent = firstRankHere > 0
  const place = isSent ? join(environment.folder, receivedFolder, basename(chosen.path)) : chosen.path
  const writes = isSent && collective.rank === firstRankHere
  if (writes) {
    rmSync(place, { recursive: true, force: true })
    mkdirSync(place, { recursive: true })
  }
  for (const { name, bytes } of chosen.files) {
    const send = (take: (piece: Uint8Array) => Promise<void>) =>
      broadcastFile(collective, leads ? join(place, name) : null, bytes, take)
    if (writes) await writeDurably(join(place, name), send, roomOnDisk(around))
    else await send(async () => {})
  }
  // The others of the host open it when it is whole.
  await collective.barrier()
  return { checkpointFrom: place, formerPlaces }
}

function filesOf(folder: string) {
  return readdirSync(folder).map((name) => ({ name, bytes: statSync(join(folder, name)).size }))
}

/** `file`: on rank 0, null elsewhere. */
async function broadcastFile(
  collective: Collective,
  file: string | null,
  bytes: number,
  take: (piece: Uint8Array) => Promise<void>,
): Promise<void> {
  const descriptor = file === null ? null : openSync(file, 'r')
  try {
    for (let sent = 0; sent < bytes; sent += pieceBytes) {
      const length = Math.min(pieceBytes, bytes - sent)
      const piece = new Uint8Array(length)
      if (descriptor !== null && readFully(descriptor, piece, sent) < length)
        throw new RankscopeError('CHECKPOINT_BROKEN', `${file} became shorter while it was sent`)
      await collective.broadcast(piece)
      await take(piece)
    }
  } finally {
    if (descriptor !== null) closeSync(descriptor)
  }
}

async function shareJson<Value>(collective: Collective, value: Value): Promise<Value> {
  const text = new TextEncoder().encode(JSON.stringify(value))
  const length = new Uint8Array(new Uint32Array([text.length]).buffer)
  await collective.broadcast(length)
  const bytes = collective.rank === 0 ? text : new Uint8Array(new Uint32Array(length.buffer)[0]!)
  await collective.broadcast(bytes)
  return JSON.parse(new TextDecoder().decode(bytes)) as Value
}
