/** Trains one configuration and looks at the ΔW of every target module, in parts. */
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { comparisonBase, type RunConfig, type RunConfigInput, runConfigSchema } from '@rankscope/protocol'
import { closeSpectra } from '../../gpu-node/src/linalg/index.ts'
import { float32RoundingDeviation, noiseFloor } from '../../gpu-node/src/linalg/rank-measures.ts'
import { selectLinearAlgebra } from '../../gpu-node/src/linalg/select.ts'
import { type Spectrum, type SpectrumSource, spectrum } from '../../gpu-node/src/linalg/spectrum.ts'
import type { DeltaPart, TargetModule } from '../../gpu-node/src/methods/method.ts'
import { type PreparedRun, prepareRun } from '../../gpu-node/src/run/prepare.ts'
import { RunControl } from '../../gpu-node/src/run/run.ts'
import { train } from '../../gpu-node/src/train/trainer.ts'
import { type Tail, tailBeyondFirstOrder } from './tail.ts'

export interface Setting {
  /** Folder of the model. */
  readonly model: string
  readonly rank: number
  readonly devices: number
  readonly steps: number
}

/** One training run of the comparison. */
export interface Variant {
  readonly label: string
  readonly method: RunConfigInput['method']
  /** Where its spectrum must end: r, 2r or 2Kr. */
  readonly bound: { readonly name: string; readonly rank: number }
  /** True of a run that is there to be compared with: HD-PiSSA without its second-order term. */
  readonly control: boolean
}

export interface ModuleResult {
  readonly module: string
  readonly rows: number
  readonly columns: number
  /** By part; `merged` is W_T − W_0 of the float32 weights that a merge of the factors gives. */
  readonly spectra: ReadonlyMap<DeltaPart['part'] | 'merged', Spectrum>
  /** Of HD-PiSSA where the module has more than 2Kr directions. */
  readonly tail: Tail | null
  /** Largest singular value to be expected of one float32 rounding of W, and of one per step. */
  readonly floor: { readonly once: number; readonly everyStep: number }
}

export interface RunResult {
  readonly variant: Variant
  readonly learningRate: number
  readonly steps: number
  readonly firstLoss: number
  readonly finalLoss: number
  readonly modules: readonly ModuleResult[]
}

/** LoRA and PiSSA; HD-PiSSA by the paper and by its code, each with and without its second-order term. */
export function variants({ rank, devices }: Setting): Variant[] {
  const hd = (aggregate: 'mean' | 'sum', secondOrder: boolean): Variant => ({
    label: `HD-PiSSA ${aggregate}${secondOrder ? '' : ', first order only'}`,
    method: { name: 'hd-pissa', rank, aggregate, secondOrder, attribution: true },
    bound: { name: '2Kr', rank: 2 * devices * rank },
    control: !secondOrder,
  })
  return [
    { label: 'LoRA', method: { name: 'lora', rank }, bound: { name: 'r', rank }, control: false },
    {
      label: 'PiSSA',
      method: { name: 'pissa', rank },
      bound: { name: '2r', rank: 2 * rank },
      control: false,
    },
    hd('mean', true),
    hd('mean', false),
    hd('sum', true),
    hd('sum', false),
  ]
}

export async function runVariant(
  setting: Setting,
  variant: Variant,
  learningRate: number,
): Promise<RunResult & { backend: string }> {
  const config = configOf(setting, variant, learningRate)
  const described: string[] = []
  const prepared = await prepareRun(config, {
    emit: (record) => {
      if (record.kind === 'log' && record.level === 'info') described.push(record.message)
    },
    roots: { models: [dirname(setting.model)], data: [], anywhere: true },
    folder: join(tmpdir(), 'rankscope-attribution'),
    cacheFolder: null,
    threads: 1,
    memoryBytes: null,
    checkpointFrom: null,
    control: new RunControl(),
  })
  try {
    const losses: number[] = []
    const steps = await train(prepared.training, 0, async ({ loss }) => {
      losses.push(loss)
      return 'continue'
    })
    const modules: ModuleResult[] = []
    for (const target of prepared.targets) modules.push(await measure(prepared, target, steps))
    const [firstLoss, finalLoss] = [mean(losses.slice(0, 16)), mean(losses.slice(-16))]
    const backend = described.find((line) => line.startsWith('backend '))?.replace(/:[^:]*$/, '') ?? ''
    return { variant, learningRate, steps, firstLoss, finalLoss, modules, backend }
  } finally {
    prepared.dispose()
    await closeSpectra()
  }
}

function configOf({ model, devices, steps }: Setting, { method }: Variant, learningRate: number): RunConfig {
  const { globalBatchSize } = comparisonBase.training
  const source = { ...comparisonBase.data.source, trainExamples: steps * globalBatchSize }
  return runConfigSchema.parse({
    ...comparisonBase,
    model: { path: model },
    data: { ...comparisonBase.data, source },
    method,
    parallel: { devices },
    optimizer: { learningRate },
    training: { ...comparisonBase.training, microBatchSize: globalBatchSize / devices },
  } satisfies RunConfigInput)
}

async function measure(
  { adaptation, base }: PreparedRun,
  target: TargetModule,
  steps: number,
): Promise<ModuleResult> {
  const { algebra } = selectLinearAlgebra()
  const { name: module, rows, columns } = target
  const before = base.read(target)
  const parts = await adaptation.delta(target, async () => before)
  const sources = new Map(parts.map(({ part, source }) => [part, source]))
  const spectra = new Map<DeltaPart['part'] | 'merged', Spectrum>()
  const record = (part: DeltaPart['part'] | 'merged', source: SpectrumSource) =>
    spectra.set(
      part,
      spectrum(algebra, source, () => performance.now()),
    )
  for (const [part, source] of sources) record(part, source)
  if (sources.get('total')!.kind === 'factored')
    record('merged', { kind: 'dense', rows, columns, after: await adaptation.merged(target), before })
  const first = sources.get('first-order')
  const deviation = float32RoundingDeviation(before)
  return {
    module,
    rows,
    columns,
    spectra,
    tail:
      first === undefined
        ? null
        : tailBeyondFirstOrder(algebra, sources.get('total')!, first, sources.get('second-order') ?? null),
    floor: {
      once: noiseFloor(deviation, target),
      everyStep: noiseFloor(deviation, target, steps),
    },
  }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
