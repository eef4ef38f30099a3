/** Training on random weights and random tokens: what the time of a step does not depend on is made up. */
import { type MethodConfig, optimizerSchema, targetModuleNames } from '@rankscope/protocol'
import { createSampler } from '../../gpu-node/src/data/sampler.ts'
import { attachMethod } from '../../gpu-node/src/methods/index.ts'
import type { AttachContext } from '../../gpu-node/src/methods/method.ts'
import type { LlamaConfig } from '../../gpu-node/src/model/config.ts'
import { Model } from '../../gpu-node/src/model/model.ts'
import { parameterSpecs } from '../../gpu-node/src/model/parameters.ts'
import { parameter } from '../../gpu-node/src/ops/index.ts'
import { MethodState } from '../../gpu-node/src/optim/state.ts'
import { Random } from '../../gpu-node/src/random.ts'
import { targetsOf } from '../../gpu-node/src/train/targets.ts'
import type { Training } from '../../gpu-node/src/train/trainer.ts'
import type { ModelSize } from './sizes.ts'

/** `method` on `devices` virtual devices for `totalSteps` steps of one batch each, on the active backend. */
export async function syntheticTraining(
  size: ModelSize,
  method: MethodConfig,
  devices: number,
  totalSteps: number,
): Promise<Training> {
  const random = new Random(42)
  const model = randomModel(size, random)
  const optimizer = optimizerSchema.parse({})
  const state = new MethodState()
  const context: AttachContext = {
    model,
    targets: targetsOf(model, { targetModules: [...targetModuleNames] }),
    devices,
    seed: 42,
    optimizer,
    state,
    decompose: async (wanted) =>
      new Map(wanted.map(({ target, rank }) => [target.name, madeUp(target, rank, random)])),
    warn: (message) => console.error(message),
  }
  const adaptation = await attachMethod(method, context)
  const examples = Array.from({ length: size.batch }, () => {
    const inputIds = Int32Array.from({ length: size.sequence + 1 }, () => random.integer(0, size.vocabulary))
    return { inputIds, labels: inputIds }
  })
  const sampler = createSampler({
    examples: size.batch,
    devices,
    microBatchSize: size.batch / devices,
    accumulation: 1,
    epochs: 1,
    maxSteps: totalSteps,
    sampling: 'sequential',
    assign: 'block',
    remainder: 'drop',
    shuffle: false,
    reshuffle: false,
    seed: 42,
  })
  return {
    model,
    adaptation,
    state,
    epsilon: optimizer.epsilon,
    examples,
    sampler,
    devices,
    padTokenId: 0,
    lossReduction: 'microbatch-mean',
    computeDtype: 'float32',
    schedule: { warmupSteps: 0, totalSteps: sampler.totalSteps, at: () => optimizer.learningRate },
    maxGradNorm: null,
    checkpointBlocks: false,
    watched: new Set(),
  }
}

function randomModel(size: ModelSize, random: Random): Model {
  const config: LlamaConfig = {
    modelType: 'llama',
    hiddenSize: size.hidden,
    intermediateSize: size.mlp,
    layers: size.layers,
    heads: size.heads,
    keyValueHeads: size.heads,
    headDim: size.hidden / size.heads,
    vocabularySize: size.vocabulary,
    maxPositions: 4096,
    rmsNormEpsilon: 1e-5,
    ropeTheta: 10_000,
    ropeScaling: null,
    tiedEmbeddings: true,
    attentionBias: false,
    slidingWindow: null,
    fullAttentionLayers: 0,
    beginTokenId: null,
    endTokenIds: [],
  }
  const weights = parameterSpecs(config).map(({ name, shape }) => {
    const values = new Float32Array(shape.reduce((count, length) => count * length, 1))
    if (shape.length === 1) values.fill(1)
    else random.fillNormal(values, 0, 0.02)
    return [name, parameter(values, shape)] as const
  })
  return new Model(config, new Map(weights), null)
}

/** Something in place of singular triplets, on whose values the speed of a step does not depend. */
function madeUp({ rows, columns }: { rows: number; columns: number }, rank: number, random: Random) {
  const u = random.fillNormal(new Float32Array(rows * rank), 0, 1 / Math.sqrt(rows))
  const v = random.fillNormal(new Float32Array(columns * rank), 0, 1 / Math.sqrt(columns))
  return { u, s: new Float32Array(rank).fill(1), v }
}
