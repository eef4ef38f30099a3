/** docs/goldens.md from the distances of all cases. */
import { markdownTable, percent, scientific } from '../output/markdown.ts'
import type { Distances, Material, Metric } from './material.ts'

export interface CaseReport {
  readonly material: Material
  readonly ownToTruth: Distances
  /** Null where there is no reference in float32. */
  readonly ownToReference: Distances | null
  readonly referenceToTruth: Distances | null
  /** Final ΔW of HD-PiSSA's equation, relative Frobenius, worst module; null where the case is its method's equation. */
  readonly paperToTruth: number | null
  /** The same of the released HD-PiSSA code; null for other methods. */
  readonly officialToTruth: number | null
}

const metrics: readonly { metric: Metric; title: string }[] = [
  { metric: 'loss_max_relative', title: 'loss, worst step' },
  { metric: 'delta_w_frobenius_max_relative', title: '‖ΔW‖, worst step' },
  { metric: 'delta_w_final_relative_frobenius_error_max', title: 'final ΔW, worst matrix' },
  { metric: 'delta_w_final_relative_frobenius_error_median', title: 'final ΔW, median matrix' },
  { metric: 'singular_values_max_abs_over_s1', title: 'singular values / s₁' },
  { metric: 'gradient_norm_max_relative', title: 'gradient norm, worst step' },
]

/** Sentences on what is outside. */
export function outsideTolerance({ material, ownToTruth }: CaseReport): string[] {
  return metrics
    .filter(({ metric }) => ownToTruth[metric] > material.tolerance[metric])
    .map(({ metric, title }) => {
      return `${material.golden.case}: ${title} ${scientific(ownToTruth[metric])} > ${material.tolerance[metric]}`
    })
}

export function goldenPage(reports: readonly CaseReport[], machine: string): string {
  const measured = reports.flatMap((report) =>
    metrics
      .filter(({ metric }) => Number.isFinite(report.ownToTruth[metric]))
      .map(({ metric }) => ({ report, metric })),
  )
  const outside = reports.flatMap(outsideTolerance)
  const share = Math.max(
    ...measured.map(({ report, metric }) => report.ownToTruth[metric] / report.material.tolerance[metric]),
  )
  const closer = measured.filter(
    ({ report, metric }) =>
      report.referenceToTruth && report.ownToTruth[metric] <= report.referenceToTruth[metric],
  )
  const compared = measured.filter(({ report }) => report.referenceToTruth)
  return `# Distances from the paper, the official code and PEFT

Written by \`npm run bench -- goldens\`; do not edit. ${machine}

The golden cases lie beside the repository (\`../shared/golden\`, or where \`RANKSCOPE_SHARED\` says). Each is a whole training run
of somebody else's implementation, or of the equations in float64, repeated by Rankscope's own training loop in float32 from
the same weights, data, order and schedule. **${reports.length} cases, ${measured.length} distances from the float64 truth,
${outside.length === 0 ? 'all within their tolerance' : `${outside.length} outside their tolerance`}**; the largest is ${percent(share)} of its tolerance. In ${closer.length} of
${compared.length} distances Rankscope is at least as close to the truth as the float32 reference is.

## Sides

- **truth**: an independent float64 implementation (own Llama, dense gradients, float64 SVD) of the case's equation.
- **paper**: the method's published equation. For HD-PiSSA \`W += (1/K) Σ_k ΔW_k\` with fixed adapters, contiguous slices and
  the second-order term; Rankscope computes it with \`aggregate: mean\`.
- **official code**: the released \`hd_pissa.py\`, float32, which sums over devices (\`aggregate: sum\`) and floors alpha / r.
- **PEFT, torch**: PEFT 0.21 for LoRA, rsLoRA, PiSSA, DoRA and HiRA; plain torch for full fine-tuning. For MoRA, which PEFT
  lacks, the authors' map was checked for every shape, and there is no run of theirs.
- **tolerance**: 8 times the largest distance among correct float32 implementations of the case, rounded up. A case that
  exists in float64 only has the tolerance of the case that it varies.

## Paper · official code · PEFT · Rankscope

Distance of the final ΔW from the float64 truth of the case's own equation: ‖ΔW − ΔW_truth‖_F / ‖ΔW_truth‖_F, the worst of the
three matrices that a case follows. *is the truth*: the case computes what the paper says. A distance near 1 is another
equation, not an error: that is how far the paper and its released code lie apart on the same data.

${sidesTable(reports)}

## Every distance

${reports.map(caseSection).join('\n\n')}

Singular values are compared for every target matrix, the final ΔW against the truth for the three followed ones, against the
reference for every matrix that it stored. Where the worst matrix is far above the median, look for a single row or column:
Adam's first step is the sign of the gradient, so a gradient near zero may turn over by rounding
(\`one_adam_sign_flip\` of the case).
`
}

