/** RunConfig: everything that decides what a run computes. Unknown keys are refused, never ignored. */
import { z } from 'zod'
import { benchmarkNames, benchmarkProtocols } from './benchmark-names.ts'
import { dataSchema } from './data-config.ts'
import { field } from './field.ts'
import { methodConfigSchema } from './method-config.ts'
import { idSchema, nameLengths, nameSchema, pathSchema } from './name.ts'

export const targetModuleNames = [
  'q_proj',
  'k_proj',
  'v_proj',
  'o_proj',
  'gate_proj',
  'up_proj',
  'down_proj',
] as const
export type TargetModuleName = (typeof targetModuleNames)[number]

export const optimizerSchema = z.strictObject({
  learningRate: field(z.number().positive().max(10).default(2e-5), {
    title: 'Learning rate',
    description: 'Peak learning rate of AdamW.',
    logarithmic: true,
  }),
  beta1: field(z.number().min(0).lt(1).default(0.9), {
    title: 'β₁',
    description: 'Decay of the first moment.',
    advanced: true,
  }),
  beta2: field(z.number().min(0).lt(1).default(0.999), {
    title: 'β₂',
    description: 'Decay of the second moment.',
    advanced: true,
  }),
  epsilon: field(z.number().min(0).max(1).default(1e-8), {
    title: 'ε',
    description: 'Added to the root of the second moment, after bias correction.',
    advanced: true,
    logarithmic: true,
  }),
  weightDecay: field(z.number().min(0).max(1).default(0), {
    title: 'Weight decay',
    description: 'Decoupled decay per step, times the learning rate.',
    advanced: true,
  }),
  maxGradNorm: field(z.number().positive().nullable().default(null), {
    title: 'Clip gradient norm',
    description: 'Global 2-norm above which gradients are scaled down; empty means never.',
  }),
})

export const scheduleSchema = z.strictObject({
  kind: field(z.enum(['cosine', 'linear', 'constant']).default('cosine'), {
    title: 'Schedule',
    description: 'Shape of the learning rate after warm-up.',
  }),
  warmupSteps: field(z.int().min(0).nullable().default(null), {
    title: 'Warm-up steps',
    description: 'Overrides the warm-up ratio when given.',
    unit: 'steps',
  }),
  warmupRatio: field(z.number().min(0).max(1).default(0.03), {
    title: 'Warm-up ratio',
    description: 'Share of all steps spent on warm-up.',
  }),
  warmupRounding: field(z.enum(['floor', 'ceil']).default('floor'), {
    title: 'Warm-up rounding',
    description: 'floor as the HD-PiSSA code, ceil as the Hugging Face Trainer.',
    advanced: true,
  }),
  warmupStartsAtOne: field(z.boolean().default(false), {
    title: 'Warm-up starts at one',
    description: 'First step uses 1/w of the peak instead of 0.',
    advanced: true,
  }),
  totalSteps: field(z.int().min(1).nullable().default(null), {
    title: 'Schedule length',
    description: 'Length that the schedule assumes; empty means the run’s own number of steps.',
    unit: 'steps',
    advanced: true,
  }),
  legacyTotalSteps: field(z.boolean().default(false), {
    title: 'Legacy schedule length',
    description: 'Count steps as the released code does: floor of epochs times batches over accumulation.',
    advanced: true,
  }),
})

export const trainingSchema = z.strictObject({
  epochs: field(z.int().min(1).max(10_000).default(1), {
    title: 'Epochs',
    description: 'Passes over the training data.',
  }),
  maxSteps: field(z.int().min(1).nullable().default(null), {
    title: 'Stop after',
    description: 'Optimiser steps after which to stop, whatever the epochs say.',
    unit: 'steps',
  }),
  globalBatchSize: field(z.int().min(1).max(65_536).default(128), {
    title: 'Batch size',
    description: 'Examples per optimiser step over all devices.',
    unit: 'examples',
  }),
  microBatchSize: field(z.int().min(1).max(4096).default(2), {
    title: 'Micro-batch',
    description: 'Examples per device in one forward and backward pass.',
    unit: 'examples',
  }),
  computeDtype: field(z.enum(['float32', 'bfloat16']).default('float32'), {
    title: 'Compute precision',
    description:
      'bfloat16: round the inputs of every matrix product of a training pass, forward and backward, as mixed-precision training does; sums, softmax, norms, loss, weights, optimizer and updates stay float32, and so does evaluation. The backend cuda multiplies bfloat16 on tensor cores; the others emulate it, which shows the effect and saves neither time nor memory.',
    advanced: true,
  }),
  products: field(z.enum(['float32', '3xTF32', 'TF32']).default('float32'), {
    title: 'Products of float32',
    description:
      'How a training pass multiplies matrices of float32. 3xTF32: on tensor cores, each number in two parts, with about ten times the error of float32 (measured on an H200); TF32: each number cut to 11 significant bits, the fastest. Only on the backend cuda. Updates and evaluation multiply in float32.',
    advanced: true,
  }),
  lossReduction: field(z.enum(['microbatch-mean', 'token-mean']).default('microbatch-mean'), {
    title: 'Loss reduction',
    description:
      'microbatch-mean: each micro-batch’s mean counts the same; token-mean: each token of a device’s step counts the same.',
    advanced: true,
  }),
})

