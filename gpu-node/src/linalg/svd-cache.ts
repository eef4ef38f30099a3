/**
 * Leading singular triplets on disk, so that the second start of a model decomposes nothing.
 *
 * A file belongs to one matrix (by content) and one way of decomposing; the highest rank computed so far is kept,
 * and answers every lower one by its prefix. Layout: a header, then u, s and v as float64.
 */
import { join } from 'node:path'
import { z } from 'zod'
import {
  bytesOf,
  type CacheFile,
  type CacheLocation,
  digestOf,
  discard,
  readCacheFile,
  readCacheFileAside,
  writeCacheFile,
} from '../disk-cache.ts'
import type { LinearAlgebra } from './linear-algebra.ts'
import { leadingColumns } from './matrix.ts'
import { defaultIterations, refuseRank, type TopSvd, type TopSvdOptions } from './top-svd.ts'

/** Raised when results of the same input would change. */
const version = 3

const family = '.svd'

const headerSchema = z.strictObject({
  version: z.literal(version),
  rank: z.int().min(1),
  rows: z.int().min(1),
  columns: z.int().min(1),
})

interface CacheSubject {
  readonly w: Float32Array
  readonly rows: number
  readonly columns: number
  readonly rank: number
  readonly options: TopSvdOptions
  /** Who decomposes: results of two differ in their last digits, and where values are equal in more. */
  readonly algebra: LinearAlgebra['name']
}

export interface CacheEntry {
  /** The triplets of the asked rank, or null where they are not there (any more). */
  read(): TopSvd | null
  /** The same, while this thread does something else. */
  readAside(): Promise<TopSvd | null>
  /** Keeps them; returns what went wrong, or null. A cache that cannot be written must not stop a run. */
  write(result: TopSvd): string | null
}

/** The place of one matrix; hashes it once. */
export function cacheEntry(location: CacheLocation, subject: CacheSubject): CacheEntry {
  refuseRank(subject.rows, subject.columns, subject.rank)
  const file = join(location.folder, fileName(subject))
  return {
    read: () => unpacked(file, readCacheFile(file), subject),
    readAside: async () => unpacked(file, await readCacheFileAside(file), subject),
    write: ({ u, s, v }) => {
      const { rows, columns } = subject
      return writeCacheFile(location, file, { version, rank: s.length, rows, columns }, [u, s, v], family)
    },
  }
}

function unpacked(
  file: string,
  found: CacheFile | null,
  { rows, columns, rank }: CacheSubject,
): TopSvd | null {
  if (!found) return null
  const header = headerSchema.safeParse(found.header)
  if (!header.success || found.body.length !== 8 * header.data.rank * (rows + 1 + columns)) {
    discard(file)
    return null
  }
  const stored = header.data.rank
  if (stored < rank) return null
  const values = new Float64Array(found.body.buffer, found.body.byteOffset, found.body.length / 8)
  const [endOfU, endOfS] = [rows * stored, rows * stored + stored]
  return {
    u: leadingColumns(values.subarray(0, endOfU), rows, stored, rank),
    s: values.slice(endOfU, endOfU + rank),
    v: leadingColumns(values.subarray(endOfS), columns, stored, rank),
  }
}

function fileName({ w, rows, columns, rank, options, algebra }: CacheSubject): string {
  const way = `${algebra}-${variant(options, rank)}`
  return `${digestOf([bytesOf(w)]).slice(0, 32)}-${rows}x${columns}-${way}${family}`
}

/** A full decomposition has the same leading triplets whatever the rank; a sketch is as wide as its rank asks for. */
function variant(options: TopSvdOptions, rank: number): string {
  switch (options.kind) {
    case 'full':
      return 'full'
    case 'randomized': {
      const { iterations = defaultIterations, oversample = 'auto', seed = 0 } = options
      return `randomized-${rank}-${iterations}-${oversample}-${seed}`
    }
    default:
      return options.kind satisfies never
  }
}
