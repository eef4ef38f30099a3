/** Training on random weights and random tokens: what the time of a step does not depend on is made up. */
import { type MethodConfig, type RunConfig, runConfigSchema, targetModuleNames } from '@rankscope/protocol'
import type { LlamaConfig } from '../../gpu-node/src/model/config.ts'
import { Model } from '../../gpu-node/src/model/model.ts'
import { parameterSpecs } from '../../gpu-node/src/model/parameters.ts'
import { parameter } from '../../gpu-node/src/ops/index.ts'
import { Random } from '../../gpu-node/src/random.ts'
import { assembleTraining } from '../../gpu-node/src/train/session.ts'
import type { Training } from '../../gpu-node/src/train/trainer.ts'
import type { ModelSize } from './sizes.ts'

/** `method` on `devices` virtual devices for `totalSteps` steps of one batch each, on the active backend. */
export async function syntheticTraining(
  size: ModelSize,
  method: MethodConfig,
  devices: number,
  totalSteps: number,
  precision: Partial<Pick<RunConfig['training'], 'products' | 'computeDtype'>> = {},
): Promise<Training> {
  const random = new Random(42)
  const model = randomModel(size, random)
  const examples = Array.from({ length: size.batch }, () => {
    const inputIds = Int32Array.from({ length: size.sequence + 1 }, () => random.integer(0, size.vocabulary))
    return { inputIds, labels: inputIds }
  })
  const config = runConfigSchema.parse({
    data: { source: { kind: 'tokens', path: 'made up' }, sampling: 'sequential', shuffle: false },
    method,
    targetModules: [...targetModuleNames],
    parallel: { devices },
    optimizer: { maxGradNorm: null },
    schedule: { kind: 'constant', warmupRatio: 0 },
    training: {
      maxSteps: totalSteps,
      globalBatchSize: size.batch,
      microBatchSize: size.batch / devices,
      ...precision,
    },
  })
  const { training } = await assembleTraining({
    config,
    model,
    examples,
    padTokenId: 0,
    decompose: async (wanted) =>
      new Map(wanted.map(({ target, rank }) => [target.name, madeUp(target, rank, random)])),
    warn: (message) => console.error(message),
  })
  return training
}

function randomModel(size: ModelSize, random: Random): Model {
  const config: LlamaConfig = {
    modelType: 'llama',
    hiddenSize: size.hidden,
    intermediateSize: size.mlp,
    layers: size.layers,
    heads: size.heads,
    keyValueHeads: size.keyValueHeads ?? size.heads,
    headDim: size.hidden / size.heads,
    vocabularySize: size.vocabulary,
    maxPositions: 4096,
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
    beginTokenId: null,
    endTokenIds: [],
  }
  const weights = parameterSpecs(config).map(({ name, shape }) => {
    const values = new Float32Array(shape.reduce((count, length) => count * length, 1))
    if (shape.length === 1) values.fill(1)
    else fillRepeating(values, random)
    return [name, parameter(values, shape)] as const
  })
  return new Model(config, new Map(weights), null)
}

/** Normal numbers, the same again after some millions: billions of them would take minutes to draw. */
function fillRepeating(values: Float32Array, random: Random): void {
  const drawn = values.subarray(0, 2 ** 22)
  random.fillNormal(drawn, 0, 0.02)
  for (let filled = drawn.length; filled < values.length; filled *= 2)
    values.copyWithin(filled, 0, Math.min(filled, values.length - filled))
}

/** Something in place of singular triplets, on whose values the speed of a step does not depend. */
function madeUp({ rows, columns }: { rows: number; columns: number }, rank: number, random: Random) {
  const u = random.fillNormal(new Float32Array(rows * rank), 0, 1 / Math.sqrt(rows))
  const v = random.fillNormal(new Float32Array(columns * rank), 0, 1 / Math.sqrt(columns))
  return { u, s: new Float32Array(rank).fill(1), v }
}
