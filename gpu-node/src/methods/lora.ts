/**
 * LoRA (Hu et al. 2021, arXiv 2106.09685), and rsLoRA's scale (Kalajdzievski 2023, arXiv 2312.03732).
 *
 *   Y = X W + s drop(X) A B       W [m, n] frozen, A [m, r], B [r, n], s = α / r   (rsLoRA: α / √r)
 *   A ~ U(−1/√m, 1/√m) (Kaiming, a = √5) or N(0, 1/r²);  B = 0
 *   ∂L/∂A = s X~ᵀ (G Bᵀ),  ∂L/∂B = s (X~ A)ᵀ G
 *   ΔW = s A B, rank ≤ r
 *
 * Initialisation as in PEFT 0.21 (`lora/layer.py`).
 */
import { effectiveAlpha, type MethodConfigOf } from '@rankscope/protocol'
import type { AdapterPair } from '../export/adapter.ts'
import { readValues } from '../optim/state.ts'
import { Random } from '../random.ts'
import { Dropout } from './dropout.ts'
import { kaimingUniform } from './kaiming.ts'
import { lowRankAdaptation } from './low-rank.ts'
import type { Method, TargetModule } from './method.ts'

export function loraScale(config: Pick<MethodConfigOf<'lora'>, 'rank' | 'alpha' | 'rankStabilized'>): number {
  const alpha = effectiveAlpha(config)
  return config.rankStabilized ? alpha / Math.sqrt(config.rank) : alpha / config.rank
}

export const lora: Method<'lora'> = {
  name: 'lora',

  async attach(config, { targets, devices, seed, optimizer, state, model }) {
    const random = new Random(seed).fork('lora')
    const scale = loraScale(config)
    const pairs = targets.map((target) => ({ target, ...makePair(target) }))
    function makePair({ name, rows, columns }: TargetModule) {
      const draw = random.fork(name)
      const a = state.variable(`${name}.A`, [rows, config.rank], () =>
        config.init === 'kaiming'
          ? kaimingUniform(draw, rows, config.rank)
          : draw.fillNormal(new Float32Array(rows * config.rank), 0, 1 / config.rank),
      )
      return { a, b: state.zeros(`${name}.B`, [config.rank, columns]) }
    }
    const dropout = new Dropout(config.dropout, devices, seed, state.collective)
    const byModule = new Map(pairs.map((pair) => [pair.target.name, pair]))
    return {
      ...lowRankAdaptation(pairs, scale, dropout, state, optimizer, model),
      trainableParameters: targets.reduce((sum, target) => sum + lora.parameterCount(config, target), 0),
      async delta({ name, rows, columns }) {
        const { a, b } = byModule.get(name)!
        const term = { left: await readValues(a), right: await readValues(b), inner: config.rank }
        const terms = [{ ...term, factor: scale }]
        return [{ part: 'total', source: { kind: 'factored', rows, columns, terms } }]
      },
      async adapter() {
        const { rank, rankStabilized, dropout: probability } = config
        const stored: AdapterPair[] = []
        for (const { target, a, b } of pairs) {
          const { name: module, rows, columns } = target
          stored.push({ module, rows, columns, a: await readValues(a), b: await readValues(b) })
        }
        return { rank, alpha: effectiveAlpha(config), rankStabilized, dropout: probability, pairs: stored }
      },
    }
  },

  parameterCount: ({ rank }, { rows, columns }) => rank * (rows + columns),

  memory: ({ rank }, { rows, columns }) => ({
    stateFloats: 4 * rank * (rows + columns),
    transientFloats: rank * (rows + columns),
  }),
}
