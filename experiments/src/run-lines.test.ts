import { type RecordBody, toFloat64Bytes } from '@rankscope/protocol'
import { describe, expect, it } from 'vitest'
import { lineOfRecord, recordOfLine } from './run-lines.ts'

const bodies: RecordBody[] = [
  {
    kind: 'scalars',
    step: 3,
    values: { 'train/loss': Number.NaN, 'train/gradNorm': Number.NEGATIVE_INFINITY, x: 0.1 },
  },
  {
    kind: 'spectrum',
    step: 2,
    module: 'NaN',
    part: 'total',
    rows: 4,
    columns: 4,
    singularValues: toFloat64Bytes([3, 1e-300, 0, Number.NaN]),
    frobenius: Number.POSITIVE_INFINITY,
    measures: {
      numericalRank: 2,
      numericalRankThreshold: 1e-6,
      numericalRankFloat64: 3,
      energyRank90: 1,
      energyRank99: 2,
      effectiveRank: Number.NaN,
      spectralEntropyRank: 1.5,
      stableRank: 1.25,
      participationRatio: 1.75,
    },
    profiles: { overlaps: toFloat64Bytes([1 / 3, Number.NaN]), rotation: toFloat64Bytes([]) },
    elapsedMs: 3,
    final: true,
  },
  {
    kind: 'sample',
    step: 1,
    index: 0,
    prompt: 'NaN',
    completion: 'Infinity',
    expected: null,
    correct: false,
  },
  { kind: 'log', level: 'info', message: 'NaN' },
  {
    kind: 'evaluation',
    step: 1,
    examples: 2,
    loss: Number.NaN,
    accuracy: 0.5,
    split: 'validation',
    byType: { sums: { examples: 2, accuracy: Number.NaN } },
    elapsedMs: 1,
  },
  { kind: 'lifecycle', state: 'failed', error: { code: 'NUMERIC', message: 'NaN', hint: null } },
  { kind: 'checkpoint', step: 2, path: '/a', bytes: 5 },
  { kind: 'artifact', artifact: 'delta', path: '/a', bytes: 5 },
]

describe('a record as a line of JSON', () => {
  it.each(bodies.map((body) => [body.kind, body] as const))('comes back the same: %s', (_, body) => {
    const line = lineOfRecord(body, 1234)!
    const travelled = JSON.parse(JSON.stringify(line.value)) as Record<string, unknown>
    expect(recordOfLine(line.file, travelled, 'here')).toEqual({ body, timeMs: 1234 })
  })

  it('that does not fit is refused with its place', () => {
    expect(() => recordOfLine('spectra', { step: 1 }, 'spectra.jsonl, line 7')).toThrow(
      /spectra.jsonl, line 7/,
    )
    expect(recordOfLine('log', { kind: 'log', level: 'info', message: 'a' }, 'here').timeMs).toBeNull()
  })
})
