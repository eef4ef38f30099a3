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
