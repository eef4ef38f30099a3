/** For tests: a small Llama with random weights in memory, random tokens, and the real training loop over them. */
import { type RunConfig, type RunConfigInput, runConfigSchema } from '@rankscope/protocol'
import type { Collective } from '../../collectives/collective.ts'
import type { TokenExample } from '../../data/examples.ts'
import { selectLinearAlgebra } from '../../linalg/select.ts'
import { topSvd } from '../../linalg/top-svd.ts'
import type { TargetModule } from '../../methods/method.ts'
import { parseConfig } from '../../model/config.ts'
import { Model } from '../../model/model.ts'
import { parameterSpecs } from '../../model/parameters.ts'
import { parameter } from '../../ops/update.ts'
import { type InitialValues, type MethodState, readValues } from '../../optim/state.ts'
import { Random } from '../../random.ts'
import { assembleTraining } from '../../train/session.ts'
import { type StepReport, type Training, train } from '../../train/trainer.ts'

export interface ToyTraining {
  readonly config: RunConfig
  readonly training: Training
  readonly state: MethodState
  readonly targets: readonly TargetModule[]
  /** Trains from `from` until `until` steps are done (default: to the end) and returns the reports. */
  run(from?: number, until?: number): Promise<StepReport[]>
  /** Every weight of the model by name. */
  weights(): Promise<Map<string, Float32Array>>
  dispose(): void
}

export const toyLlama = parseConfig(
  {
    model_type: 'llama',
    hidden_size: 16,
    intermediate_size: 24,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    vocab_size: 19,
    tie_word_embeddings: true,
  },
  'toy',
)

export type ToyConfig = Omit<RunConfigInput, 'data'> & { data?: Partial<RunConfigInput['data']> }

export async function toyTraining(
  input: ToyConfig,
  {
    initial = null,
    examples = toyExamples(24),
    collective = null,
  }: { initial?: InitialValues | null; examples?: TokenExample[]; collective?: Collective | null } = {},
): Promise<ToyTraining> {
  const config = runConfigSchema.parse({
    optimizer: { learningRate: 1e-2 },
    ...input,
    data: { source: { kind: 'tokens', path: 'toy' }, shuffle: false, ...input.data },
    training: { globalBatchSize: 4, microBatchSize: 2, ...input.training },
  })
  const random = new Random(9)
  const weights = parameterSpecs(toyLlama).map(({ name, shape }) => {
    const values = new Float32Array(shape.reduce((size, length) => size * length, 1))
    const start = name.endsWith('norm.weight') ? values.fill(1) : random.fork(name).fillNormal(values, 0, 0.3)
    return [name, parameter(start, shape)] as const
  })
  const model = new Model(toyLlama, new Map(weights), null)
  const session = await assembleTraining({
    config,
    model,
    examples,
    padTokenId: 0,
    decompose: async (wanted, { svd }) =>
      new Map(
        wanted.map(({ target, rank }) => {
          const w = target.weight.dataSync() as Float32Array
          return [target.name, topSvd(selectLinearAlgebra().algebra, w, { ...target, rank }, { kind: svd })]
        }),
      ),
    warn: () => undefined,
    initial,
    collective: collective ?? undefined,
  })
  const { training, state, targets, dispose } = session
  return {
    config,
    training,
    state,
    targets,
    async run(from = 0, until = training.sampler.totalSteps) {
      const reports: StepReport[] = []
      if (from === until) return reports
      await train(training, from, async (report) => {
        reports.push(report)
        return report.step === until ? 'leave' : 'continue'
      })
      return reports
    },
    async weights() {
      const found = new Map<string, Float32Array>()
      for (const [name, weight] of model.weights) found.set(name, await readValues(weight))
      return found
    },
    dispose,
  }
}

/** Random tokens in examples of 4 to 9 tokens, the first two of each a prompt. */
export function toyExamples(count: number, seed = 5): TokenExample[] {
  const random = new Random(seed)
  return Array.from({ length: count }, () => {
    const inputIds = Int32Array.from({ length: random.integer(4, 10) }, () => random.integer(1, 19))
    return { inputIds, labels: inputIds.map((id, position) => (position < 2 ? -100 : id)) }
  })
}

/** One configuration of every method, with the options that keep state of their own. */
export const everyMethod: readonly (readonly [
  label: string,
  method: RunConfigInput['method'],
  devices: number,
])[] = [
  ['full', { name: 'full' }, 2],
  ['full, linears only', { name: 'full', scope: 'linears' }, 1],
  ['lora', { name: 'lora', rank: 2, dropout: 0.2 }, 2],
  ['pissa', { name: 'pissa', rank: 2, alpha: 3 }, 2],
  ['hd-pissa', { name: 'hd-pissa', rank: 2, aggregate: 'sum' }, 2],
  ['hd-pissa, evolving, kahan', { name: 'hd-pissa', rank: 2, adapters: 'evolving', compensated: 'kahan' }, 2],
  [
    'hd-pissa, separate, attributed',
    { name: 'hd-pissa', rank: 2, compensated: 'separate', attribution: true },
    2,
  ],
  ['hd-pissa, random slices, dropout', { name: 'hd-pissa', rank: 2, slices: 'random', dropout: 0.2 }, 2],
  ['hd-pissa, literal mute', { name: 'hd-pissa', rank: 2, mute: { literal: 1e-8 } }, 1],
  ['dora', { name: 'dora', rank: 2 }, 1],
  ['dora, norm not detached', { name: 'dora', rank: 2, detachNorm: false }, 2],
  ['mora 1', { name: 'mora', rank: 2, type: 1 }, 1],
  ['mora 6', { name: 'mora', rank: 2, type: 6 }, 2],
  ['hira', { name: 'hira', rank: 2 }, 2],
  ['lora-dwu', { name: 'lora-dwu', rank: 2 }, 2],
  ['intermediate', { name: 'intermediate', rank: 2, syncEvery: 3 }, 2],
]
