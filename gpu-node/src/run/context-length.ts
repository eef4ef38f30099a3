/** Whether the texts of a run are longer than its model was made for. Pure. */
import type { RunConfig } from '@rankscope/protocol'
import { ignoredLabel, type TokenExample } from '../data/examples.ts'
import type { LlamaConfig } from '../model/config.ts'
import type { LoadedData } from './load-data.ts'

/** Sentences, with both numbers, about training examples and answers that go beyond the model's context. */
export function contextWarnings(
  { maxPositions, ropeScaling }: LlamaConfig,
  { train, validation, test }: Pick<LoadedData, 'train' | 'validation' | 'test'>,
  { maxNewTokens }: Pick<RunConfig['evaluation'], 'maxNewTokens'>,
): string[] {
  // Dynamic scaling stretches the context by itself, up to its factor.
  const limit = ropeScaling?.type === 'dynamic' ? maxPositions * ropeScaling.factor : maxPositions
  const made = `the model was made for ${limit} (max_position_embeddings in config.json)`
  const tooLong = (examples: readonly TokenExample[], name: string) => {
    const longest = most(examples, ({ inputIds }) => inputIds.length)
    return longest > limit ? [`the longest ${name} example has ${longest} tokens; ${made}`] : []
  }
  const answered = [validation, test].flatMap((data) => (data?.answers.length ? data.examples : []))
  const longestPrompt = most(answered, promptLength)
  return [
    ...tooLong(train, 'training'),
    ...tooLong(validation?.examples ?? [], 'validation'),
    ...tooLong(test?.examples ?? [], 'test'),
    ...(longestPrompt > 0 && longestPrompt + maxNewTokens > limit
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
