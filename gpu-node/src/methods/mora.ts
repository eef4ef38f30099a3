/**
 * MoRA: high-rank updating by a square matrix (Jiang et al. 2024, arXiv 2405.12130), as in the authors' code.
 *
 *   Y = X W + decompress(compress(X) M)       M [h, h], zero at the start, h = ⌊√((m + n) r) + ½⌋; scale 1
 *
 *   type 1 (sharing):  X is padded to a multiple of h by repeating its first columns and its blocks are added:
 *                      z [N, h]; z M is repeated and cut to n columns. rank(ΔW) ≤ h
 *   type 6 (rotation, h even):  block i of p = ⌈m / h⌉ is rotated by position i (half-split, angles i · 10000^(−2j/h)),
 *                      the same M is applied to each block, results stand side by side, cut to n (repeated where p h < n)
 *
 * In the authors' orientation M is transposed. ΔW is the map applied to the identity.
 */
import type { MethodConfigOf } from '@rankscope/protocol'
import type { Tensor, Tensor2D, Variable } from '@tensorflow/tfjs-core'
import { eye, tidy } from '@tensorflow/tfjs-core'
import { add, linear, matMul } from '../ops/linear.ts'
import { rope } from '../ops/pointwise.ts'
import { parameter } from '../ops/update.ts'
import { AdamW } from '../train/optimizer.ts'
import { foldColumns, wrapColumns } from './columns.ts'
import { Dropout } from './dropout.ts'
import { reshaped } from './elementwise.ts'
import type { Method, ModuleShape, TargetModule } from './method.ts'
import { readValues } from './state.ts'
import { copyOf, denseStepSquares, ownTensor } from './update-norm.ts'

interface Unit {
  readonly target: TargetModule
  readonly m: Variable
  /** compress, M, decompress: [N, m] → [N, n] */
  readonly map: (x: Tensor) => Tensor
}

/** h: about as many parameters as LoRA of rank r. */
export function squareSize(
  { rank, type }: Pick<MethodConfigOf<'mora'>, 'rank' | 'type'>,
  { rows, columns }: ModuleShape,
): number {
  const size = Math.floor(Math.sqrt((rows + columns) * rank) + 0.5)
  return type === 6 ? Math.floor(size / 2) * 2 : size
}

export const mora: Method<'mora'> = {
  name: 'mora',

  async attach(config, { targets, devices, model, optimizer, state, seed }) {
    const units = targets.map((target): Unit => {
      const size = squareSize(config, target)
      const m = state.zeros(`${target.name}.M`, [size, size])
      if (config.type === 1) return { target, m, map: (x) => sharedMap(x, m, target) }
      const tables = rotationTables(Math.ceil(target.rows / size), size)
      const cos = state.own(tables.cos())
      const sin = state.own(tables.sin())
      return { target, m, map: (x) => rotatedMap(x, m, target, cos, sin) }
    })
    const byModule = new Map(units.map((unit) => [unit.target.name, unit]))
    const adam = new AdamW(
      state,
      units.map(({ target, m }) => ({ name: `${target.name}.M`, parameter: m })),
      optimizer,
    )
    const dropout = new Dropout(config.dropout, devices, seed, state.collective)
    const hook = (drop: boolean) => (module: string, x: Tensor2D) => {
      const unit = byModule.get(module)
      const y = linear(x, model.weight(`${module}.weight`), model.weights.get(`${module}.bias`))
      return unit ? (add(y, unit.map(drop ? dropout.apply(module, x) : x)) as Tensor2D) : y
    }
    const change = ({ target, map }: Unit): Tensor => tidy(() => map(eye(target.rows)))

    return {
      gradients: 'averaged',
      trained: units.map(({ m }) => m),
      trainableParameters: targets.reduce((sum, target) => sum + mora.parameterCount(config, target), 0),
      linear: hook(true),
      beginPass: (position) => dropout.beginPass(position),

      async update(gradients, settings) {
        const watched = units.filter(({ target }) => settings.watched.has(target.name))
        const weights = watched.map((unit) => () => ownTensor(() => change(unit)))
        return { updateSquares: await denseStepSquares(weights, () => adam.step(gradients, settings)) }
      },

      inference: () => ({ linear: hook(false), dispose: () => undefined }),

      async delta(target) {
        const dense = change(byModule.get(target.name)!)
        const after = await readValues(dense)
        dense.dispose()
        const { rows, columns } = target
        return [{ part: 'total', source: { kind: 'dense', rows, columns, after, before: null } }]
      },

      async merged(target) {
        const sum = tidy(() => copyOf(add(target.weight, change(byModule.get(target.name)!))))
        const values = await readValues(sum)
        sum.dispose()
        return values
      },
    }
  },

  parameterCount: (config, shape) => squareSize(config, shape) ** 2,

  memory: (config, shape) => ({
    stateFloats: 3 * squareSize(config, shape) ** 2,
    transientFloats: squareSize(config, shape) ** 2,
  }),
}

/** Type 1. */
function sharedMap(x: Tensor, m: Tensor, { rows, columns }: ModuleShape): Tensor {
  const size = m.shape[0]!
  const padded = wrapColumns(x, Math.ceil(rows / size) * size)
  return wrapColumns(matMul(foldColumns(padded, size), m), columns)
}

/** Type 6. */
function rotatedMap(x: Tensor, m: Tensor, { rows, columns }: ModuleShape, cos: Tensor, sin: Tensor): Tensor {
  const [count, size] = [x.shape[0]!, m.shape[0]!]
  const blocks = Math.ceil(rows / size)
  const stacked = reshaped(wrapColumns(x, blocks * size), [count * blocks, size])
  const rotated = rope(stacked, cos, sin, { sequence: blocks, heads: 1, headDim: size })
  return wrapColumns(reshaped(matMul(rotated, m), [count, blocks * size]), columns)
}

/** cos and sin [p, h/2] of i · 10000^(−2j/h). */
function rotationTables(blocks: number, size: number) {
  const half = size / 2
  const table = (f: (angle: number) => number) => () => {
    const values = Float32Array.from({ length: blocks * half }, (_, index) =>
      f(Math.floor(index / half) * 10_000 ** ((-2 * (index % half)) / size)),
    )
    return parameter(values, [blocks, half], { trainable: false })
  }
  return { cos: table(Math.cos), sin: table(Math.sin) }
}
