/**
 * Experiments of the HD-PiSSA paper (arXiv 2505.18777) as sets of runs: the settings of its Table 4 for Table 1 and of its
 * Table 5 for Table 2, one configuration per method. What differs per method follows the paper's own setting: HD-PiSSA
 * and its ablations ran in the released code (sum over devices, no clipping, warm-up rounded down), the baselines in the
 * Hugging Face Trainer (gradient norm clipped at 1, warm-up rounded up). Model and data are the reader's: nothing is
 * downloaded, and `asks` says what has to be named.
 */
import { type MethodConfig, type MethodName, methodSchemas } from './method-config.ts'
import { type RunConfig, type RunConfigInput, runConfigSchema, type TargetModuleName } from './run-config.ts'

/** What a recipe leaves to the reader. */
export interface RecipeFiles {
  /** `model.path` */
  readonly model: string
  /** `data.source.path` */
  readonly data: string
}

export interface PaperRecipe {
  /** A few words for a menu. */
  readonly title: string
  /** What it repeats, with which model and data. */
  readonly description: string
  /** The methods that the paper compares there. */
  readonly methods: readonly MethodName[]
  /** By path: what the reader has to name. */
  readonly asks: Readonly<Record<'model.path' | 'data.source.path', string>>
  /** Settings of all runs, without the paths. */
  readonly shared: Omit<RunConfigInput, 'method' | 'model' | 'data'> & {
    data: Omit<RunConfigInput['data'], 'source'> & {
      source: { kind: 'records'; scorer: 'gsm8k' | 'commonsense' }
    }
  }
  readonly rank: number
  readonly alpha: number | null
  readonly dropout: number
  /** Of methods that `learningRates` does not name. */
  readonly learningRate: number
  readonly learningRates: Readonly<Partial<Record<MethodName, number>>>
}

/** The paper's K; 2 examples × 8 devices × 8 accumulation steps are a batch of 128. */
const devices = 8
const microBatchSize = 2

/** ΔW of all modules of a 7B model takes hours to decompose; six of them now and then show how the spectrum grows. */
const spectra = { everySteps: 500, atEnd: false }

const table1: PaperRecipe = {
  title: 'Paper, Table 1 (Llama)',
  description:
    'LoRA, PiSSA and HD-PiSSA of rank 16 on mathematics or code: Llama-2-7B or Llama-3.1-8B, trained for one epoch on MetaMathQA (395K) or CodeFeedback-Python (105K).',
  methods: ['lora', 'pissa', 'hd-pissa'],
  asks: {
    'model.path': 'name the folder of Llama-2-7B or Llama-3.1-8B on the node',
    'data.source.path': 'name your copy of MetaMathQA or CodeFeedback-Python, as JSON or JSONL',
  },
  shared: {
    seed: 42,
    data: { source: { kind: 'records', scorer: 'gsm8k' }, template: 'alpaca', maxLength: 512 },
    schedule: { kind: 'cosine', warmupRatio: 0.03 },
    training: { epochs: 1, globalBatchSize: 128, microBatchSize, computeDtype: 'float32' },
    evaluation: { examples: 1319, maxNewTokens: 1024 },
    spectra,
  },
  rank: 16,
  alpha: null,
  dropout: 0,
  learningRate: 2e-5,
  learningRates: {},
}

/** q, k, v, up and down: o and gate stay frozen there. */
const table2Targets: TargetModuleName[] = ['q_proj', 'k_proj', 'v_proj', 'up_proj', 'down_proj']

export const paperRecipes = {
  table1,

  'table1-mistral': {
    ...table1,
    title: 'Paper, Table 1 (Mistral)',
    description:
      'The same for Mistral-7B-v0.1, whose learning rate in the paper is a quarter of Llama’s: 5e-6 for every method.',
    asks: { ...table1.asks, 'model.path': 'name the folder of Mistral-7B-v0.1 on the node' },
    learningRate: 5e-6,
  },

  table2: {
    title: 'Paper, Table 2 (commonsense)',
    description:
      'LoRA, DoRA, MoRA, HiRA and HD-PiSSA of rank 32 on commonsense reasoning: Llama-2-7B on commonsense_170k. Three epochs as in the paper’s text (its Table 5 says one); the baselines’ learning rates are those of their own repositories.',
    methods: ['lora', 'dora', 'mora', 'hira', 'hd-pissa'],
    asks: {
      'model.path': 'name the folder of Llama-2-7B on the node',
      'data.source.path': 'name your copy of commonsense_170k.json',
    },
    shared: {
      seed: 42,
      data: { source: { kind: 'records', scorer: 'commonsense' }, template: 'alpaca', maxLength: 512 },
      targetModules: table2Targets,
      schedule: { kind: 'linear', warmupSteps: 100 },
      training: { epochs: 3, globalBatchSize: 16, microBatchSize, computeDtype: 'float32' },
      evaluation: { examples: 1000, maxNewTokens: 32 },
      spectra,
    },
    rank: 32,
    alpha: 64,
    dropout: 0.05,
    learningRate: 2e-5,
    learningRates: { lora: 3e-4, dora: 2e-4, mora: 3e-4, hira: 1e-3 },
  },
} as const satisfies Record<string, PaperRecipe>

export type PaperRecipeName = keyof typeof paperRecipes
export const paperRecipeNames = Object.keys(paperRecipes) as PaperRecipeName[]

/** One run per method, in one group. Throws where the files are not named. */
export function paperComparison(
  name: PaperRecipeName,
  group: string,
  files: RecipeFiles,
  methods: readonly MethodName[] = paperRecipes[name].methods,
): RunConfig[] {
  const recipe: PaperRecipe = paperRecipes[name]
  const { shared } = recipe
  return methods.map((method) => {
    const own = ownCode(method)
    return runConfigSchema.parse({
      ...shared,
      model: { path: files.model },
      data: { ...shared.data, source: { ...shared.data.source, path: files.data } },
      method: methodOf(recipe, method),
      parallel: { devices },
      optimizer: {
        learningRate: recipe.learningRates[method] ?? recipe.learningRate,
        maxGradNorm: own ? null : 1,
      },
      // An explicit number of warm-up steps leaves nothing to round.
      schedule: {
        ...shared.schedule,
        warmupRounding: own || shared.schedule?.warmupSteps !== undefined ? 'floor' : 'ceil',
      },
      group,
      tags: ['paper', name],
    })
  })
}

/** Whether the paper ran the method in its own code rather than in the Hugging Face Trainer. */
function ownCode(method: MethodName): boolean {
  switch (method) {
    case 'hd-pissa':
    case 'lora-dwu':
    case 'intermediate':
      return true
    case 'full':
    case 'lora':
    case 'pissa':
    case 'dora':
    case 'mora':
    case 'hira':
      return false
    default:
      return method satisfies never
  }
}

/** The recipe's rank, alpha, dropout and sum, as far as the method has them. */
function methodOf({ rank, alpha, dropout }: PaperRecipe, name: MethodName): MethodConfig {
  const known: object = methodSchemas[name].shape
  const wanted = { rank, alpha, dropout, aggregate: 'sum' }
  const settings = Object.entries(wanted).filter(([key]) => key in known)
  return methodSchemas[name].parse({ name, ...Object.fromEntries(settings) })
}
