/**
 * What K processes exchange while they train one run, one rank per device: one interface, siblings beside this file.
 *
 * Every rank calls the same operations in the same order with arrays of the same lengths. What comes back is equal in
 * every bit on every rank, so that weights which all ranks update alike stay alike.
 */
export interface Collective {
  /** 0 ≤ rank < size */
  readonly rank: number
  readonly size: number
  /** What this rank has been sent by the others so far: 4 (size − 1) bytes for each float that every rank gave. */
  readonly receivedBytes: number
  /** The values of all ranks one after the other, [size · length]. */
  allGather(values: Float32Array): Promise<Float32Array>
  /** `bytes`, of one length on every rank, become those of rank 0. */
  broadcast(bytes: Uint8Array): Promise<void>
  /** Resolves when every rank has called it. */
  barrier(): Promise<void>
  /** Ends the exchange; nothing may be called afterwards. */
  close(): Promise<void>
}

/** Largest part of a sum that is gathered at a time, in floats per rank. */
const chunkLength = 1 << 20

/** Σ over ranks in rank order: the same rounding everywhere, which a library's own reduction does not promise. */
export async function sumOverRanks(collective: Collective, values: Float32Array): Promise<Float32Array> {
  const total = new Float32Array(values.length)
  for (let start = 0; start < values.length; start += chunkLength) {
    const part = values.slice(start, start + chunkLength)
    const gathered = await collective.allGather(part)
    for (let i = 0; i < part.length; i++) {
      let sum = 0
      for (let rank = 0; rank < collective.size; rank++) sum += gathered[rank * part.length + i]!
      total[start + i] = sum
    }
  }
  return total
}

/** The same for a few numbers in float64. */
export async function sumNumbers(collective: Collective, values: readonly number[]): Promise<number[]> {
  const ranks = await gatherNumbers(collective, values)
  return values.map((_, i) => ranks.reduce((sum, own) => sum + own[i]!, 0))
}

/** A few numbers of every rank, by rank, as pairs of float32: a value and what its rounding lost. */
export async function gatherNumbers(collective: Collective, values: readonly number[]): Promise<number[][]> {
  const heads = values.map(Math.fround)
  const parts = [...heads, ...values.map((value, i) => value - heads[i]!)]
  const gathered = await collective.allGather(Float32Array.from(parts))
  return Array.from({ length: collective.size }, (_, rank) =>
    values.map((_, i) => {
      const start = rank * parts.length
      // A head that is not finite has no tail.
      const tail = gathered[start + values.length + i]!
      return gathered[start + i]! + (Number.isFinite(tail) ? tail : 0)
    }),
  )
}

/** What the lowest rank that has something to say says, on every rank; null where none has. */
export async function firstText(collective: Collective, own: string | null): Promise<string | null> {
  const bytes = new TextEncoder().encode(own ?? '')
  const lengths = (await gatherNumbers(collective, [own === null ? -1 : bytes.length])).map(
    ([length]) => length!,
  )
  const speaker = lengths.findIndex((length) => length >= 0)
  if (speaker < 0) return null
  const longest = Math.max(...lengths, 1)
  const letters = new Float32Array(longest)
  letters.set(bytes)
  const all = await collective.allGather(letters)
  const start = speaker * longest
  return new TextDecoder().decode(Uint8Array.from(all.subarray(start, start + lengths[speaker]!)))
}
