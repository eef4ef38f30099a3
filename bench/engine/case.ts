/**
 * Measures one case in a process of its own, by the real training loop: `case.ts '<StepCase as JSON>'` prints the result
 * as a line of JSON.
 */
import { methodConfigSchema, optimizerSchema, targetModuleNames } from '@rankscope/protocol'
import { matMul, ones } from '@tensorflow/tfjs-core'
import { selectBackend } from '../../gpu-node/src/backends/select.ts'
import { createSampler } from '../../gpu-node/src/data/sampler.ts'
import { attachMethod } from '../../gpu-node/src/methods/index.ts'
import type { AttachContext } from '../../gpu-node/src/methods/method.ts'
import { MethodState } from '../../gpu-node/src/methods/state.ts'
import type { LlamaConfig } from '../../gpu-node/src/model/config.ts'
import { Model } from '../../gpu-node/src/model/model.ts'
import { parameterSpecs } from '../../gpu-node/src/model/parameters.ts'
import { parameter } from '../../gpu-node/src/ops/index.ts'
import { Random } from '../../gpu-node/src/random.ts'
import { targetsOf } from '../../gpu-node/src/train/targets.ts'
import { train } from '../../gpu-node/src/train/trainer.ts'
import type { CaseResult, ModelSize, StepCase } from './sizes.ts'

const warmUpSteps = 3
const productSize = 1536

async function runCase(json: string): Promise<void> {
  const { size, method, devices, rank, threads, backend, steps } = JSON.parse(json) as StepCase
  const started = await selectBackend(backend as Parameters<typeof selectBackend>[0], { threads })
  const random = new Random(42)
  const model = randomModel(size, random)
  const config = methodConfigSchema.parse(method === 'full' ? { name: method } : { name: method, rank })
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
      new Map(wanted.map(({ target, rank: r }) => [target.name, madeUp(target, r, random)])),
    warn: (message) => console.error(message),
  }
  const adaptation = await attachMethod(config, context)
  const examples = Array.from({ length: size.batch }, () => {
    const inputIds = Int32Array.from({ length: size.sequence + 1 }, () => random.integer(0, size.vocabulary))
    return { inputIds, labels: inputIds }
  })
  const microBatchSize = size.batch / devices
  const sampler = createSampler({
    ...{
      examples: size.batch,
      devices,
      microBatchSize,
      accumulation: 1,
      epochs: 1,
      maxSteps: warmUpSteps + steps,
    },
    ...{
      sampling: 'sequential',
      assign: 'block',
      remainder: 'drop',
      shuffle: false,
      reshuffle: false,
      seed: 42,
    },
  })
  const training = {
    ...{
      model,
      adaptation,
      examples,
      sampler,
      devices,
      padTokenId: 0,
      lossReduction: 'microbatch-mean' as const,
    },
    schedule: { warmupSteps: 0, totalSteps: sampler.totalSteps, at: () => optimizer.learningRate },
    ...{ maxGradNorm: null, checkpointBlocks: false, watched: new Set<string>() },
  }
  const result = await measure(training, threads)
  console.log(JSON.stringify({ ...result, description: `${started.name}: ${started.description}` }))
}

async function measure(
  training: Parameters<typeof train>[0],
  threads: number,
): Promise<Omit<CaseResult, 'description'>> {
  const result = {
    wallMs: [] as number[],
    processorMs: [] as number[],
    peakWall: [] as number[],
    peakProcessor: [] as number[],
  }
  const ofProduct = productMeter(threads)
  ofProduct()
  let peak = ofProduct()
  let lap = stopwatch(threads)
  await train(training, 0, async ({ step, loss }) => {
    const { wallMs, processorMs } = lap()
    if (!Number.isFinite(loss)) throw new Error(`the loss became ${loss}`)
    if (step > warmUpSteps) {
      result.wallMs.push(wallMs)
      result.processorMs.push(processorMs)
      result.peakWall.push(peak.wall)
      result.peakProcessor.push(peak.processor)
    }
    peak = ofProduct()
    lap = stopwatch(threads)
    return 'continue'
  })
  return { ...result, peakRssBytes: process.resourceUsage().maxRSS * 1024 }
}

function stopwatch(threads: number): () => { wallMs: number; processorMs: number } {
  const start = performance.now()
  const used = process.cpuUsage()
  return () => {
    const { user, system } = process.cpuUsage(used)
    return { wallMs: performance.now() - start, processorMs: (user + system) / 1000 / threads }
  }
}

/** GFLOP/s of two large products on the active backend. */
function productMeter(threads: number): () => { wall: number; processor: number } {
  const [a, b] = [ones([productSize, productSize]), ones([productSize, productSize])]
  return () => {
    const lap = stopwatch(threads)
    for (let i = 0; i < 2; i++) matMul(a, b).dispose()
    const { wallMs, processorMs } = lap()
    const gigaflops = (4 * productSize ** 3) / 1e6
    return { wall: gigaflops / wallMs, processor: gigaflops / processorMs }
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

await runCase(process.argv[2] ?? '')
