/**
 * For tests: one linear layer Y = X W with a quadratic loss, adapted by a real method on the active backend. Small
 * enough for float64 oracles, and its gradient depends on W, so that several steps mean something.
 *
 *   L = Σ_k ½ ‖X_k W_k − T_k‖² / N_k          (× 1/K for methods that average gradients, as the trainer does)
 */
import { type MethodConfig, methodConfigSchema, type RunConfig, runConfigSchema } from '@rankscope/protocol'
import type { Scalar, Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import { customGrad, mul, square, sub, sum, tensor2d } from '@tensorflow/tfjs-core'
import { selectLinearAlgebra } from '../../linalg/select.ts'
import { topSvd } from '../../linalg/top-svd.ts'
import { attachMethod } from '../../methods/index.ts'
import type { Adaptation, DeltaPart, TargetModule } from '../../methods/method.ts'
import { type LlamaConfig, parseConfig } from '../../model/config.ts'
import { Model } from '../../model/model.ts'
import { backward } from '../../ops/gradients.ts'
import { parameter } from '../../ops/update.ts'
import { clipGradients } from '../../optim/clipping.ts'
import { GradientStore } from '../../optim/gradient-store.ts'
import { type InitialValues, MethodState, readValues } from '../../optim/state.ts'
import { Random } from '../../random.ts'

export interface ToySettings {
  /** As a person writes it: defaults left out. */
  readonly method: { name: MethodConfig['name'] } & Record<string, unknown>
  readonly devices?: number
  /** m, n */
  readonly rows?: number
  readonly columns?: number
  /** Rows of X per device. */
  readonly perDevice?: number
  readonly seed?: number
  readonly optimizer?: Partial<RunConfig['optimizer']>
  /** Every device sees device 0's data. */
  readonly sameData?: boolean
  readonly lossScale?: number
  readonly initial?: InitialValues
  /** Data and weight to use in place of random ones. */
  readonly w?: Float32Array
  readonly x?: Float32Array
  readonly t?: Float32Array
}

export const toyModule = 'model.layers.0.self_attn.q_proj'

export class ToyLayer {
  readonly settings: Required<Pick<ToySettings, 'devices' | 'rows' | 'columns' | 'perDevice' | 'lossScale'>>
  readonly config: MethodConfig
  readonly adaptation: Adaptation
  readonly target: TargetModule
  readonly state: MethodState
  readonly model: Model
  /** W_0 [m, n], X [N, m], T [N, n] */
  readonly w0: Float32Array
  readonly x: Float32Array
  readonly t: Float32Array
  readonly warnings: readonly string[]
  readonly #maxGradNorm: number | null
  #steps = 0

  private constructor(parts: {
    settings: ToyLayer['settings']
    config: MethodConfig
    adaptation: Adaptation
    target: TargetModule
    state: MethodState
    model: Model
    data: { w0: Float32Array; x: Float32Array; t: Float32Array }
    maxGradNorm: number | null
    warnings: string[]
  }) {
    this.settings = parts.settings
    this.config = parts.config
    this.adaptation = parts.adaptation
    this.target = parts.target
    this.state = parts.state
    this.model = parts.model
    this.w0 = parts.data.w0
    this.x = parts.data.x
    this.t = parts.data.t
    this.#maxGradNorm = parts.maxGradNorm
    this.warnings = parts.warnings
  }

  static async make(toy: ToySettings): Promise<ToyLayer> {
    const { devices = 1, rows = 8, columns = 6, perDevice = 5, seed = 1, lossScale = 1 } = toy
    const random = new Random(seed)
    const normal = (label: string, size: number, deviation = 1) =>
      random.fork(label).fillNormal(new Float32Array(size), 0, deviation)
    const w0 = toy.w ?? normal('w', rows * columns, 0.5)
    const repeat = (values: Float32Array, width: number) => {
      if (!toy.sameData) return values
      const first = values.slice(0, perDevice * width)
      return Float32Array.from({ length: devices * first.length }, (_, i) => first[i % first.length]!)
    }
    const x = toy.x ?? repeat(normal('x', devices * perDevice * rows), rows)
    const t = toy.t ?? repeat(normal('t', devices * perDevice * columns), columns)
    const weight = parameter(w0, [rows, columns])
    const model = new Model(toyModelConfig, new Map([[`${toyModule}.weight`, weight]]), null)
    const target = { name: toyModule, rows, columns, weight, bias: undefined }
    const config = methodConfigSchema.parse(toy.method)
    const state = new MethodState(toy.initial ?? null)
    const warnings: string[] = []
    const { optimizer } = runConfigSchema.parse({
      data: { source: { kind: 'task', task: 'mix' } },
      method: config,
      optimizer: toy.optimizer ?? {},
    })
    try {
      const adaptation = await attachMethod(config, {
        model,
        targets: [target],
        devices,
        seed,
        optimizer,
        state,
        decompose: async (wanted, { svd, svdIterations: iterations }) =>
          new Map(
            wanted.map(({ target: { name }, rank }) => [
              name,
              topSvd(selectLinearAlgebra().algebra, w0, { rows, columns, rank }, { kind: svd, iterations }),
            ]),
          ),
        warn: (message) => warnings.push(message),
      })
      const settings = { devices, rows, columns, perDevice, lossScale }
      const data = { w0, x, t }
      const { maxGradNorm } = optimizer
      return new ToyLayer({ settings, config, adaptation, target, state, model, data, maxGradNorm, warnings })
    } catch (error) {
      state.dispose()
      model.dispose()
      throw error
    }
  }

  /** One optimiser step; returns the report of the method. */
  async step(learningRate: number, watched = false): Promise<{ updateSquares: number; norm: number }> {
    this.#steps++
    const gradients = this.gradientStore()
    const kind = this.adaptation.gradients
    const { devices } = this.settings
    const { norm, factor } = await clipGradients(gradients, kind, devices, this.#maxGradNorm)
    const report = await this.adaptation.update(gradients, {
      step: this.#steps,
      learningRate,
      gradientFactor: factor,
      watched: new Set(watched ? [toyModule] : []),
    })
    gradients.dispose()
    return { ...report, norm }
  }

  async steps(count: number, learningRate: number): Promise<this> {
    for (let i = 0; i < count; i++) await this.step(learningRate)
    return this
  }

  /** Gradients of the loss at the present weights, on all rows or on those of one device (then as if it were alone). */
  gradientStore(): GradientStore {
    const gradients = new GradientStore(this.adaptation.trained)
    const { rows, columns, devices, perDevice, lossScale } = this.settings
    this.adaptation.beginPass({ step: Math.max(1, this.#steps), microBatch: 0, sequence: perDevice })
    const x = tensor2d(this.x, [devices * perDevice, rows])
    const t = tensor2d(this.t, [devices * perDevice, columns])
    const share = this.adaptation.gradients === 'averaged' ? 1 / devices : 1
    backward(
      () => quadraticLoss(this.adaptation.linear(toyModule, x), t, (lossScale * share) / perDevice),
      this.adaptation.trained,
      (variable, gradient) => gradients.add(variable, gradient),
    ).dispose()
    x.dispose()
    t.dispose()
    return gradients
  }

  /** The gradient of each trained variable, in the order of `adaptation.trained`. */
  async gradients(): Promise<Float32Array[]> {
    const store = this.gradientStore()
    const values: Float32Array[] = []
    for (const variable of this.adaptation.trained) values.push(await readValues(store.get(variable)))
    store.dispose()
    return values
  }

  /** Training output [N, n]. */
  async output(hook = this.adaptation.linear, x = this.x): Promise<Float32Array> {
    const { rows } = this.settings
    const input = tensor2d(x, [x.length / rows, rows])
    const y = hook(toyModule, input)
    const values = await readValues(y)
    for (const tensor of [input, y]) tensor.dispose()
    return values
  }

  /** W as the model holds it [m, n]. */
  weight(): Promise<Float32Array> {
    return readValues(this.target.weight)
  }

  merged(): Promise<Float32Array> {
    return this.adaptation.merged(this.target)
  }

  parts(): Promise<DeltaPart[]> {
    return this.adaptation.delta(this.target, async () => this.w0.slice())
  }

  /** One part of the state by the name behind the module, e.g. `A`. */
  async named(name: string): Promise<Float32Array> {
    const entry = this.state.entries().find((candidate) => candidate.name === `${toyModule}.${name}`)
    if (!entry) throw new Error(`no state named ${name}`)
    return entry.read()
  }

  dispose(): void {
    this.state.dispose()
    this.model.dispose()
  }
}

/** factor · ½ Σ (y − t)² */
export function quadraticLoss(y: Tensor2D, t: Tensor, factor: number): Scalar {
  return customGrad((output, save) => {
    ;(save as unknown as (tensors: Tensor[]) => void)([output as Tensor, t])
    return {
      value: mul(sum(square(sub(output as Tensor, t))), 0.5 * factor),
      gradFunc: (dy: Tensor, [saved, wanted]: Tensor[]) => mul(mul(sub(saved!, wanted!), factor), dy),
    }
  })(y) as Scalar
}

/** Values by the name behind the module; everything else as the method makes it. */
export function startWith(values: Record<string, Float32Array>): InitialValues {
  return { complete: false, read: (name) => values[name.slice(toyModule.length + 1)] ?? null }
}

const toyModelConfig: LlamaConfig = parseConfig(
  {
    model_type: 'llama',
    hidden_size: 8,
    intermediate_size: 8,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    vocab_size: 8,
  },
  'toy',
)
