/** The benchmarks that a model can be scored by, and how the literature spells them. */

export const benchmarkTitles = {
  gsm8k: 'GSM8K',
  math: 'MATH',
  humaneval: 'HumanEval',
  mbpp: 'MBPP',
  boolq: 'BoolQ',
  piqa: 'PIQA',
  siqa: 'SIQA',
  hellaswag: 'HellaSwag',
  winogrande: 'WinoGrande',
  'arc-e': 'ARC-e',
  'arc-c': 'ARC-c',
  obqa: 'OBQA',
} as const

export type BenchmarkName = keyof typeof benchmarkTitles
export const benchmarkNames = Object.keys(benchmarkTitles) as [BenchmarkName, ...BenchmarkName[]]

/** How a benchmark is asked and scored: as in the PiSSA and HD-PiSSA papers, or as EleutherAI's harness does it. */
export const benchmarkProtocols = ['pissa', 'lm-eval'] as const
export type BenchmarkProtocol = (typeof benchmarkProtocols)[number]

/** A score's name: of two protocols the scores do not compare. */
export function benchmarkTitle(name: BenchmarkName, protocol: BenchmarkProtocol): string {
  return protocol === 'pissa' ? benchmarkTitles[name] : `${benchmarkTitles[name]} (${protocol})`
}
