/**
 * Which examples of a training set are held back for validation: a share of them by seed, the same whatever their order,
 * and examples with the same prompt always on the same side, so that nothing is validated that was trained on.
 */
import { createHash } from 'node:crypto'
import { ignoredLabel, type TokenExample } from './examples.ts'

/**
 * Numbers of the examples held back, ascending: those whose prompts hash lowest, round(share · n) of them, and what
 * shares its prompt with the last or its record with any (`origins`). Empty where that is everything.
 */
export function heldBack(
  examples: readonly TokenExample[],
  origins: readonly number[],
  share: number,
  seed: number,
): number[] {
  if (share === 0 || examples.length < 2) return []
  const wanted = Math.min(Math.max(1, Math.round(share * examples.length)), examples.length - 1)
  const hashes = examples.map((example) => promptHash(example, seed))
  const order = [...examples.keys()].sort((a, b) =>
    hashes[a]! < hashes[b]! ? -1 : hashes[a]! > hashes[b]! ? 1 : a - b,
  )
  let end = wanted
  while (end < order.length && hashes[order[end]!] === hashes[order[end - 1]!]) end++
  const records = new Set(order.slice(0, end).map((index) => origins[index]))
  const held = [...examples.keys()].filter((index) => records.has(origins[index]!))
  return held.length === examples.length ? [] : held
}

/** Of the tokens before the first that is trained on; of all where there are none before. */
function promptHash({ inputIds, labels }: TokenExample, seed: number): string {
  const first = labels.findIndex((label) => label !== ignoredLabel)
  const prompt = first > 0 ? inputIds.subarray(0, first) : inputIds
  const bytes = new Uint8Array(prompt.buffer, prompt.byteOffset, prompt.byteLength)
  return createHash('sha256').update(`${seed} `).update(bytes).digest('base64')
}
