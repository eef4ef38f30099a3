/**
 * HD-PiSSA: high-rank distributed PiSSA (Wang et al. 2025, arXiv 2505.18777), with the options in which paper and
 * released code differ (docs/methods.md).
 *
 *   W = U S Vᵀ;  device k of K:  A_k = U_k √S_k [m, r],  B_k = √S_k V_kᵀ [r, n]  for its slice of components
 *   Y = X W + γ s X A_k B_k, γ → 0:   Y = X W
 *   gA_k = s X_kᵀ (G_k B_kᵀ),   gB_k = s (X_k A_k)ᵀ G_k          (divided by γ; rows of device k only)
 *   dA_k, dB_k = Adam_k(gA_k, gB_k)
 *   W ← W + c Σ_k (dA_k B_k + A_k dB_k + dA_k dB_k)              c = 1/K (mean, the paper) or 1 (sum, its code)
 *
 * One forward and backward pass over all rows serves all K devices, since with γ → 0 the output does not depend on k.
 * A and B stay as they are (`fixed`) or follow their own changes (`evolving`, which for K = 1 is PiSSA).
 */
import { effectiveAlpha, type MethodConfigOf, RankscopeError } from '@rankscope/protocol'
import type { Variable } from '@tensorflow/tfjs-core'
import { type FirstOrderSums, firstOrderAsLora } from '../export/adapter.ts'
import { plainLinear } from '../model/llama.ts'
import { accumulate, adamDelta } from '../ops/update.ts'
import { adamSettings, momentsPerDevice } from '../optim/optimizer.ts'
import { type MethodState, readValues } from '../optim/state.ts'
import { Random } from '../random.ts'
import { addProducts, deviceTerms, Scratch, type WeightWriter, weightWriter } from './direct-update.ts'
import { Dropout } from './dropout.ts'
import type { AttachContext, DeltaPart, Method, ModuleShape, TargetModule, Triplets } from './method.ts'
import { mutedHook } from './muted.ts'
import { principalFactors, warnOfMissingComponents } from './principal.ts'
import { directStepSquares } from './update-norm.ts'

type Config = MethodConfigOf<'hd-pissa'>
type Moments = ReturnType<typeof momentsPerDevice>

/** One module. */
interface Unit {
  readonly target: TargetModule
  /** A [K, m, r], B [K, r, n] of all devices. */
  readonly a: Variable
  readonly b: Variable
  /** Those of the devices in this process, which gradients are wanted for; the same where all are. */
  readonly ownA: Variable
  readonly ownB: Variable
  readonly momentsA: Moments
  readonly momentsB: Moments
  readonly writer: WeightWriter
  /** Running sums c Σ_t dA, c Σ_t dB and c Σ_t Σ_k dA_k dB_k, where the update is attributed. */
  readonly parts: { sumA: Variable; sumB: Variable; second: Variable | null } | null
}

/** s: what alpha multiplies gradients by. */
export function gradientScale(
  config: Pick<Config, 'rank' | 'alpha' | 'alphaMode' | 'legacyFloorAlpha'>,
): number {
  if (config.alphaMode === 'none') return 1
  const ratio = effectiveAlpha(config) / config.rank
  return config.legacyFloorAlpha ? Math.floor(ratio) : ratio
}

/** Numbers of the principal components of each device, from 0. */
export function componentSlices(
  slices: Config['slices'],
  devices: number,
  rank: number,
  random: Random,
): number[][] {
  const numbers = Array.from({ length: devices * rank }, (_, index) => index)
  const order = slices === 'random' ? random.shuffle(numbers) : numbers
  const component = (k: number, j: number): number => {
    switch (slices) {
      case 'contiguous':
      case 'random':
        return order[k * rank + j]!
      case 'strided':
        return j * devices + k
      case 'shared-top':
        return j
      default:
        return slices satisfies never
    }
  }
  return Array.from({ length: devices }, (_, k) => Array.from({ length: rank }, (_, j) => component(k, j)))
}

/** How many leading components of a module are needed. Throws RANK_TOO_LARGE where it has fewer. */
export function neededRank(config: Config, devices: number, target: ModuleShape & { name: string }): number {
  const available = Math.min(target.rows, target.columns)
  const wanted = config.slices === 'shared-top' ? config.rank : devices * config.rank
  if (wanted <= available) return wanted
  if (config.clampRank && config.slices !== 'shared-top') return available
  throw new RankscopeError(
    'RANK_TOO_LARGE',
    `${target.name} [${target.rows}, ${target.columns}] has ${available} principal components, ${devices} devices of rank ${config.rank} need ${wanted}`,
    { hint: 'Lower the rank or the number of devices, leave the module out, or set clampRank.' },
  )
}

