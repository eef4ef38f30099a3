/** The toy block of the self-check in float64, for the contract suite. */

import { toy } from '../../backends/self-check.ts'
import * as oracle from './float64-oracle.ts'

/** The loss, then the sum of squares of each weight's gradient, in the order of `toy.weightShapes`. */
export function toyReference(): number[] {
  const entries = Object.entries(toy.values).map(([name, values]) => [name, Float64Array.from(values)])
  const weights = Object.fromEntries(entries) as Record<keyof typeof toy.values, Float64Array>
  const loss = () => toyLoss(weights)
  const gradients = Object.values(weights).map((values) => oracle.numericGradient(loss, values))
  return [loss(), ...gradients.map((gradient) => oracle.dot(gradient, gradient))]
}

function toyLoss(w: Record<keyof typeof toy.values, Float64Array>): number {
  const { shape, cos, sin, scale, epsilon } = toy
  const { sequence, heads, keyValueHeads, headDim } = shape
  const [rows, width] = [toy.ids.length, w.gain.length]
  const times = (x: oracle.Values, weight: Float64Array, inner = width) =>
    oracle.product(x, weight, [rows, inner, weight.length / inner])

  const x = oracle.embedding(toy.ids, w.table, width)
  const h = oracle.rmsNorm(x, w.gain, epsilon)
  const adapted = times(times(h, w.queryA), w.queryB, w.queryA.length / width)
  const q = oracle.rope(oracle.plus(times(h, w.query), adapted, scale), cos, sin, {
    sequence,
    heads,
    headDim,
  })
  const k = oracle.rope(times(h, w.key), cos, sin, { sequence, heads: keyValueHeads, headDim })
  const y = oracle.plus(x, oracle.attention(q, k, times(h, w.value), shape))
  const z = oracle.plus(y, oracle.swiglu(times(y, w.gate), times(y, w.up)))
  return oracle.dot(oracle.perTokenLoss(z, w.table, toy.targets, width), toy.weights)
}
