/** Log-likelihoods of continuations: how likely a model finds each of several texts after another. */
import { evaluationBatch } from '../data/batch.ts'
import { ignoredLabel, type TokenExample } from '../data/examples.ts'
import { type LinearHook, loss, plainLinear } from '../model/llama.ts'
import type { Model } from '../model/model.ts'

/** A text as tokens; the first `known` of them are given. */
export interface Continuation {
  readonly tokens: readonly number[]
  readonly known: number
}

/** Sum over the tokens of each continuation of ln p(token | tokens before it), in nats. */
export async function logLikelihoods(
  model: Model,
  continuations: readonly Continuation[],
  { batchSize, padTokenId }: { batchSize: number; padTokenId: number },
  hook: LinearHook = plainLinear(model),
): Promise<number[]> {
  const results: number[] = []
  for (let start = 0; start < continuations.length; start += batchSize) {
    const part = continuations.slice(start, start + batchSize)
    const batch = evaluationBatch(part.map(exampleOf), padTokenId)
    const told = loss(model, batch, hook)
    const perToken = await told.perToken.data()
    told.loss.dispose()
    told.perToken.dispose()
    for (let row = 0; row < part.length; row++) {
      let sum = 0
      for (let at = row * batch.sequence; at < (row + 1) * batch.sequence; at++) sum -= perToken[at]!
      results.push(sum)
    }
  }
  return results
}

function exampleOf({ tokens, known }: Continuation): TokenExample {
  return {
    inputIds: Int32Array.from(tokens),
    labels: Int32Array.from(tokens, (token, at) => (at < known ? ignoredLabel : token)),
  }
}
