/** Whether the texts of a run are longer than its model was made for. Pure. */
import type { RunConfig } from '@rankscope/protocol'
import { ignoredLabel, type TokenExample } from '../data/examples.ts'
import type { LlamaConfig } from '../model/config.ts'
import type { LoadedData } from './load-data.ts'

/** A sentence, with both numbers, for training examples and for answers that go beyond the model's context. */
export function contextWarnings(
  { maxPositions, ropeScaling }: LlamaConfig,
  { train, evaluation }: LoadedData,
  { maxNewTokens, examples }: RunConfig['evaluation'],
): string[] {
  // Dynamic scaling stretches the context by itself, up to its factor.
  const limit = ropeScaling?.type === 'dynamic' ? maxPositions * ropeScaling.factor : maxPositions
  const made = `the model was made for ${limit} (max_position_embeddings in config.json)`
  const longest = most(train, ({ inputIds }) => inputIds.length)
  const evaluated = evaluation?.examples.slice(0, examples) ?? []
  const longestScored = most(evaluated, ({ inputIds }) => inputIds.length)
  const longestPrompt = most(evaluated, promptLength)
  return [
    ...(longest > limit ? [`the longest training example has ${longest} tokens; ${made}`] : []),
    ...(longestScored > limit ? [`the longest evaluation example has ${longestScored} tokens; ${made}`] : []),
    ...(evaluation?.answers && longestPrompt + maxNewTokens > limit
      ? [
          `evaluation.maxNewTokens: the longest prompt of ${longestPrompt} tokens and ${maxNewTokens} new ones may exceed the context; ${made}`,
        ]
      : []),
  ]
}

function most(examples: readonly TokenExample[], length: (example: TokenExample) => number): number {
  return examples.reduce((longest, example) => Math.max(longest, length(example)), 0)
}

/** Tokens before the first that is trained on. */
function promptLength({ labels }: TokenExample): number {
  const first = labels.findIndex((label) => label !== ignoredLabel)
  return first < 0 ? labels.length : first
}
