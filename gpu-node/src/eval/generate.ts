/**
 * Generation, greedy or drawn, for a batch of prompts of different lengths, with a key-value cache per layer.
 *
 * Prompts are padded on the right and read in one pass; then each sequence grows from its own length, one token per
 * pass. What the padding wrote into the cache lies beyond a sequence's length, so it is overwritten before it could
 * be seen.
 */
import { type Tensor2D, tensor1d, tidy } from '@tensorflow/tfjs-core'
import {
  attentionShape,
  headWeight,
  hiddenStates,
  type LinearHook,
  type Pass,
  plainLinear,
  sequencePass,
} from '../model/llama.ts'
import type { Model } from '../model/model.ts'
import { embedding, KeyValueCache, logits } from '../ops/index.ts'

export interface GenerationOptions {
  maxNewTokens: number
  /** Prompts decoded together. */
  batchSize: number
  /** Generation of a sequence ends before any of these. */
  stopTokenIds: ReadonlySet<number>
  /** The next token of a prompt (its place among `prompts`) by the logits [V]; the largest where left out. */
  pick?: (logits: Float32Array, prompt: number) => number
  /** Whether what was generated so far is enough; asked after each token. */
  isEnough?: (tokens: readonly number[]) => boolean
  /** Called with the share of prompts done, 0..1, after each batch. */
  onProgress?: (done: number) => void
}

/**
 * The continuation of each prompt (at least one token each), without the stop token. Ties between logits go to
 * the lowest token id.
 */
export async function generate(
  model: Model,
  prompts: readonly (readonly number[])[],
  options: GenerationOptions,
  hook: LinearHook = plainLinear(model),
): Promise<number[][]> {
  const results: number[][] = prompts.map(() => [])
  // Prompts of similar length share a batch, which saves padding.
  const order = prompts.map((_, index) => index).sort((a, b) => lengthOf(prompts, a) - lengthOf(prompts, b))
  for (let start = 0; start < order.length; start += options.batchSize) {
    const batch = order.slice(start, start + options.batchSize)
    const found = await generateBatch(
      model,
      batch.map((index) => prompts[index] as readonly number[]),
      batch,
      options,
      hook,
    )
    batch.forEach((index, row) => {
      results[index] = found[row] as number[]
    })
    options.onProgress?.((start + batch.length) / order.length)
  }
  return results
}

async function generateBatch(
  model: Model,
  prompts: readonly (readonly number[])[],
  places: readonly number[],
  { maxNewTokens, stopTokenIds, pick = largest, isEnough }: GenerationOptions,
  hook: LinearHook,
): Promise<number[][]> {
  const lengths = prompts.map((prompt) => prompt.length)
  const caches = makeCaches(model, prompts.length, Math.max(...lengths) + maxNewTokens)
  const outputs: number[][] = prompts.map(() => [])
  const finished = prompts.map(() => false)
  try {
    let scores = readPrompts(model, prompts, caches, hook)
    for (let count = 0; ; count++) {
      const next = await choose(scores, (logits, row) => (finished[row] ? 0 : pick(logits, places[row]!)))
      next.forEach((token, row) => {
        if (finished[row] || stopTokenIds.has(token)) {
          finished[row] = true
          return
        }
        outputs[row]!.push(token)
        if (isEnough?.(outputs[row]!)) finished[row] = true
      })
      if (count + 1 === maxNewTokens || finished.every(Boolean)) return outputs
      scores = decodeToken(model, next, lengths, caches, hook)
      for (let row = 0; row < lengths.length; row++) lengths[row] = (lengths[row] as number) + 1
    }
  } finally {
    for (const cache of caches) cache.dispose()
  }
}

function makeCaches(model: Model, batch: number, capacity: number): KeyValueCache[] {
  return Array.from(
    { length: model.config.layers },
    (_, layer) => new KeyValueCache({ batch, capacity, ...attentionShape(model, layer) }),
  )
}

/** Fills the caches from the prompts; logits [B, V] after the last token of each. The caller disposes of them. */
function readPrompts(
  model: Model,
  prompts: readonly (readonly number[])[],
  caches: readonly KeyValueCache[],
  hook: LinearHook,
): Tensor2D {
  const sequence = Math.max(...prompts.map((prompt) => prompt.length))
  const ids = new Int32Array(prompts.length * sequence)
  prompts.forEach((prompt, row) => {
    ids.set(prompt, row * sequence)
  })
  const lastRows = Int32Array.from(prompts, (prompt, row) => row * sequence + prompt.length - 1)
  const starts = prompts.map(() => 0)
  return tidy(() => {
    const whole = sequencePass(model, prompts.length, sequence)
    const pass: Pass = {
      ...whole,
      attend(layer, q, k, v) {
        caches[layer]?.append(k, v, starts)
        return whole.attend(layer, q, k, v)
      },
    }
    const x = hiddenStates(model, tensor1d(ids, 'int32'), pass, hook)
    return logits(embedding(tensor1d(lastRows, 'int32'), x), headWeight(model))
  })
}

/** One token per sequence at position lengths[b]: appends to the caches; logits [B, V], which the caller disposes of. */
function decodeToken(
  model: Model,
  tokens: readonly number[],
  lengths: readonly number[],
  caches: readonly KeyValueCache[],
  hook: LinearHook,
): Tensor2D {
  return tidy(() => {
    const pass: Pass = {
      rope: model.rope.at(Int32Array.from(lengths)),
      ropePeriod: lengths.length,
      checkpointBlocks: false,
      attend(layer, q, k, v) {
        const cache = caches[layer] as KeyValueCache
        cache.append(k, v, lengths)
        return cache.attend(
          q,
          lengths.map((length) => length + 1),
        )
      },
    }
    const x = hiddenStates(model, tensor1d([...tokens], 'int32'), pass, hook)
    return logits(x, headWeight(model))
  })
}

/** A token for each row; disposes of the logits. */
async function choose(
  scores: Tensor2D,
  pick: (logits: Float32Array, row: number) => number,
): Promise<number[]> {
  const [rows, width] = scores.shape
  const values = (await scores.data()) as Float32Array
  scores.dispose()
  return Array.from({ length: rows }, (_, row) => pick(values.subarray(row * width, (row + 1) * width), row))
}

function largest(logits: Float32Array): number {
  let best = 0
  for (let j = 1; j < logits.length; j++) if (logits[j]! > logits[best]!) best = j
  return best
}

function lengthOf(prompts: readonly (readonly number[])[], index: number): number {
  return (prompts[index] as readonly number[]).length
}
