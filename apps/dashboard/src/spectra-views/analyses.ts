/** The analyses of ΔW against W that have more than one number: what they are called, what they mean, and their numbers. Pure. */
import type { ProfileName, Profiles } from '../live/profiles-loader.ts'

type AnalysisText = { title: string; formula: string; source: string; help: string; needs: ProfileName[] }

export const analysisNames = ['energy', 'slices', 'overlaps', 'rotation', 'similarity', 'runs'] as const
export type AnalysisName = (typeof analysisNames)[number]

export const analyses = {
  energy: {
    title: 'Energy by decile of W’s directions',
    formula: '‖U₀,bᵀ ΔW‖_F² / ‖ΔW‖_F² (input side), ‖ΔW V₀,b‖_F² / ‖ΔW‖_F² (output side)',
    source: 'Rankscope; bands of ten of W₀’s singular directions each decile',
    help: 'The line in each bar is what chance gives: the band’s share of the side. A ΔW of few directions has few bands by construction.',
    needs: ['inputSizes', 'inputShares', 'outputSizes', 'outputShares'],
  },
  slices: {
    title: 'Energy by device slice',
    formula:
      'the same with one band per device: directions k r … (k + 1) r − 1 of W₀, and everything beyond K r',
    source: 'HD-PiSSA’s share-out of W₀’s directions',
    help: 'What each device’s own slice received. Second order and rounding lie mostly in the last band.',
    needs: ['inputSliceSizes', 'inputSliceShares', 'outputSliceSizes', 'outputSliceShares'],
  },
  overlaps: {
    title: 'Overlap of W₊’s directions with W’s',
    formula: 'c_j = max_i |v_j(W₊)ᵀ v_i(W₀)|, j ≤ 10; below 0.5: an intruder',
    source: 'Shuttleworth et al., arXiv 2410.21228',
    help: 'Neighbouring singular values of W₀ that swap or mix lower c_j without anything new. The count over time is a measure of the chart above.',
    needs: ['overlaps', 'thresholds'],
  },
  rotation: {
    title: 'Rotation of W’s leading subspaces',
    formula: 'cos θᵢ = σᵢ(U₀,ₖᵀ U₊,ₖ) in degrees, and the same for V',
    source: 'arXiv 2606.07082, § 3.1; Björck & Golub 1973',
    help: 'Reported there: over 10° for supervised fine-tuning, under 0.5° for reinforcement learning. Where σₖ and σₖ₊₁ of W₀ are close the boundary turns by itself.',
    needs: ['rotation'],
  },
  similarity: {
    title: 'Subspace of ΔW over time',
    formula: '‖V_K(t)ᵀ V_K(T)‖_F² / K, V_K the leading K = min(r, 16) input directions of ΔW',
    source: 'after LoRA (Hu et al. 2021), § 7.2',
    help: 'How much of the shown step’s subspace was there at earlier steps. Snapshots since the process last started; fewer than K directions that count make the rest arbitrary.',
    needs: ['similarity', 'similarityChance'],
  },
  runs: {
    title: 'Subspaces of two runs',
    formula:
      'φ(i, j) = ‖U_Aⁱᵀ U_Bʲ‖_F² / min(i, j), U the leading directions of the final ΔW; chance: max(i, j) / side',
    source: 'LoRA (Hu et al. 2021), § 7.2',
    help: 'Runs of one base only. Directions beyond the rank of ΔW are arbitrary.',
    needs: ['inputVectors', 'outputVectors'],
  },
} as const satisfies Record<AnalysisName, AnalysisText>

export type Band = { label: string; share: number; chance: number }

/** Bands of one side by what they hold; `named` names them by device. */
export function bandsOf(
  sizes: ArrayLike<number> | undefined,
  shares: ArrayLike<number> | undefined,
  named: 'range' | 'device',
): Band[] {
  if (!sizes || !shares) return []
  const side = Array.from(sizes).reduce((sum, size) => sum + size, 0)
  let start = 0
  return Array.from(sizes, (size, band) => {
    const range = size === 1 ? `${start + 1}` : `${start + 1}–${start + size}`
    const isLast = band === sizes.length - 1
    start += size
    const label = named === 'range' ? range : isLast ? `beyond, ${range}` : `device ${band + 1}, ${range}`
    return { label, share: shares[band]!, chance: size / side }
  })
}

export type RotationRow = {
  depth: number
  inputMedian: number
  inputLargest: number
  outputMedian: number
  outputLargest: number
}

export function rotationRows({ rotation = [] }: Profiles): RotationRow[] {
  return Array.from({ length: rotation.length / 5 }, (_, row) => {
    const at = (column: number) => rotation[5 * row + column]!
    return {
      depth: at(0),
      inputMedian: at(1),
      inputLargest: at(2),
      outputMedian: at(3),
      outputLargest: at(4),
    }
  })
}

export function similarityRows({ similarity = [] }: Profiles): { step: number; similarity: number }[] {
  return Array.from({ length: similarity.length / 2 }, (_, row) => ({
    step: similarity[2 * row]!,
    similarity: similarity[2 * row + 1]!,
  }))
}

/**
 * φ(i, j), i and j from 1, of vectors in the columns of a [side, count] and b [side, count]; null where they are not of one
 * side.
 */
export function subspaceSimilarity(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  side: number,
): number[][] | null {
  const [columnsA, columnsB] = [a.length / side, b.length / side]
  if (!Number.isInteger(columnsA) || !Number.isInteger(columnsB) || a.length === 0) return null
  // Sums of squared products over the leading i and j, each from its neighbours.
  const sums = Array.from({ length: columnsA }, () => new Array<number>(columnsB).fill(0))
  for (let i = 0; i < columnsA; i++)
    for (let j = 0; j < columnsB; j++) {
      let product = 0
      for (let k = 0; k < side; k++) product += a[k * columnsA + i]! * b[k * columnsB + j]!
      sums[i]![j] =
        product ** 2 + (sums[i - 1]?.[j] ?? 0) + (sums[i]![j - 1] ?? 0) - (sums[i - 1]?.[j - 1] ?? 0)
    }
  return sums.map((row, i) => row.map((sum, j) => sum / Math.min(i + 1, j + 1)))
}