const benchmarkSource = z.strictObject({
  name: field(z.enum(benchmarkNames), { title: 'Benchmark', description: 'Decides prompt and scoring.' }),
  path: field(pathSchema('name a file'), {
    title: 'File',
    description: 'Its test file, or a folder that holds it under its usual name.',
  }),
  protocol: field(z.enum(benchmarkProtocols).default('pissa'), {
    title: 'Protocol',
    description:
      'pissa: as the papers score (zero-shot, Alpaca prompt, greedy); lm-eval: as EleutherAI’s harness does (its prompts, solved examples and stops; the likeliest choice of the commonsense sets).',
  }),
  trainPath: field(pathSchema().nullable().default(null), {
    title: 'Training split',
    description:
      'GSM8K by lm-eval: the file that its five solved examples are drawn from; empty: train.jsonl beside the test file.',
  }),
})

const samplingSchema = z.strictObject({
  completions: field(z.int().min(1).max(1000).default(10), {
    title: 'Completions',
    description: 'Of each problem, drawn one by one.',
  }),
  passAt: field(z.int().min(1).max(1000).default(10), {
    title: 'k of pass@k',
    description:
      'At most as many as completions; told beside pass@1, by the unbiased estimator of Chen et al. 2021.',
  }),
  temperature: field(z.number().positive().max(10).default(0.8), {
    title: 'Temperature',
    description: 'Divides the logits.',
  }),
  topP: field(z.number().positive().max(1).default(0.95), {
    title: 'Top-p',
    description: 'Tokens are drawn from the likeliest that together have this share; 1: from all.',
  }),
  seed: field(
    z
      .int()
      .min(0)
      .max(2 ** 32 - 1)
      .default(0),
    {
      title: 'Sampling seed',
      description: 'The same seed, model and backend give the same completions.',
    },
  ),
})

export const evaluationSchema = z.strictObject({
  everySteps: field(z.int().min(1).nullable().default(null), {
    title: 'Evaluate every',
    description: 'Steps between evaluations during training; empty means only at the end.',
    unit: 'steps',
  }),
  atStart: field(z.boolean().default(false), {
    title: 'Evaluate before training',
    description:
      'Score the base model first. Runs that start from the same weights on one node share the result.',
  }),
  atEnd: field(z.boolean().default(true), {
    title: 'Evaluate at the end',
    description: 'Score the final weights.',
  }),
  examples: field(z.int().min(1).max(100_000).default(128), {
    title: 'Examples',
    description: 'Test records used, from the start of the test split.',
    unit: 'examples',
  }),
  batchSize: field(z.int().min(1).max(4096).default(32), {
    title: 'Generation batch',
    description: 'Prompts decoded together.',
    unit: 'examples',
    advanced: true,
  }),
  maxNewTokens: field(z.int().min(1).max(8192).default(64), {
    title: 'Answer length',
    description: 'Greedy decoding stops after so many tokens.',
    unit: 'tokens',
  }),
  samples: field(z.int().min(0).max(64).default(4), {
    title: 'Samples',
    description: 'Completions recorded per evaluation for reading.',
  }),
  benchmarks: field(z.array(benchmarkSource).max(64).default([]), {
    title: 'Benchmarks',
    description:
      'Scored with the test split, each by its protocol, which decides prompt, answer length and scoring; HumanEval and MBPP run what the model writes in a sandbox.',
  }),
  sampling: field(samplingSchema.nullable().default(null), {
    title: 'Sample programs',
    description:
      'Several completions of each problem of HumanEval and MBPP, for pass@k; empty: one, greedy. All other benchmarks stay greedy.',
    advanced: true,
  }),
  forgetting: field(pathSchema().nullable().default(null), {
    title: 'Text for forgetting',
    description:
      'A text that training does not touch: its loss per token after training minus before is recorded as forgetting. A plain text file, or the word generated for text like what the built-in model was made from; empty measures none.',
  }),
})

