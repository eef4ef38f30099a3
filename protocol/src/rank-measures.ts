/**
 * The measures of a spectrum, declared once: what each is called, its formula, its source and where it misleads. The record's
 * schema, charts, tables and help texts are made from this. σ: singular values of ΔW [m, n], descending, d = min(m, n);
 * W₊ = W₀ + ΔW; all float64. How they are computed: gpu-node/src/linalg (docs/methods.md).
 */
import { z } from 'zod'
import { anyNumber } from './number.ts'

export type MeasureMeta = {
  title: string
  formula: string
  source: string
  /** What it tells, and where it misleads. */
  caution: string
  group: 'Rank' | 'Tail' | 'Size' | 'Against W'
  /** Every spectrum has it; others only where it is defined: by the method's marks, attribution, weights, an analysis. */
  always: boolean
}

const tailCaution =
  'How far the spectrum falls behind that index: near 0 after the cliff of a method of bounded rank. Missing where the method has no such mark or d is not larger. What is left of a bounded method’s tail may be rounding: compare with the noise floor.'

export const rankMeasures = {
  effectiveRank: {
    title: 'Effective rank',
    formula: 'exp(−Σ pᵢ ln pᵢ), pᵢ = σᵢ / Σ σ',
    source: 'Roy & Vetterli 2007; HiRA (Huang et al. 2025), Fig. 8',
    caution:
      'Entropy of the singular values: counts directions by their share. A long noise tail inflates it.',
    group: 'Rank',
    always: true,
  },
  stableRank: {
    title: 'Stable rank',
    formula: '‖ΔW‖_F² / σ₁²',
    source: 'Rudelson & Vershynin 2007',
    caution: 'Robust against a noise tail, dominated by the largest direction.',
    group: 'Rank',
    always: true,
  },
  numericalRank: {
    title: 'Numerical rank',
    formula: '#{ σᵢ > τ }, τ = max(m, n) · 2⁻²³ · σ₁',
    source: 'threshold of MATLAB’s rank and NumPy’s matrix_rank, with the epsilon of float32',
    caution:
      'Directions above float32 resolution; the one to hold against r, 2r, Kr and 2Kr. A large σ₁ hides small true directions.',
    group: 'Rank',
    always: true,
  },
  participationRatio: {
    title: 'Participation ratio',
    formula: '(Σ σᵢ²)² / Σ σᵢ⁴',
    source: 'inverse participation ratio (Bell & Dean 1970) of the eigenvalues of ΔWᵀΔW',
    caution: 'How many directions share the energy about equally; dominated by the head.',
    group: 'Rank',
    always: true,
  },
  spectralEntropyRank: {
    title: 'Spectral-entropy rank',
    formula: 'exp(−Σ pᵢ ln pᵢ), pᵢ = σᵢ² / Σ σ²',
    source: 'Roy & Vetterli 2007, with energies in place of singular values',
    caution: 'Less weight on the tail than the effective rank; nearly blind to it.',
    group: 'Rank',
    always: true,
  },
  energyRank90: {
    title: 'Energy rank 90 %',
    formula: 'min k with Σ_{i≤k} σᵢ² ≥ 0.90 Σ σ²',
    source: 'explained variance of principal component analysis (Jolliffe 2002, § 6.1)',
    caution: 'Leading directions that hold 90 % of the energy; blind to any tail.',
    group: 'Rank',
    always: true,
  },
  energyRank99: {
    title: 'Energy rank 99 %',
    formula: 'min k with Σ_{i≤k} σᵢ² ≥ 0.99 Σ σ²',
    source: 'explained variance of principal component analysis (Jolliffe 2002, § 6.1)',
    caution: 'Leading directions that hold 99 % of the energy; blind to any tail.',
    group: 'Rank',
    always: true,
  },
  numericalRankFloat64: {
    title: 'Numerical rank, float64',
    formula: '#{ σᵢ > τ }, τ = max(m, n) · 2⁻⁵² · σ₁',
    source: 'threshold of MATLAB’s rank and NumPy’s matrix_rank',
    caution: 'Counts float32 rounding as rank wherever ΔW is not made from factors.',
    group: 'Rank',
    always: true,
  },
  tailRatioAtR: tailRatio('r'),
  tailRatioAt2r: tailRatio('2r'),
  tailRatioAtKr: tailRatio('Kr'),
  tailRatioAt2Kr: tailRatio('2Kr'),
  beyondFirstOrder: {
    title: 'Beyond the first order',
    formula: '‖P ΔW Q‖_F, P and Q projecting away from the first-order part’s columns and rows',
    source: 'Rankscope; section 4 of docs/methods.md',
    caution:
      'What of ΔW the first-order part of HD-PiSSA, of rank 2Kr, cannot reach: second order and rounding alone. Needs attribution.',
    group: 'Tail',
    always: false,
  },
  noiseFloor: {
    title: 'Noise floor',
    formula: 's √T (√m + √n), s = ulp(W₀) / √12 in root mean square over the entries',
    source: 'largest singular value of a random matrix (Davidson & Szarek 2001)',
    caution:
      'What T steps of independent float32 roundings of W alone give as largest singular value. Missing where ΔW is made from factors.',
    group: 'Tail',
    always: false,
  },
  intruders: {
    title: 'Intruder dimensions',
    formula: '#{ j ≤ 10 : c_j < 0.5 }, c_j = max_i |v_j(W₊)ᵀ v_i(W₀)|',
    source: 'Shuttleworth et al., arXiv 2410.21228; output side',
    caution:
      'Leading directions of W₊ = W₀ + ΔW that are like none of W₀. Neighbouring singular values of W₀ that swap or mix lower c_j without anything new.',
    group: 'Against W',
    always: false,
  },
  smallestOverlap: {
    title: 'Smallest overlap',
    formula: 'min c_j over j ≤ 10',
    source: 'arXiv 2410.21228',
    caution:
      'How near the least familiar of the ten leading directions is to one of W₀: below 0.5 it is an intruder. Mixing of neighbours lowers it too.',
    group: 'Against W',
    always: false,
  },
  intruderEnergy: {
    title: 'Energy in intruders',
    formula: '‖ΔW V_I‖_F² / ‖ΔW‖_F², V_I the intruders',
    source: 'Rankscope, after arXiv 2410.21228',
    caution: 'How much of ΔW lies along the intruders; the rest changed W in other directions.',
    group: 'Against W',
    always: false,
  },
  spikeRatio: {
    title: 'Distance to the spike threshold',
    formula: 'σ₁(ΔW) / D(b)^(−1/2), edge b just above σ₁(W₀)',
    source: 'Benaych-Georges & Nadakuditi 2012; arXiv 2607.23711',
    caution:
      'Above 1 an independent new direction as strong as ΔW’s first would stand out of W₀’s spectrum. The theory is for large random matrices; with outliers in W₀ this edge is too far out.',
    group: 'Against W',
    always: false,
  },
  spikeRatioBelowOutliers: {
    title: 'Spike threshold, below outliers',
    formula: 'σ₁(ΔW) / D(b)^(−1/2), b above the largest σ(W₀) within Q₃ + 1.5 (Q₃ − Q₁)',
    source: 'Benaych-Georges & Nadakuditi 2012; outliers by Tukey’s fence',
    caution:
      'The same with W₀’s outlying singular values left out of its bulk. Equal to the other where there is none.',
    group: 'Against W',
    always: false,
  },
  singularValueDrift: {
    title: 'Drift of the singular values',
    formula: '‖σ(W₊) − σ(W₀)‖₂ / ‖σ(W₀)‖₂',
    source: 'arXiv 2606.07082, § 3.1',
    caution:
      'How far W’s spectrum moved. Reported there: about 1e-3 for supervised fine-tuning, 1e-5 for reinforcement learning. Blind to rotation.',
    group: 'Against W',
    always: false,
  },
  rotationLargest: {
    title: 'Rotation, largest angle',
    formula: 'max θᵢ, cos θᵢ = σᵢ(U₀,₁₀ᵀ U₊,₁₀), the larger of both sides, degrees',
    source: 'arXiv 2606.07082, § 3.1; Björck & Golub 1973',
    caution:
      'How far the ten leading directions of W turned. Where σ₁₀ and σ₁₁ of W₀ are close, a tiny change turns the boundary by up to 90°.',
    group: 'Against W',
    always: false,
  },
  rotationMedian: {
    title: 'Rotation, median angle',
    formula: 'median θᵢ, cos θᵢ = σᵢ(U₀,₁₀ᵀ U₊,₁₀), the larger of both sides, degrees',
    source: 'arXiv 2606.07082, § 3.1',
    caution:
      'The typical turn of the ten leading directions; less touched by a close boundary than the largest.',
    group: 'Against W',
    always: false,
  },
  relativeSpectralNorm: {
    title: '‖ΔW‖₂ / ‖W₀‖₂',
    formula: 'σ₁(ΔW) / σ₁(W₀)',
    source: 'spectral norms',
    caution: 'Size of the update’s first direction beside the weight’s.',
    group: 'Against W',
    always: false,
  },
  relativeFrobeniusNorm: {
    title: '‖ΔW‖_F / ‖W₀‖_F',
    formula: '‖ΔW‖_F / ‖W₀‖_F',
    source: 'Frobenius norms',
    caution: 'Size of the update beside the weight.',
    group: 'Against W',
    always: false,
  },
  amplification: {
    title: 'Amplification',
    formula: '‖ΔW‖_F / ‖U_rᵀ W₀ V_r‖_F, ΔW’s own leading r directions',
    source: 'LoRA (Hu et al. 2021), § 7.3',
    caution:
      'How much ΔW adds to what W₀ does along the same directions. Large where W₀ hardly uses them; r changes it, so compare equal ranks.',
    group: 'Against W',
    always: false,
  },
  bfloat16Visible: {
    title: 'Seen by bfloat16',
    formula: 'share of entries with bf16(W₊) ≠ bf16(W₀)',
    source: 'arXiv 2606.07082',
    caution:
      'What of the update a save in bfloat16 keeps. It falls with the learning rate: small changes round away.',
    group: 'Against W',
    always: false,
  },
  relativelyChanged: {
    title: 'Changed by a thousandth',
    formula: 'share of entries with |w₊ − w₀| > 10⁻³ max(|w₊|, |w₀|)',
    source: 'arXiv 2606.07082',
    caution:
      'Entries that moved by more than a thousandth of themselves. Small entries count as easily as large ones.',
    group: 'Against W',
    always: false,
  },
  visibleInPrincipal: {
    title: 'Visible, principal entries',
    formula: '|M ∩ P| / |M|, M seen by bfloat16, P the 30 % largest of |W₀ at rank r|',
    source: 'arXiv 2606.07082',
    caution:
      'By chance 0.3. Large entries have coarser bfloat16 steps, so that they need larger changes to be seen.',
    group: 'Against W',
    always: false,
  },
  visibleInLow: {
    title: 'Visible, small entries',
    formula: '|M ∩ L| / |M|, M seen by bfloat16, L the 30 % smallest of |W₀|',
    source: 'arXiv 2606.07082',
    caution:
      'By chance 0.3. Small entries have finer bfloat16 steps, so that it lies above chance for an update of equal size everywhere.',
    group: 'Against W',
    always: false,
  },
} as const satisfies Record<string, MeasureMeta>

