/** Figures of a sweep for print. */
import type { MethodName, SweepSpec } from '@rankscope/protocol'
import { describe, expect, it } from 'vitest'
import { overAxis } from './sweep-plots.ts'
import type { RunResult } from './sweep-results.ts'

const ranks = [1, 2, 4, 8, 16]
const spec: SweepSpec = {
  name: 'ranks',
  base: {},
  methods: {},
  axes: [
    { path: 'method', values: ['lora', 'full'] },
    { path: 'method.rank', values: ranks },
  ],
  sample: null,
  metric: 'accuracy',
  recipe: null,
}
const run = (method: MethodName, rank: number | null, accuracy: number): RunResult => ({
  runId: `${method}-${rank}`,
  method,
  point: { method, ...(rank === null ? {} : { 'method.rank': rank }) },
  seed: 1,
  outcome: 'finished',
  validation: null,
  test: accuracy,
  measures: { accuracy, steps: 3 },
})

describe('a measure over a setting, for print', () => {
  const svg = overAxis(
    spec,
    [...ranks.map((rank) => run('lora', rank, rank / 100)), run('full', null, 0.1)],
    'method.rank',
    'accuracy',
  )
  const circles = [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)" r="3"/g)].map(([, x, y]) => [x, y])

  it('marks the values that were tried', () => {
    for (const rank of ranks) expect(svg).toMatch(new RegExp(`text-anchor="middle">${rank}</text>`))
    expect(svg).not.toContain('text-anchor="middle">5</text>')
    expect(circles).toHaveLength(5)
  })

  it('draws shares in percent', () => {
    expect(svg).toContain('Test accuracy (%)')
    expect(svg).toContain('text-anchor="end">10</text>')
  })

  it('draws a method without the setting as a dashed line at its mean, and says so', () => {
    const [, top] = svg.match(/<path d="M70 ([\d.]+)H740" fill="none"[^>]*stroke-dasharray/)!
    const [at8, at16] = [circles[3]![1], circles[4]![1]].map(Number)
    // A linear axis: 10 lies a quarter of the way from 8 to 16.
    expect(Number(top)).toBeCloseTo(at8! + (at16! - at8!) / 4, 1)
    expect(svg).toContain('Full fine-tuning')
    expect(svg.replaceAll(/<\/text>\s*<text[^>]*>/g, ' ')).toContain(
      'A dashed line is a method that has no such',
    )
  })
})
