/** How a record’s body is kept: MessagePack, in which scalars name their series by interned keys. */
import { decodeMessage, encodeMessage, type RecordBody } from '@rankscope/protocol'

/** Texts of a body that are interned. */
export function namesOf(body: RecordBody): string[] {
  if (body.kind === 'scalars') return Object.keys(body.values)
  return body.kind === 'spectrum' ? [body.module] : []
}

export function encodeBody(body: RecordBody, keys: ReadonlyMap<string, number>): Uint8Array {
  if (body.kind !== 'scalars') return encodeMessage(body)
  return encodeMessage([
    body.step,
    ...Object.entries(body.values).flatMap(([name, value]) => [keys.get(name)!, value]),
  ])
}

/** A body as kept; of scalars the step and pairs of key and value. */
export type RawBody = { kept: RecordBody } | { step: number; pairs: [key: number, value: number][] }

export function decodeBody(bytes: Uint8Array): RawBody {
  const kept = decodeMessage(bytes) as RecordBody | number[]
  if (!Array.isArray(kept)) return { kept }
  const pairs: [number, number][] = []
  for (let index = 1; index < kept.length; index += 2) pairs.push([kept[index]!, kept[index + 1]!])
  return { step: kept[0]!, pairs }
}

export function nameBody(raw: RawBody, texts: ReadonlyMap<number, string>): RecordBody {
  if ('kept' in raw) return raw.kept
  const values = Object.fromEntries(raw.pairs.map(([key, value]) => [texts.get(key)!, value]))
  return { kind: 'scalars', step: raw.step, values }
}
