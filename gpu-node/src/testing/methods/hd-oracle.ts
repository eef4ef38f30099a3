/** For tests: HD-PiSSA in float64 on a toy layer, dense and device by device, from the paper's equations alone. */
import {
  Adam,
  type AdamOptions,
  denseGradient,
  type Matrix,
  multiply,
  plus,
  times,
  transposed,
} from './float64.ts'

export interface OracleDevice {
  a: Matrix
  b: Matrix
  readonly x: Matrix
  readonly t: Matrix
  readonly adamA: Adam
  readonly adamB: Adam
}

export interface OracleOptions extends AdamOptions {
  readonly aggregate: 'sum' | 'mean'
  readonly secondOrder?: boolean
  readonly evolving?: boolean
  /** Multiplies gradients. */
  readonly scale?: number
  /** Multiplies the update of W (alpha mode peft). */
  readonly updateScale?: number
  readonly lossScale?: number
  readonly weightDecay?: number
  readonly maxGradNorm?: number
  /** Plain gradient descent in place of Adam. */
  readonly plainDescent?: boolean
}

export class HdOracle {
  w: Matrix
  readonly devices: OracleDevice[]
  readonly #options: OracleOptions

  constructor(w: Matrix, devices: readonly Omit<OracleDevice, 'adamA' | 'adamB'>[], options: OracleOptions) {
    this.w = w
    this.devices = devices.map((device) => ({
      ...device,
      adamA: new Adam(options),
      adamB: new Adam(options),
    }))
    this.#options = options
  }

  /** gA_k = s D_k B_kᵀ, gB_k = s A_kᵀ D_k */
  gradients(device: OracleDevice): { gA: Matrix; gB: Matrix } {
    const { scale = 1, lossScale = 1 } = this.#options
    const { d } = denseGradient(device.x, this.w, device.t, lossScale / device.x.rows)
    return {
      gA: times(multiply(d, transposed(device.b)), scale),
      gB: times(multiply(transposed(device.a), d), scale),
    }
  }

  step(learningRate: number): void {
    const {
      aggregate,
      secondOrder = true,
      evolving = false,
      updateScale = 1,
      weightDecay = 0,
    } = this.#options
    const factor = (aggregate === 'mean' ? 1 / this.devices.length : 1) * updateScale
    const changes = this.devices.map((device) => {
      const { gA, gB } = this.#clipped(this.gradients(device))
      if (this.#options.plainDescent) return { dA: times(gA, -learningRate), dB: times(gB, -learningRate) }
      return { dA: device.adamA.delta(gA, learningRate), dB: device.adamB.delta(gB, learningRate) }
    })
    let w = times(this.w, 1 - learningRate * weightDecay)
    this.devices.forEach(({ a, b }, k) => {
      const { dA, dB } = changes[k]!
      w = plus(w, multiply(dA, b), factor)
      w = plus(w, multiply(a, dB), factor)
      if (secondOrder) w = plus(w, multiply(dA, dB), factor)
    })
    this.w = w
    if (evolving)
      this.devices.forEach((device, k) => {
        device.a = plus(device.a, changes[k]!.dA)
        device.b = plus(device.b, changes[k]!.dB)
      })
  }

  steps(count: number, learningRate: number): this {
    for (let i = 0; i < count; i++) this.step(learningRate)
    return this
  }

  #clipped(gradients: { gA: Matrix; gB: Matrix }): { gA: Matrix; gB: Matrix } {
    const { maxGradNorm } = this.#options
    if (maxGradNorm === undefined) return gradients
    const squares = [gradients.gA, gradients.gB].reduce(
      (sum, { values }) => sum + values.reduce((part, value) => part + value * value, 0),
      0,
    )
    const factor = Math.min(1, maxGradNorm / (Math.sqrt(squares) + 1e-6))
    return { gA: times(gradients.gA, factor), gB: times(gradients.gB, factor) }
  }
}
