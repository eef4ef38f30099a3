/** Ready-made sets of runs: the comparison that the demo launches and the launch form offers. */
import { type MethodName, methodLabels } from './method-config.ts'
import { type RunConfig, type RunConfigInput, runConfigSchema } from './run-config.ts'

/**
 * Settings of the built-in comparison that differ per method. Each learning rate is the best of those tried on the
 * built-in task (LoRA and PiSSA 2e-3 to 1e-2, HD-PiSSA 2e-3 to 8e-3, full 1e-3 to 2e-3), one seed: the curves compare
 * spectra at a good rate for each, and are no ranking of methods.
 */
const comparisonMethods: Record<
  'lora' | 'pissa' | 'hd-pissa' | 'full',
  Pick<RunConfigInput, 'method' | 'optimizer' | 'parallel'>
> = {
  lora: {
    method: { name: 'lora', rank: 4 },
    optimizer: { learningRate: 1e-2 },
    parallel: { devices: 4 },
  },
  pissa: {
    method: { name: 'pissa', rank: 4 },
    optimizer: { learningRate: 1e-2 },
    parallel: { devices: 4 },
  },
  'hd-pissa': {
    method: { name: 'hd-pissa', rank: 4, aggregate: 'sum' },
    optimizer: { learningRate: 4e-3 },
    parallel: { devices: 4 },
  },
  full: { method: { name: 'full' }, optimizer: { learningRate: 2e-3 }, parallel: { devices: 4 } },
}
export type ComparisonMethod = keyof typeof comparisonMethods
export const comparisonMethodNames = Object.keys(comparisonMethods) as ComparisonMethod[]

/** The setting that all runs of the built-in comparison share. */
export const comparisonBase = {
  model: { path: 'rankscope-mini' },
  data: {
    source: { kind: 'task', task: 'arithmetic', trainExamples: 6144, evaluationExamples: 128 },
    template: 'plain',
    maxLength: 128,
  },
  schedule: { kind: 'cosine', warmupRatio: 0.03 },
  training: { epochs: 1, globalBatchSize: 16, microBatchSize: 4 },
  evaluation: { everySteps: 96, atStart: true, examples: 128, maxNewTokens: 40, samples: 4 },
  spectra: { everySteps: 8 },
} as const satisfies Omit<RunConfigInput, 'method'>

/** One run per method on the same data, in one group. Throws where `base` is invalid. */
export function comparison(
  group: string,
  methods: readonly ComparisonMethod[] = comparisonMethodNames,
  base: Omit<RunConfigInput, 'method'> = comparisonBase,
): RunConfig[] {
  return methods.map((method) =>
    runConfigSchema.parse({ ...base, ...comparisonMethods[method], group, tags: ['comparison'] }),
  )
}

/** Label of a run's method for tables and legends, e.g. `HD-PiSSA (sum, K = 4)`. */
export function methodLabel(config: RunConfig): string {
  const base = methodLabels[config.method.name as MethodName]
  if (config.job.kind === 'evaluation') return config.job.of === null ? 'Evaluation' : `Evaluation of ${base}`
  const devices = config.parallel.devices
  if ('aggregate' in config.method)
    return devices > 1 ? `${base} (${config.method.aggregate}, K = ${devices})` : base
  return base
}