export const spectraSchema = z.strictObject({
  everySteps: field(z.int().min(1).nullable().default(10), {
    title: 'Spectrum every',
    description: 'Steps between live spectra of ΔW; empty means only at the end.',
    unit: 'steps',
  }),
  modules: field(z.array(nameSchema(nameLengths.key)).max(4096).nullable().default(null), {
    title: 'Live modules',
    description:
      'Modules to watch live, e.g. model.layers.0.self_attn.q_proj; empty means q_proj and down_proj of the first, middle and last layer.',
  }),
  wait: field(z.boolean().default(false), {
    title: 'Wait for spectra',
    description:
      'Training waits for every live spectrum and its analysis. Otherwise it never waits: a snapshot that is overtaken by a newer one has no spectrum, analyses take 2 % of the time, and what was skipped is counted by module.',
  }),
  atEnd: field(z.boolean().default(true), {
    title: 'All spectra at the end',
    description: 'Compute the spectrum of every target module after training.',
  }),
  analysesUpTo: field(z.int().min(0).max(65_536).default(1024), {
    title: 'Analyses up to',
    description:
      'Longest shorter side of a weight whose ΔW is analysed against it (intruders, rotation, energy in its own directions) with each spectrum; three decompositions each. 0: none.',
    advanced: true,
  }),
})

export const checkpointSchema = z.strictObject({
  everySteps: field(z.int().min(1).nullable().default(null), {
    title: 'Checkpoint every',
    description: 'Steps between checkpoints; empty means only on pause.',
    unit: 'steps',
  }),
  atEnd: field(z.boolean().default(true), {
    title: 'Checkpoint at the end',
    description:
      'Keep what was trained as a checkpoint after the last step: exports are made from it at any later time.',
  }),
  keep: field(z.int().min(1).max(100).default(2), {
    title: 'Keep',
    description: 'Checkpoints of the run that are kept, newest first; those of its earlier attempts count.',
  }),
  keepBest: field(z.boolean().default(false), {
    title: 'Keep the best',
    description:
      'Keep the checkpoint with the best evaluation as well: by accuracy where it is measured, then by loss.',
    advanced: true,
  }),
  maxGib: field(z.number().positive().nullable().default(null), {
    title: 'Most disk space',
    description: 'The oldest checkpoints go when those of the run take more; the newest always stays.',
    unit: 'GiB',
    advanced: true,
  }),
})

export const exportSchema = z.strictObject({
  model: field(z.boolean().default(false), {
    title: 'Export the model',
    description: 'Write the merged model as a Hugging Face folder at the end.',
  }),
  adapter: field(z.boolean().default(false), {
    title: 'Export the adapter',
    description:
      'Write a PEFT adapter where the method has one: LoRA, DoRA, HiRA, PiSSA as LoRA of rank 2r, HD-PiSSA’s first-order part (with attribution) as LoRA of rank 2Kr.',
  }),
  delta: field(z.boolean().default(false), {
    title: 'Export ΔW',
    description: 'Write ΔW of every target module as one safetensors file, float32.',
    advanced: true,
  }),
  loraRank: field(z.int().min(1).max(4096).nullable().default(null), {
    title: 'Export as LoRA of rank',
    description: 'Write the best PEFT LoRA adapter of this rank, by a truncated SVD of ΔW, with its error.',
    advanced: true,
  }),
})

export const backendNames = ['auto', 'tensorflow', 'cuda', 'webgpu', 'native', 'wasm', 'cpu'] as const
export type BackendName = (typeof backendNames)[number]

export const resourcesSchema = z.strictObject({
  backend: field(z.enum(backendNames).default('auto'), {
    title: 'Backend',
    description: 'auto takes the fastest one that loads and passes its self-check.',
  }),
  threads: field(z.int().min(1).max(1024).nullable().default(null), {
    title: 'Threads',
    description: 'CPU threads of this run; empty means the node’s cores divided by its slots.',
  }),
  gradientCheckpointing: field(z.boolean().default(false), {
    title: 'Gradient checkpointing',
    description: 'Recompute each block in the backward pass: less memory, about a third more time.',
  }),
})