export const hdPissa: Method<'hd-pissa'> = {
  name: 'hd-pissa',

  async attach(config, context) {
    const { targets, devices, model, optimizer, state, seed } = context
    const scale = gradientScale(config)
    const factor = (config.aggregate === 'mean' ? 1 / devices : 1) * (config.alphaMode === 'peft' ? scale : 1)
    const needed = targets.map((target) => ({ target, rank: neededRank(config, devices, target) }))
    const triplets = await context.decompose(
      needed.filter(({ target }) => !state.isGiven(`${target.name}.A`, [devices, target.rows, config.rank])),
      config,
    )
    const units = targets.map((target) =>
      makeUnit(config, context, target, triplets.get(target.name) ?? null, scale),
    )
    // Adapters that have moved no longer say what there was at the start.
    const atStart = units.filter(({ target }) => config.adapters === 'fixed' || triplets.has(target.name))
    warnOfMissingComponents(
      atStart.map(({ target, a }) => {
        const values = a.dataSync() as Float32Array
        // Shared components count once.
        return { target, a: config.slices === 'shared-top' ? values.subarray(0, a.size / devices) : values }
      }),
      config.rank,
      context.warn,
    )
    const byModule = new Map(units.map((unit) => [unit.target.name, unit]))
    const scratch = new Scratch(state)
    const hook = mutedHook(config, {
      units: byModule,
      dropout: new Dropout(config.dropout, devices, seed, state.collective),
      scale,
      model,
    })

    return {
      gradients: 'per-device',
      startsRounded: config.weightStorage === 'bfloat16',
      trained: units.flatMap(({ ownA, ownB }) => [ownA, ownB]),
      trainableParameters: targets.reduce((sum, target) => sum + hdPissa.parameterCount(config, target), 0),
      linear: hook.linear,
      beginPass: hook.beginPass,

      async update(gradients, settings) {
        const adam = adamSettings(optimizer, settings)
        let updateSquares = 0
        // Among ranks the changes of all modules are found first and exchanged together; alone, one module's at a time.
        const changes = (unit: Unit) => {
          const slot = state.collective ? unit.target.name : 'module'
          return {
            ownDeltaA: scratch.get(`dA ${slot}`, unit.ownA.shape),
            ownDeltaB: scratch.get(`dB ${slot}`, unit.ownB.shape),
            deltaA: scratch.get(`dA ${slot}`, unit.a.shape),
            deltaB: scratch.get(`dB ${slot}`, unit.b.shape),
          }
        }
        const find = (unit: Unit) => {
          const { ownA, ownB, momentsA, momentsB } = unit
          const { ownDeltaA, ownDeltaB } = changes(unit)
          adamDelta({ ...adam, ...momentsA, gradient: gradients.get(ownA), delta: ownDeltaA })
          adamDelta({ ...adam, ...momentsB, gradient: gradients.get(ownB), delta: ownDeltaB })
        }
        if (state.collective) {
          units.forEach(find)
          const pairs = units.map(changes).flatMap(({ deltaA, ownDeltaA, deltaB, ownDeltaB }) => [
            { all: deltaA, own: ownDeltaA },
            { all: deltaB, own: ownDeltaB },
          ])
          const constants = units.flatMap(({ a, ownA, b, ownB }) => [
            { all: a, own: ownA },
            { all: b, own: ownB },
          ])
          await state.joinDevices(context.regatherAdapters ? [...pairs, ...constants] : pairs)
        }
        for (const unit of units) {
          if (!state.collective) find(unit)
          const { target, a, b, ownA, ownB, writer, parts } = unit
          const { deltaA, deltaB, ownDeltaA, ownDeltaB } = changes(unit)
          const change = { a, b, deltaA, deltaB, factor, secondOrder: config.secondOrder }
          if (settings.watched.has(target.name)) updateSquares += await directStepSquares(target, change)
          writer.write(change, settings.learningRate * optimizer.weightDecay)
          if (parts) {
            accumulate(parts.sumA, deltaA, factor)
            accumulate(parts.sumB, deltaB, factor)
            if (parts.second) addProducts(parts.second, deltaA, deltaB, factor)
          }
          if (config.adapters === 'evolving') {
            accumulate(a, deltaA)
            accumulate(b, deltaB)
            if (ownA !== a) accumulate(ownA, ownDeltaA)
            if (ownB !== b) accumulate(ownB, ownDeltaB)
          }
        }
        return { updateSquares }
      },

      inference: () => ({ linear: plainLinear(model), dispose: () => undefined }),

      delta: (target, before) => deltaParts(byModule.get(target.name)!, config.rank, before),

      merged: ({ weight }) => readValues(weight),

      ...(config.attribution && {
        async adapter() {
          const modules: FirstOrderSums[] = []
          for (const { target, a, b, parts } of units) {
            const { name: module, rows, columns } = target
            const fixed = { a: await readValues(a), b: await readValues(b) }
            const sums = { sumA: await readValues(parts!.sumA), sumB: await readValues(parts!.sumB) }
            modules.push({ module, rows, columns, ...fixed, ...sums })
          }
          return firstOrderAsLora(config.rank, devices, modules)
        },
      }),
    }
  },

  // A and B: this device's, and those of all.
  regatheredFloats: ({ rank }, { rows, columns }, devices) => (devices + 1) * rank * (rows + columns),

  parameterCount: ({ rank }, { rows, columns }) => rank * (rows + columns),

  memory(config, { rows, columns }, devices) {
    const factors = devices * config.rank * (rows + columns)
    const copies = (config.compensated === 'none' ? 0 : 2) + (config.attribution ? 1 : 0)
    const dense = config.mute !== 'exact' || (config.dropout > 0 && config.dropoutMode === 'weight')
    return {
      stateFloats: 3 * factors + (config.attribution ? factors : 0) + copies * rows * columns,
      transientFloats: 3 * factors + (dense ? 2 * devices * rows * columns : 0),
    }
  },
}

