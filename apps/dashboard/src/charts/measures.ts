/**
 * The measures of ΔW that charts and tables offer, each with its formula, its source, and where it misleads, for the
 * help text. σ: singular values of ΔW [m, n], descending, d = min(m, n).
 */
import type { RankMeasures } from '@rankscope/protocol'

type Measure = {
  title: string
  formula: string
  source: string
  help: string
  group: 'Rank' | 'Tail' | 'Size'
}

const tailHelp =
  'How far the spectrum falls behind that index: near 0 after the cliff of a method of bounded rank. Missing where the method has no such mark or d is not larger. What is left of a bounded method’s tail may be rounding: compare with the noise floor.'

export const measures = {
  effectiveRank: {
    title: 'Effective rank',
    formula: 'exp(−Σ pᵢ ln pᵢ), pᵢ = σᵢ / Σ σ',
    source: 'Roy & Vetterli 2007; HiRA (Huang et al. 2025), Fig. 8',
    help: 'Entropy of the singular values: counts directions by their share. A long noise tail inflates it.',
    group: 'Rank',
  },
  stableRank: {
    title: 'Stable rank',
    formula: '‖ΔW‖_F² / σ₁²',
    source: 'Rudelson & Vershynin 2007',
    help: 'Robust against a noise tail, dominated by the largest direction.',
    group: 'Rank',
  },
  numericalRank: {
    title: 'Numerical rank',
    formula: '#{ σᵢ > τ }, τ = max(m, n) · 2⁻²³ · σ₁',
    source: 'threshold of MATLAB’s rank and NumPy’s matrix_rank, with the epsilon of float32',
    help: 'Directions above float32 resolution; the one to hold against r, 2r, Kr and 2Kr. A large σ₁ hides small true directions.',
    group: 'Rank',
  },
  participationRatio: {
    title: 'Participation ratio',
    formula: '(Σ σᵢ²)² / Σ σᵢ⁴',
    source: 'inverse participation ratio (Bell & Dean 1970) of the eigenvalues of ΔWᵀΔW',
    help: 'How many directions share the energy about equally; dominated by the head.',
    group: 'Rank',
  },
  spectralEntropyRank: {
    title: 'Spectral-entropy rank',
    formula: 'exp(−Σ pᵢ ln pᵢ), pᵢ = σᵢ² / Σ σ²',
    source: 'Roy & Vetterli 2007, with energies in place of singular values',
    help: 'Less weight on the tail than the effective rank; nearly blind to it.',
    group: 'Rank',
  },
  energyRank90: {
    title: 'Energy rank 90 %',
    formula: 'min k with Σ_{i≤k} σᵢ² ≥ 0.90 Σ σ²',
    source: 'explained variance of principal component analysis (Jolliffe 2002, § 6.1)',
    help: 'Leading directions that hold 90 % of the energy; blind to any tail.',
    group: 'Rank',
  },
  energyRank99: {
    title: 'Energy rank 99 %',
    formula: 'min k with Σ_{i≤k} σᵢ² ≥ 0.99 Σ σ²',
    source: 'explained variance of principal component analysis (Jolliffe 2002, § 6.1)',
    help: 'Leading directions that hold 99 % of the energy; blind to any tail.',
    group: 'Rank',
  },
  numericalRankFloat64: {
    title: 'Numerical rank, float64',
    formula: '#{ σᵢ > τ }, τ = max(m, n) · 2⁻⁵² · σ₁',
    source: 'threshold of MATLAB’s rank and NumPy’s matrix_rank',
    help: 'Counts float32 rounding as rank wherever ΔW is not made from factors.',
    group: 'Rank',
  },
  tailRatioAtR: tailRatio('r'),
  tailRatioAt2r: tailRatio('2r'),
  tailRatioAtKr: tailRatio('Kr'),
  tailRatioAt2Kr: tailRatio('2Kr'),
  beyondFirstOrder: {
    title: 'Beyond the first order',
    formula: '‖P ΔW Q‖_F, P and Q projecting away from the first-order part’s columns and rows',
    source: 'Rankscope; section 4 of docs/methods.md',
    help: 'What of ΔW the first-order part of HD-PiSSA, of rank 2Kr, cannot reach: second order and rounding alone. Needs attribution.',
    group: 'Tail',
  },
  noiseFloor: {
    title: 'Noise floor',
    formula: 's √T (√m + √n), s = ulp(W₀) / √12 in root mean square over the entries',
    source: 'largest singular value of a random matrix (Davidson & Szarek 2001)',
    help: 'What T steps of independent float32 roundings of W alone give as largest singular value. Missing where ΔW is made from factors.',
    group: 'Tail',
  },
  frobenius: {
    title: '‖ΔW‖_F',
    formula: '√(Σ σᵢ²)',
    source: 'Frobenius norm',
    help: 'Size of the update; compare methods at equal size.',
    group: 'Size',
  },
} as const satisfies Partial<Record<keyof RankMeasures | 'frobenius', Measure>>

function tailRatio<Mark extends string>(mark: Mark) {
  return {
    title: `Tail ratio at ${mark}`,
    formula: `median(σᵢ, i > q) / σ_q, q = ${mark}`,
    source: 'Figures 3 and 7 of the HD-PiSSA paper, as a number',
    help: tailHelp,
    group: 'Tail',
  } as const
}

export type MeasureName = keyof typeof measures
export const measureNames = Object.keys(measures) as MeasureName[]

/** For a select: by what they tell. */
export const measureChoices = (['Rank', 'Tail', 'Size'] as const).map((group) => ({
  group,
  items: measureNames
    .filter((name) => measures[name].group === group)
    .map((name) => ({ value: name, label: measures[name].title })),
}))
