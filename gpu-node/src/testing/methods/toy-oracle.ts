/** For tests: a toy layer's matrices in float64, and W' of every method from its parameters by the papers' formulas. */
import { effectiveAlpha } from '@rankscope/protocol'
import { loraScale } from '../../methods/lora.ts'
import { squareSize } from '../../methods/mora.ts'
import {
  combine,
  hadamard,
  type Matrix,
  matrix,
  multiply,
  plus,
  quadratic,
  slices,
  times,
  transposed,
  zeros,
} from './float64.ts'
import { HdOracle, type OracleOptions } from './hd-oracle.ts'
import type { ToyLayer } from './toy-layer.ts'

/** X and T of each device. */
export function deviceData({ x, t, settings }: ToyLayer): { x: Matrix; t: Matrix }[] {
  const { devices, perDevice, rows, columns } = settings
  const parts = slices(t, devices, perDevice, columns)
  return slices(x, devices, perDevice, rows).map((part, k) => ({ x: part, t: parts[k]! }))
}

/** The float64 twin of an HD-PiSSA layer, from the adapters that the layer starts with. */
export async function hdOracle(toy: ToyLayer, options: OracleOptions): Promise<HdOracle> {
  const { devices, rows, columns } = toy.settings
  const rank = 'rank' in toy.config ? toy.config.rank : 1
  const a = slices(await toy.named('A'), devices, rows, rank)
  const b = slices(await toy.named('B'), devices, rank, columns)
  const data = deviceData(toy).map((part, k) => ({ ...part, a: a[k]!, b: b[k]! }))
  return new HdOracle(matrix(toy.w0, rows, columns), data, options)
}

/** Effective weight of the training forward pass on each device, from `parameters` in the order of `trained`. */
export type EffectiveWeights = (parameters: readonly Matrix[]) => Matrix[]

/** W'_k of a method whose output is X_k W'_k; `parameters` [r, c] matrices, device by device for [K, r, c]. */
export async function effectiveWeights(toy: ToyLayer): Promise<EffectiveWeights> {
  const { rows, columns, devices } = toy.settings
  const w = matrix(await toy.weight(), rows, columns)
  const { config } = toy
  const everywhere = (weight: Matrix) => Array.from({ length: devices }, () => weight)
  switch (config.name) {
    case 'full':
      return ([weight]) => everywhere(weight!)
    case 'lora': {
      const scale = loraScale(config)
      return ([a, b]) => everywhere(plus(w, multiply(a!, b!), scale))
    }
    case 'pissa': {
      const scale = effectiveAlpha(config) / config.rank
      return ([a, b]) => everywhere(plus(w, multiply(a!, b!), scale))
    }
    case 'hira':
      return ([a, b]) => everywhere(combine(w, multiply(a!, b!), (x, y) => x * (1 + y)))
    case 'dora': {
      const scale = effectiveAlpha(config) / config.rank
      // With the norm detached it is a constant, that of the parameters where the gradient is taken.
      const fixed = config.detachNorm
        ? columnNorms(
            plus(
              w,
              multiply(
                matrix(await toy.named('A'), rows, config.rank),
                matrix(await toy.named('B'), config.rank, columns),
              ),
              scale,
            ),
          )
        : null
      return ([a, b, magnitude]) => {
        const v = plus(w, multiply(a!, b!), scale)
        const norms = fixed ?? columnNorms(v)
        return everywhere({
          ...v,
          values: v.values.map((value, i) => (value * magnitude!.values[i % columns]!) / norms[i % columns]!),
        })
      }
    }
    case 'mora': {
      const map = moraMap(config.type, squareSize(config, { rows, columns }), rows, columns)
      return ([m]) => everywhere(plus(w, map(m!)))
    }
    case 'intermediate': {
      const a0 = slices(await toy.named('A_merged'), devices, rows, config.rank)
      const b0 = slices(await toy.named('B_merged'), devices, config.rank, columns)
      return (parameters) =>
        a0.map((start, k) => {
          const moved = multiply(parameters[k]!, parameters[devices + k]!)
          return plus(plus(w, moved), multiply(start, b0[k]!), -1)
        })
    }
    case 'hd-pissa':
    case 'lora-dwu':
      throw new Error('muted adapters are no part of the forward pass')
  }
}

/** ΔW of MoRA from M, entry by entry from the definition (arXiv 2405.12130, Eq. 6 and 9). */
export function moraMap(type: 1 | 6, size: number, rows: number, columns: number): (m: Matrix) => Matrix {
  const blocks = Math.ceil(rows / size)
  /** Row i: what feature i contributes to each of `blocks` compressed inputs. */
  const compress = Array.from({ length: blocks }, () => zeros(rows, size))
  for (let position = 0; position < blocks * size; position++) {
    const [block, j] = [Math.floor(position / size), position % size]
    const feature = position % rows
    if (type === 1) compress[0]!.values[feature * size + j]! += 1
    else {
      const half = size / 2
      const angle = block * 10_000 ** ((-2 * (j % half)) / size)
      const partner = j < half ? j + half : j - half
      // The rotation sends (x1, x2) to (x1 cos − x2 sin, x2 cos + x1 sin).
      compress[block]!.values[feature * size + j]! += Math.cos(angle)
      compress[block]!.values[feature * size + partner]! += j < half ? Math.sin(angle) : -Math.sin(angle)
    }
  }
  return (m) => {
    const used = type === 1 ? [compress[0]!] : compress
    const outputs = used.map((c) => multiply(c, m))
    const width = outputs.length * size
    const result = zeros(rows, columns)
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) {
        const source = j % width
        result.values[i * columns + j] =
          outputs[Math.floor(source / size)]!.values[i * size + (source % size)]!
      }
    return result
  }
}

/** Loss of the toy layer, as its training minimises it, for given effective weights. */
export function toyLoss(toy: ToyLayer, weights: readonly Matrix[]): number {
  const { devices, perDevice, lossScale } = toy.settings
  const share = toy.adaptation.gradients === 'averaged' ? 1 / devices : 1
  return deviceData(toy).reduce(
    (sum, { x, t }, k) => sum + quadratic(x, weights[k]!, t, (lossScale * share) / perDevice),
    0,
  )
}

/** Values of every trained variable as 2-D matrices: [K, r, c] gives K of them. */
export async function trainedMatrices(toy: ToyLayer): Promise<Matrix[][]> {
  const found: Matrix[][] = []
  for (const variable of toy.adaptation.trained) {
    const values = (await variable.data()) as Float32Array
    const shape = variable.shape
    const [rows, columns] = shape.length === 1 ? [1, shape[0]!] : [shape.at(-2)!, shape.at(-1)!]
    found.push(slices(values, values.length / (rows * columns), rows, columns))
  }
  return found
}

function columnNorms(w: Matrix): number[] {
  const squares = multiply(transposed(hadamard(w, w)), matrix(Array(w.rows).fill(1), w.rows, 1))
  return [...times(squares, 1).values].map(Math.sqrt)
}