export type RankMeasureName = keyof typeof rankMeasures

/** Size of the spectrum, which its record has beside them. */
export const frobeniusMeasure = {
  title: '‖ΔW‖_F',
  formula: '√(Σ σᵢ²)',
  source: 'Frobenius norm',
  caution: 'Size of the update; compare methods at equal size.',
  group: 'Size',
  always: true,
} as const satisfies MeasureMeta

function tailRatio<Mark extends string>(mark: Mark) {
  return {
    title: `Tail ratio at ${mark}`,
    formula: `median(σᵢ, i > q) / σ_q, q = ${mark}`,
    source: 'Figures 3 and 7 of the HD-PiSSA paper, as a number',
    caution: tailCaution,
    group: 'Tail',
    always: false,
  } as const
}

type Always = {
  [Name in RankMeasureName]: (typeof rankMeasures)[Name]['always'] extends true ? Name : never
}[RankMeasureName]
export type RankMeasures = { numericalRankThreshold: number } & { [Name in Always]: number } & {
  [Name in Exclude<RankMeasureName, Always>]?: number
}

/** With title, formula and caution as metadata of each key. */
export const rankMeasuresSchema = z.strictObject({
  ...Object.fromEntries(
    Object.entries(rankMeasures).map(([name, { title, formula, caution, always }]) => [
      name,
      (always ? anyNumber : anyNumber.exactOptional()).meta({ title, description: `${formula}. ${caution}` }),
    ]),
  ),
  numericalRankThreshold: anyNumber.meta({ title: 'τ of the numerical rank', description: 'absolute' }),
}) as unknown as z.ZodType<RankMeasures>
