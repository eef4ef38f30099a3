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
import { plainLinear } from '../model/llama.ts'
import { add } from '../ops/linear.ts'
import { moraMap, type RotationTables } from '../ops/mora.ts'
import { parameter } from '../ops/update.ts'
import { AdamW } from '../optim/optimizer.ts'
import { readValues } from '../optim/state.ts'
import { Dropout } from './dropout.ts'
import type { Method, ModuleShape, TargetModule } from './method.ts'
import { copyOf, denseStepSquares, ownTensor } from './update-norm.ts'

interface Unit {
  readonly target: TargetModule
  readonly m: Variable
  /** Type 6 alone. */
  readonly tables: RotationTables | undefined
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
      if (config.type === 1) return { target, m, tables: undefined }
      const { cos, sin } = rotationTables(Math.ceil(target.rows / size), size)
      return { target, m, tables: { cos: state.own(cos()), sin: state.own(sin()) } }
    })
    const byModule = new Map(units.map((unit) => [unit.target.name, unit]))
    const adam = new AdamW(
      state,
      units.map(({ target, m }) => ({ name: `${target.name}.M`, parameter: m })),
      optimizer,
    )
    const dropout = new Dropout(config.dropout, devices, seed, state.collective)
    const plain = plainLinear(model)
    const hook = (drop: boolean) => (module: string, x: Tensor2D) => {
      const unit = byModule.get(module)
      const y = plain(module, x)
      return unit ? map(unit, drop ? dropout.apply(module, x) : x, y) : y
    }
    const change = (unit: Unit): Tensor => tidy(() => map(unit, eye(unit.target.rows)))

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

/** decompress(compress(X) M), added to y where that is given. */
function map({ target, m, tables }: Unit, x: Tensor, y?: Tensor): Tensor2D {
  return moraMap(x, m, { columns: target.columns, tables, ...(y && { sum: y }) })
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