function sidesTable(reports: readonly CaseReport[]): string {
  const header = ['case', 'computes', 'paper', 'official code', 'PEFT, torch', 'Rankscope', 'tolerance']
  const metric = 'delta_w_final_relative_frobenius_error_max'
  const rows = reports.map(({ material, ownToTruth, referenceToTruth, paperToTruth, officialToTruth }) => {
    const peft = material.golden.kind === 'fine_tuning' ? (referenceToTruth?.[metric] ?? null) : null
    return [
      `\`${shortName(material.golden.case)}\``,
      computes(material),
      paperToTruth === null ? 'is the truth' : scientific(paperToTruth),
      officialToTruth === null ? '–' : scientific(officialToTruth),
      peft === null ? '–' : scientific(peft),
      `**${scientific(ownToTruth[metric])}**`,
      String(material.tolerance[metric]),
    ]
  })
  return markdownTable(header, rows, [0, 1])
}

function caseSection({ material, ownToTruth, ownToReference, referenceToTruth }: CaseReport): string {
  const { golden, tolerance } = material
  const cell = (distances: Distances | null, metric: Metric) =>
    distances && Number.isFinite(distances[metric]) ? scientific(distances[metric]) : '–'
  const rows = metrics
    .filter(({ metric }) => Number.isFinite(ownToTruth[metric]))
    .map(({ metric, title }) => [
      title,
      `**${cell(ownToTruth, metric)}**`,
      cell(ownToReference, metric),
      cell(referenceToTruth, metric),
      String(tolerance[metric]),
    ])
  const header = ['', 'Rankscope – truth', 'Rankscope – reference', 'reference – truth', 'tolerance']
  const steps = `${golden.optimizer_steps_done} steps on ${golden.model}, peak learning rate ${golden.learning_rate_peak}`
  const reference = ownToReference ? golden.reference : 'float64 only'
  return `### ${golden.case}\n\n${computes(material)}; ${steps}. Reference: ${reference}.\n\n${markdownTable(header, rows)}`
}

function shortName(name: string): string {
  return name.split('_').slice(0, 2).join('_')
}

/** What the case computes, in a few words. */
function computes({ golden }: Material): string {
  const { method, rank_r: rank, alpha, max_grad_norm: clip } = golden
  if (golden.kind === 'fine_tuning') {
    const settings = [
      ...(rank ? [`r = ${rank}`] : []),
      ...(alpha && !method?.startsWith('HiRA') ? [`alpha = ${alpha}`] : []),
      ...(clip ? [`clipped at ${clip}`] : []),
    ]
    return [(method ?? '').replace(/ \(all.*\)/, ''), ...settings].join(', ')
  }
  const { devices_K: devices = 1, rank_per_device_r: r, aggregate, adapters } = golden
  return [
    `HD-PiSSA, K = ${devices}, r = ${r}`,
    ...(devices > 1 ? [aggregate] : []),
    ...(alpha === r ? [] : [`alpha = ${alpha}`]),
    ...(adapters === 'evolving' ? ['evolving adapters'] : []),
    ...(golden.second_order_term === false ? ['first order only'] : []),
    ...(golden.adapter_slices === 'shared-top' ? ['one slice for all (Top-Rank)'] : []),
  ].join(', ')
}
