/**
 * Forgetting: the mean loss per token on a text that training does not touch, after training minus before (PEFT's public
 * comparison measures it on rows of Wikipedia). Positive: the model has become worse at what it was not trained on.
 */
import { RankscopeError, type RunConfig } from '@rankscope/protocol'
import type { TokenExample } from '../data/examples.ts'
import { packTexts, readTextFile } from '../data/packing.ts'
import { Tally } from '../data/tally.ts'
import { evaluateLoss } from '../eval/evaluate.ts'
import { Random } from '../random.ts'
import { pretrainingDocument } from '../tasks/pretraining-text.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import type { EvaluationSubject } from './evaluation.ts'

/** Instead of a file: text of the kind that the built-in model was made from, of a seed that it never saw. */
const generated = 'generated'
const generatedSeed = 0x5eed_f0e7

/** Blocks of at most this many tokens, so that a long context makes a text neither easier nor slower. */
const blockLength = 256
/** Blocks that are scored, from the start of the text: 16,384 tokens settle a mean to about a hundredth of a nat. */
const mostBlocks = 64

/** Null where the run asks for none. Throws as the file's own reader does, and CONFIG_INVALID without a tokenizer. */
export async function loadUntouchedText(
  { evaluation, data }: RunConfig,
  tokenizer: TextTokenizer | null,
  resolvePath: (path: string) => string,
): Promise<readonly TokenExample[] | null> {
  if (evaluation.forgetting === null) return null
  if (tokenizer === null)
    throw new RankscopeError('CONFIG_INVALID', 'evaluation.forgetting: a text needs the model’s tokenizer', {
      hint: 'leave it empty, or take a model folder with a tokenizer.json',
    })
  const length = Math.min(blockLength, data.maxLength)
  if (evaluation.forgetting === generated) return packTexts(endlessText(), tokenizer, length, mostBlocks)
  const file = resolvePath(evaluation.forgetting)
  return (await readTextFile(file, tokenizer, length, new Tally(), mostBlocks)).examples
}

function* endlessText(): Generator<string> {
  const random = new Random(generatedSeed)
  for (;;) yield pretrainingDocument(random)
}

/** Nats per token of the weights as they are now. */
export async function untouchedLoss(
  { config, model, adaptation, padTokenId }: EvaluationSubject,
  examples: readonly TokenExample[],
): Promise<number> {
  const { linear, dispose } = adaptation.inference()
  try {
    const settings = { batchSize: Math.min(config.evaluation.batchSize, 8), padTokenId }
    return (await evaluateLoss(model, examples, settings, linear)).loss
  } finally {
    dispose()
  }
}
