/** The rank measures that charts offer, with their formulas for the help text. σ: singular values of ΔW, descending. */
export const measures = {
  effectiveRank: {
    title: 'Effective rank',
    formula: 'exp(−Σ pᵢ ln pᵢ), pᵢ = σᵢ / Σ σ',
    help: 'Entropy of the singular values (Roy & Vetterli 2007). Counts directions by their share; a long noise tail inflates it.',
  },
  stableRank: {
    title: 'Stable rank',
    formula: '‖ΔW‖_F² / σ₁²',
    help: 'Robust against a noise tail, dominated by the largest direction.',
  },
  numericalRank: {
    title: 'Numerical rank',
    formula: '#{ σᵢ > max(m, n) · 2⁻²³ · σ₁ }',
    help: 'Directions above the float32 threshold; this is the one to hold against r, 2r, Kr and 2Kr.',
  },
  participationRatio: {
    title: 'Participation ratio',
    formula: '(Σ σᵢ²)² / Σ σᵢ⁴',
    help: 'How many directions share the energy about equally.',
  },
  spectralEntropyRank: {
    title: 'Spectral-entropy rank',
    formula: 'exp(−Σ pᵢ ln pᵢ), pᵢ = σᵢ² / Σ σ²',
    help: 'As the effective rank, with energies instead of singular values: less weight on the tail.',
  },
  energyRank90: {
    title: 'Energy rank 90 %',
    formula: 'min k with Σ_{i≤k} σᵢ² ≥ 0.90 Σ σ²',
    help: 'Leading directions that hold 90 % of the energy.',
  },
  energyRank99: {
    title: 'Energy rank 99 %',
    formula: 'min k with Σ_{i≤k} σᵢ² ≥ 0.99 Σ σ²',
    help: 'Leading directions that hold 99 % of the energy.',
  },
  numericalRankFloat64: {
    title: 'Numerical rank, float64',
    formula: '#{ σᵢ > max(m, n) · 2⁻⁵² · σ₁ }',
    help: 'Counts float32 rounding as rank wherever ΔW is not made from factors.',
  },
  frobenius: {
    title: '‖ΔW‖_F',
    formula: '√(Σ σᵢ²)',
    help: 'Size of the update.',
  },
} as const

export type MeasureName = keyof typeof measures
export const measureNames = Object.keys(measures) as MeasureName[]