/** `triplets` are null where the state already has the adapters. */
function makeUnit(
  config: Config,
  { devices, state, seed }: AttachContext,
  target: TargetModule,
  triplets: Triplets | null,
  scale: number,
): Unit {
  const { name, rows, columns } = target
  const shapeA = [devices, rows, config.rank]
  const shapeB = [devices, config.rank, columns]
  const random = new Random(seed).fork(`slices/${name}`)
  const slices = componentSlices(config.slices, devices, config.rank, random)
  const factors =
    triplets && principalFactors(triplets, target, slices, config.alphaMode === 'peft' ? scale : 1)
  const a = state.variable(`${name}.A`, shapeA, () => factors!.a)
  const b = state.variable(`${name}.B`, shapeB, () => factors!.b)
  return {
    target,
    a,
    b,
    ownA: state.ownDevices(a),
    ownB: state.ownDevices(b),
    momentsA: momentsPerDevice(state, `${name}.A`, shapeA),
    momentsB: momentsPerDevice(state, `${name}.B`, shapeB),
    writer: weightWriter(target, state, config),
    parts: config.attribution ? attributionSums(config, state, target, shapeA, shapeB) : null,
  }
}

function attributionSums(
  config: Config,
  state: MethodState,
  { name, rows, columns }: TargetModule,
  shapeA: number[],
  shapeB: number[],
): NonNullable<Unit['parts']> {
  return {
    sumA: state.zeros(`${name}.sum_dA`, shapeA),
    sumB: state.zeros(`${name}.sum_dB`, shapeB),
    second: config.secondOrder ? state.zeros(`${name}.second_order`, [rows, columns]) : null,
  }
}

/**
 * total = W_T − W_0; first-order = Σ_k (S_A,k B_k + A_k S_B,k), of rank ≤ 2Kr; second-order = c Σ_t Σ_k dA_k dB_k;
 * rounding = total − first-order − second-order, what float32 lost in W += dW (METHODS §4.4).
 */
async function deltaParts(
  { target, a, b, writer, parts }: Unit,
  rank: number,
  before: () => Promise<Float32Array>,
): Promise<DeltaPart[]> {
  const { rows, columns } = target
  const dense = { kind: 'dense', rows, columns } as const
  const total = await writer.delta(before)
  if (!parts) return [{ part: 'total', source: { ...dense, ...total } }]
  const [valuesA, valuesB] = [await readValues(a), await readValues(b)]
  const [sumA, sumB] = [await readValues(parts.sumA), await readValues(parts.sumB)]
  const terms = [
    ...deviceTerms(target, sumA, valuesB, rank, 1),
    ...deviceTerms(target, valuesA, sumB, rank, 1),
  ]
  const beside = { ...dense, firstOrder: terms }
  const second = parts.second ? await readValues(parts.second) : null
  const found: DeltaPart[] = [
    { part: 'total', source: { ...beside, ...total } },
    { part: 'first-order', source: { kind: 'factored', rows, columns, terms } },
  ]
  if (second) found.push({ part: 'second-order', source: { ...beside, after: second, before: null } })
  const subtract = second ? { terms, dense: second } : { terms }
  found.push({ part: 'rounding', source: { ...beside, ...total, subtract } })
  return found
}
