/**
 * Makes a base model from nothing: text by seed, a tokenizer trained on it, a small Llama trained on it from random
 * weights, written as a Hugging Face folder in float16.
 */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type RunConfig, runConfigSchema, taskNames } from '@rankscope/protocol'
import { packTexts } from '../data/packing.ts'
import type { LlamaConfig } from '../model/config.ts'
import { loadModel } from '../model/model.ts'
import { saveModel, writeJsonFile, writeModelFolder } from '../model/save.ts'
import { Random } from '../random.ts'
import { taskRecords } from '../tasks/index.ts'
import { pretrainingDocument } from '../tasks/pretraining-text.ts'
import { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { assembleTraining } from '../train/session.ts'
import { type StepReport, train } from '../train/trainer.ts'
import { specialTokens, tokenizerConfig, trainTokenizer } from './bpe.ts'
import { initialWeights } from './initialise.ts'

/** The shape of the model that the repository ships: 2.2 million parameters. */
export const miniConfig: LlamaConfig = {
  modelType: 'llama',
  hiddenSize: 192,
  intermediateSize: 512,
  layers: 5,
  heads: 6,
  keyValueHeads: 3,
  headDim: 32,
  vocabularySize: 768,
  maxPositions: 512,
  rmsNormEpsilon: 1e-5,
  ropeTheta: 10_000,
  ropeScaling: null,
  tiedEmbeddings: true,
  queryKeyValueBias: false,
  outputBias: false,
  mlpBias: false,
  queryKeyNorm: false,
  slidingWindow: null,
  slidingLayers: [],
  beginTokenId: 1,
  endTokenIds: [2],
}

export interface PretrainOptions {
  /** Made where absent; what it holds of an earlier model is overwritten. */
  folder: string
  seed: number
  /** Tokens trained on, each seen once. */
  tokens: number
  config?: LlamaConfig
  /** Tokens of one sequence. */
  blockLength?: number
  /** Sequences of one optimiser step. */
  blocksPerStep?: number
  /** Peak learning rate of AdamW. */
  learningRate?: number
  onStep?: (report: StepReport, totalSteps: number) => void
}

/** The active backend trains; the result is the same for the same options, backend and number of threads. */
export async function pretrain({
  folder,
  seed,
  tokens,
  config = miniConfig,
  blockLength = 128,
  blocksPerStep = 4,
  learningRate = 2e-3,
  onStep,
}: PretrainOptions): Promise<void> {
  mkdirSync(folder, { recursive: true })
  writeTokenizer(folder, config, seed)
  const start = join(folder, 'start')
  const weights = initialWeights(config, seed)
  await writeModelFolder(start, config, (name) => weights.get(name)!, 'F32')
  try {
    const tokenizer = TextTokenizer.load(folder, config.vocabularySize)
    const examples = packTexts(documents(seed), tokenizer, blockLength, Math.floor(tokens / blockLength))
    const model = loadModel(start)
    const { training, dispose } = await assembleTraining({
      config: settings(seed, learningRate, blocksPerStep),
      model,
      examples,
      padTokenId: tokenizer.padTokenId,
      decompose: async () => new Map(),
      warn: () => undefined,
    })
    try {
      await train(training, 0, async (report) => {
        onStep?.(report, training.sampler.totalSteps)
        return 'continue'
      })
      await saveModel(folder, model, { dtype: 'F16' })
    } finally {
      dispose()
    }
  } finally {
    rmSync(start, { recursive: true, force: true })
  }
}

/** One pass in the order of the text. β₂ is lower than in fine-tuning: a few thousand steps are too few for 0.999. */
function settings(seed: number, learningRate: number, blocksPerStep: number): RunConfig {
  return runConfigSchema.parse({
    seed,
    data: { source: { kind: 'text', path: 'generated' }, shuffle: false },
    method: { name: 'full' },
    optimizer: { learningRate, beta2: 0.99, maxGradNorm: 1 },
    schedule: { kind: 'cosine', warmupRatio: 0.03 },
    training: { epochs: 1, globalBatchSize: blocksPerStep, microBatchSize: blocksPerStep },
  })
}

function* documents(seed: number): Generator<string> {
  const random = new Random(seed).fork('documents')
  for (;;) yield pretrainingDocument(random)
}

/** The tokenizer also sees instructions of the tasks, so that their words are not spelled letter by letter. */
function writeTokenizer(folder: string, config: LlamaConfig, seed: number): void {
  const random = new Random(seed).fork('tokenizer')
  const texts = Array.from({ length: 6000 }, () => pretrainingDocument(random))
  for (const task of taskNames)
    for (const record of taskRecords(task, 'train', 500, seed))
      texts.push(`${record.instruction}\n${record.output}`)
  writeJsonFile(join(folder, 'tokenizer.json'), trainTokenizer(texts, config.vocabularySize))
  writeJsonFile(join(folder, 'tokenizer_config.json'), tokenizerConfig(config.maxPositions))
  writeJsonFile(join(folder, 'special_tokens_map.json'), {
    bos_token: specialTokens.start,
    eos_token: specialTokens.end,
    pad_token: specialTokens.pad,
  })
  writeJsonFile(join(folder, 'generation_config.json'), {
    bos_token_id: config.beginTokenId,
    eos_token_id: config.endTokenIds[0],
    pad_token_id: 0,
  })
}