export const parallelSchema = z.strictObject({
  devices: field(z.int().min(1).max(64).default(1), {
    title: 'Devices K',
    description: 'Data-parallel devices; HD-PiSSA gives each its own slice of principal components.',
  }),
  mode: field(z.enum(['virtual', 'processes']).default('virtual'), {
    title: 'Realisation',
    description:
      'virtual: all K on one device in one batched pass, same results; processes: one MPI process each.',
    advanced: true,
  }),
  regatherAdapters: field(z.boolean().default(false), {
    title: 'Gather A and B each step',
    description:
      'HD-PiSSA over processes: exchange the constant adapters with their changes at every step, as the released code does. The results are the same in every bit; twice as much is sent. To compare the cost.',
    advanced: true,
  }),
})

/** What a run left on a node. */
const remainsSchema = z.strictObject({
  runId: idSchema,
  nodeId: idSchema,
  /** checkpoint: a folder of checkpoints, with the base model that it belongs to; model: an exported Hugging Face folder. */
  what: z.enum(['checkpoint', 'model']),
  path: pathSchema('name a folder of the run'),
})

export type Remains = z.output<typeof remainsSchema>

/**
 * training: everything below is trained and measured. evaluation: nothing is trained; `model.path`, or what a run left, is
 * scored by `evaluation.benchmarks`, and every item is recorded. Of the other settings seed and resources have an effect.
 */
const jobSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('training') }),
  z.strictObject({ kind: z.literal('evaluation'), of: remainsSchema.nullable().default(null) }),
])

export const runConfigSchema = z.strictObject({
  job: field(jobSchema.default({ kind: 'training' }), {
    title: 'Job',
    description: 'Training, or the evaluation of a model without training.',
    hidden: true,
  }),
  name: field(nameSchema(nameLengths.name).nullable().default(null), {
    title: 'Name',
    description: 'Empty means a pronounceable name is made up.',
  }),
  group: field(nameSchema(nameLengths.name).nullable().default(null), {
    title: 'Group',
    description: 'Runs of one comparison share a group.',
  }),
  tags: field(z.array(nameSchema(nameLengths.tag)).max(32).default([]), {
    title: 'Tags',
    description: 'Free words to find the run by.',
  }),
  priority: field(z.int().min(-100).max(100).default(0), {
    title: 'Priority',
    description: 'Higher runs first.',
    advanced: true,
  }),
  seed: field(
    z
      .int()
      .min(0)
      .max(2 ** 32 - 1)
      .default(42),
    { title: 'Seed', description: 'Seeds shuffling, random initialisation and dropout.' },
  ),
  model: z
    .strictObject({
      path: field(pathSchema('name a model').default('rankscope-mini'), {
        title: 'Base model',
        description: 'Name of a model that the node offers, or a folder inside the ones it allows.',
      }),
    })
    .prefault({}),
  data: dataSchema,
  method: methodConfigSchema,
  targetModules: field(
    z
      .array(z.enum(targetModuleNames))
      .min(1)
      .default([...targetModuleNames]),
    { title: 'Target modules', description: 'Linear layers that are adapted, in every block.' },
  ),
  parallel: parallelSchema.prefault({}),
  optimizer: optimizerSchema.prefault({}),
  schedule: scheduleSchema.prefault({}),
  training: trainingSchema.prefault({}),
  evaluation: evaluationSchema.prefault({}),
  spectra: spectraSchema.prefault({}),
  checkpoint: checkpointSchema.prefault({}),
  export: exportSchema.prefault({}),
  resources: resourcesSchema.prefault({}),
})

/** The backend that a run has to have, or auto: what only one backend can compute needs that one. */
export function requiredBackend({
  training,
  resources,
}: Pick<RunConfig, 'training' | 'resources'>): BackendName {
  return training.products === 'float32' ? resources.backend : 'cuda'
}

/** A complete configuration, every default filled in: what is stored and what a node receives. */
export type RunConfig = z.output<typeof runConfigSchema>
/** What a person may write: defaults left out. */
export type RunConfigInput = z.input<typeof runConfigSchema>
