/**
 * PiSSA (Meng, Wang and Zhang 2024, arXiv 2404.02948), as in PEFT's `pissa_init`.
 *
 *   W = U S Vᵀ,  A0 = U_r √(S_r / s),  B0 = √(S_r / s) V_rᵀ,  W_res = W − s A0 B0      s = α / r
 *   Y = X W_res + s (X A) B       W_res [m, n] frozen, A [m, r], B [r, n]
 *   ∂L/∂A = s Xᵀ (G Bᵀ),  ∂L/∂B = s (X A)ᵀ G
 *   ΔW = s (A B − A0 B0) = s [A, A0] [B; −B0], rank ≤ 2r
 *
 * W_res takes W's place in the model. It is made from A0 and B0 as they are in float32, so that W_res + s A0 B0 = W
 * holds whatever the accuracy of the decomposition. There is no dropout: it would drop principal components.
 */
import { effectiveAlpha } from '@rankscope/protocol'
import { type PissaPair, pissaAsLora } from '../export/adapter.ts'
import { lowRankUpdate, parameter } from '../ops/update.ts'
import { readValues } from '../optim/state.ts'
import { Dropout } from './dropout.ts'
import { lowRankAdaptation } from './low-rank.ts'
import type { Method } from './method.ts'
import { principalFactors, warnOfMissingComponents } from './principal.ts'

export const pissa: Method<'pissa'> = {
  name: 'pissa',

  async attach(config, { targets, devices, seed, optimizer, state, model, decompose, warn }) {
    const { rank } = config
    const scale = effectiveAlpha(config) / rank
    const components = [Array.from({ length: rank }, (_, index) => index)]
    const missing = targets.filter(({ name, rows }) => !state.isGiven(`${name}.A0`, [rows, rank]))
    const triplets = await decompose(
      missing.map((target) => ({ target, rank })),
      config,
    )
    const pairs = targets.map((target) => {
      const { name, rows, columns } = target
      const found = triplets.get(name)
      const factors = found && principalFactors(found, target, components, scale)
      const a0 = state.constant(`${name}.A0`, [rows, rank], () => factors!.a)
      const b0 = state.constant(`${name}.B0`, [rank, columns], () => factors!.b)
      const a = state.variable(`${name}.A`, [rows, rank], () => a0)
      const b = state.variable(`${name}.B`, [rank, columns], () => b0)
      const [start, end] = [parameter(a0, [rows, rank]), parameter(b0, [rank, columns])]
      lowRankUpdate(target.weight, start, end, -scale)
      start.dispose()
      end.dispose()
      return { target, a, b, a0, b0 }
    })
    warnOfMissingComponents(
      pairs.map(({ target, a0 }) => ({ target, a: a0 })),
      rank,
      warn,
    )
    const byModule = new Map(pairs.map((pair) => [pair.target.name, pair]))
    return {
      ...lowRankAdaptation(pairs, scale, new Dropout(0, devices, seed), state, optimizer, model),
      trainableParameters: targets.reduce((sum, target) => sum + pissa.parameterCount(config, target), 0),
      async delta({ name, rows, columns }) {
        const { a, b, a0, b0 } = byModule.get(name)!
        const terms = [
          { left: await readValues(a), right: await readValues(b), inner: rank, factor: scale },
          { left: a0.slice(), right: b0.slice(), inner: rank, factor: -scale },
        ]
        return [{ part: 'total', source: { kind: 'factored', rows, columns, terms } }]
      },
      async adapter() {
        const stored: PissaPair[] = []
        for (const { target, a, b, a0, b0 } of pairs) {
          const { name: module, rows, columns } = target
          const trained = { a: await readValues(a), b: await readValues(b) }
          stored.push({ module, rows, columns, ...trained, initialA: a0, initialB: b0 })
        }
        return pissaAsLora(rank, effectiveAlpha(config), stored)
      },
    }
  },

  parameterCount: ({ rank }, { rows, columns }) => rank * (rows + columns),

  memory: ({ rank }, { rows, columns }) => ({
    stateFloats: 6 * rank * (rows + columns),
    transientFloats: rank * (rows + columns),
  }),
}
