/** Our MessagePack against another implementation, each reading what the other wrote; and bytes that are none. */
import { isDeepStrictEqual } from 'node:util'
import { decode, encode } from '@msgpack/msgpack'
import { decodeMessage, encodeMessage } from '@rankscope/protocol'
import { Chance, mutated, randomValue } from './random.ts'

export type MessageCounts = {
  readBack: number
  read: number
  broken: { refused: number; taken: number }
}

/** Throws at the first difference, with the value. `count` values go each way, and as many broken messages. */
export function fuzzMessages(seed: number, count: number): MessageCounts {
  const chance = new Chance(seed)
  const counts = { readBack: 0, read: 0, broken: { refused: 0, taken: 0 } }
  for (let turn = 0; turn < count; turn++) {
    const value = randomValue(chance)
    const ours = encodeMessage(value)
    // The other one strips a byte order mark from strings of more than 200 bytes, and writes -0 as 0.
    same(withoutMarks(value), withoutMarks(decode(ours)), 'what we wrote, read by the other')
    same(value, decodeMessage(ours), 'what we wrote, read by us')
    counts.readBack++
    same(withoutSign(value), withoutSign(decodeMessage(encode(value))), 'what the other wrote, read by us')
    counts.read++
    breakOne(mutated(chance, ours), counts.broken)
  }
  return counts
}

/** Refused by the errors that the codec names, or read to something that survives being written and read again. */
function breakOne(bytes: Uint8Array, counts: MessageCounts['broken']): void {
  let value: unknown
  try {
    value = decodeMessage(bytes)
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof TypeError)) throw error
    counts.refused++
    return
  }
  same(value, decodeMessage(encodeMessage(value)), 'broken bytes that we took')
  counts.taken++
}

function same(expected: unknown, found: unknown, what: string): void {
  if (!isDeepStrictEqual(expected, found))
    throw new Error(`${what} differs: ${JSON.stringify(expected).slice(0, 2000)}`)
}

const withoutSign = (value: unknown) => mapped(value, (leaf) => (Object.is(leaf, -0) ? 0 : leaf))
const withoutMarks = (value: unknown) =>
  mapped(value, (leaf) =>
    typeof leaf === 'string' && Buffer.byteLength(leaf) > 200 ? leaf.replace(/^\ufeff/, '') : leaf,
  )

function mapped(value: unknown, change: (leaf: unknown) => unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => mapped(item, change))
  if (value instanceof Uint8Array || typeof value !== 'object' || value === null) return change(value)
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [change(key) as string, mapped(item, change)]),
  )
}
