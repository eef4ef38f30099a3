/**
 * 1 / (1 + e^-x) to float32 precision (relative error below 1e-7), without a division: near each of equally spaced
 * points the first three terms of its series there, σ' = σ (1 − σ) and σ'' = σ' (1 − 2 σ). Beyond them Math.exp.
 */
const reach = 20
const pointsPerUnit = 64
const points = Float64Array.from(
  { length: 2 * reach * pointsPerUnit + 1 },
  (_, i) => i / pointsPerUnit - reach,
)
const values = points.map(exactly)
const slopes = values.map((value) => value * (1 - value))
const curvatures = values.map((value, i) => (slopes[i]! * (1 - 2 * value)) / 2)

export function sigmoid(x: number): number {
  if (!(x > -reach && x < reach)) return exactly(x)
  const place = (x + reach) * pointsPerUnit
  const nearest = (place + 0.5) | 0
  const rest = (place - nearest) * (1 / pointsPerUnit)
  return values[nearest]! + rest * (slopes[nearest]! + rest * curvatures[nearest]!)
}

function exactly(x: number): number {
  return 1 / (1 + Math.exp(-x))
}
