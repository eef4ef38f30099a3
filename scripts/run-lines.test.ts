import { comparison, type RunView } from '@rankscope/protocol'
import { describe, expect, it } from 'vitest'
import { comparisonTable, progressLine } from './run-lines.ts'

const [lora, , hdPissa] = comparison('test')

const run = (changes: Partial<RunView>): RunView => ({
  runId: 'a',
  name: 'hd-pissa-brave-otter',
  state: 'running',
  attempt: 1,
  config: hdPissa!,
  nodeId: 'n',
  gang: [],
  createdMs: 0,
  startedMs: 0,
  endedMs: null,
  queuePosition: null,
  phase: { phase: 'training', progress: 0.5, detail: null },
  step: 64,
  totalSteps: 128,
  latest: { 'train/loss': 0.41234, 'train/tokensPerSecond': 12345.6 },
  start: null,
  summary: null,
  checkpoint: null,
  error: null,
  waitingFor: null,
  ...changes,
})

describe('the demo’s lines', () => {
  it('say method, progress, phase and the latest figures', () => {
    const line = progressLine(run({}))
    expect(line).toBe(
      'HD-PiSSA (sum, K = 4)     ████████░░░░░░░░     64/128  training           loss 0.412  tokens/s 12 346',
    )
  })

  it('show a loss of NaN as it is, and the code of a failure', () => {
    expect(progressLine(run({ latest: { 'train/loss': 'NaN' } }))).toContain('loss NaN')
    const error = { code: 'NUMERIC' as const, message: 'the loss is NaN', hint: null }
    expect(progressLine(run({ state: 'failed', error }))).toContain('failed: NUMERIC')
  })

  it('end in a table whose columns are aligned, with a dash for what a run does not have', () => {
    const summary = {
      finalLoss: 0.1234567,
      accuracy: 0.875,
      effectiveRank: 31.42,
      trainableParameters: 98304,
    }
    const table = comparisonTable([run({ config: lora!, summary }), run({})]).split('\n')
    expect(new Set(table.map((line) => line.length)).size).toBe(1)
    expect(table[2]).toMatch(/^LoRA +0\.1235 +87\.5 % +31\.4 +98 304 +–$/)
  })
})
