/**
 * LoRA initialisation with direct weight update: an ablation of HD-PiSSA (arXiv 2505.18777 §6, Table 7).
 *
 *   A_k ~ U(−1/√m, 1/√m) [m, r],  B_k = 0 [r, n],  neither ever changes;  s = α / r
 *   gA_k = s X_kᵀ (G_k B_kᵀ) = 0,   gB_k = s (X_k A_k)ᵀ G_k,   dB_k = Adam_k(gB_k)
 *   W ← W + c s Σ_k A_k dB_k                                  c = 1/K (mean) or 1 (sum)
 *   ΔW = Σ_k A_k S_B,k with S_B,k = c s Σ_t dB_k: rank ≤ r where A is shared, else ≤ Kr
 *
 * Since gA_k is zero at every step, only B's gradients are computed. The paper leaves open whether the devices share A.
 */
import { effectiveAlpha } from '@rankscope/protocol'
import type { Tensor2D } from '@tensorflow/tfjs-core'
import { plainLinear } from '../model/llama.ts'
import { mutedLinear } from '../ops/linear.ts'
import { accumulate, adamDelta } from '../ops/update.ts'
import { adamSettings, momentsPerDevice } from '../optim/optimizer.ts'
import { readValues, sizeOf } from '../optim/state.ts'
import { Random } from '../random.ts'
import { deviceTerms, plainFloat32, Scratch, weightWriter } from './direct-update.ts'
import { kaimingUniform } from './kaiming.ts'
import type { Method, TargetModule } from './method.ts'
import { directStepSquares } from './update-norm.ts'

export const loraDwu: Method<'lora-dwu'> = {
  name: 'lora-dwu',

  async attach(config, { targets, devices, model, optimizer, state, seed }) {
    const { rank } = config
    const scale = effectiveAlpha(config) / rank
    const factor = (config.aggregate === 'mean' ? 1 / devices : 1) * scale
    const random = new Random(seed).fork('lora-dwu')
    const drawA = ({ name, rows }: TargetModule) => {
      const values = new Float32Array(sizeOf([devices, rows, rank]))
      for (let k = 0; k < devices; k++) {
        const draw = random.fork(config.sharedInit ? name : `${name}/${k}`)
        values.set(kaimingUniform(draw, rows, rank), k * rows * rank)
      }
      return values
    }
    const units = targets.map((target) => {
      const { name, rows, columns } = target
      const shapeB = [devices, rank, columns]
      const a = state.variable(`${name}.A`, [devices, rows, rank], () => drawA(target))
      const b = state.zeros(`${name}.B`, shapeB)
      return {
        target,
        a,
        b,
        ownA: state.ownDevices(a),
        ownB: state.ownDevices(b),
        sumB: state.zeros(`${name}.sum_dB`, shapeB),
        momentsB: momentsPerDevice(state, `${name}.B`, shapeB),
        writer: weightWriter(target, state, plainFloat32),
      }
    })
    const byModule = new Map(units.map((unit) => [unit.target.name, unit]))
    const scratch = new Scratch(state)
    const plain = plainLinear(model)

    return {
      gradients: 'per-device',
      trained: units.map(({ ownB }) => ownB),
      trainableParameters: targets.reduce((sum, target) => sum + loraDwu.parameterCount(config, target), 0),

      linear(module, x: Tensor2D) {
        const unit = byModule.get(module)
        if (!unit) return plain(module, x)
        return mutedLinear(x, unit.target.weight, unit.ownA, unit.ownB, scale, unit.target.bias)
      },

      beginPass: () => undefined,

      async update(gradients, settings) {
        const adam = adamSettings(optimizer, settings)
        let updateSquares = 0
        const found = units.map(({ target, b, ownB, momentsB }) => {
          const own = scratch.get(`dB ${target.name}`, ownB.shape)
          adamDelta({ ...adam, ...momentsB, gradient: gradients.get(ownB), delta: own })
          return { own, all: scratch.get(`dB ${target.name}`, b.shape) }
        })
        await state.joinDevices(found)
        for (const [index, { target, a, b, sumB, writer }] of units.entries()) {
          const deltaA = scratch.get('zeros', a.shape)
          const deltaB = found[index]!.all
          const change = { a, b, deltaA, deltaB, factor, secondOrder: false }
          if (settings.watched.has(target.name)) updateSquares += await directStepSquares(target, change)
          writer.write(change, settings.learningRate * optimizer.weightDecay)
          accumulate(sumB, deltaB, factor)
        }
        return { updateSquares }
      },

      inference: () => ({ linear: plainLinear(model), dispose: () => undefined }),

      async delta(target, before) {
        const { a, sumB, writer } = byModule.get(target.name)!
        const { rows, columns } = target
        // Decay moves W off the factors' span.
        if (optimizer.weightDecay > 0)
          return [
            { part: 'total', source: { kind: 'dense', rows, columns, ...(await writer.delta(before)) } },
          ]
        const terms = deviceTerms(target, await readValues(a), await readValues(sumB), rank, 1)
        return [{ part: 'total', source: { kind: 'factored', rows, columns, terms } }]
      },

      merged: ({ weight }) => readValues(weight),
    }
  },

  parameterCount: ({ rank }, { columns }) => rank * columns,

  memory: ({ rank }, { rows, columns }, devices) => ({
    stateFloats: devices * rank * (rows + 4 * columns),
    transientFloats: devices * rank * (2 * rows + 2 * columns),
  }),
}
