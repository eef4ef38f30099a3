import { type RunView, runConfigSchema } from '@rankscope/protocol'
import { expect, it } from 'vitest'
import { initialSettings, planEvaluation } from './evaluation-plan.ts'

const settings = {
  ...initialSettings(),
  evaluation: { ...initialSettings().evaluation, benchmarks: [{ name: 'gsm8k', path: 'gsm8k.jsonl' }] },
}

it('a model becomes a job that trains nothing; what is missing is said', () => {
  const { config, findings } = planEvaluation({ kind: 'model', path: 'tiny' }, settings)
  expect(findings).toEqual([])
  expect(config).toMatchObject({
    job: { kind: 'evaluation', of: null },
    model: { path: 'tiny' },
    data: { source: { kind: 'none' } },
    evaluation: { benchmarks: [{ name: 'gsm8k', protocol: 'pissa' }] },
  })
  expect(planEvaluation(null, settings).findings).toMatchObject([{ path: 'model.path' }])
  expect(planEvaluation({ kind: 'model', path: 'tiny' }, initialSettings())).toMatchObject({
    config: null,
    findings: [{ path: 'evaluation.benchmarks', message: 'there is nothing to evaluate by' }],
  })
})

it('what a run left is named with its run and node, and shown as the run’s method', () => {
  const config = runConfigSchema.parse({
    data: { source: { kind: 'task', task: 'programs' } },
    method: { name: 'hd-pissa', rank: 4 },
    parallel: { devices: 4, mode: 'processes' },
    training: { globalBatchSize: 8 },
  })
  const run = { runId: 'r', nodeId: 'n', config } as RunView
  const subject = { kind: 'run', run, what: 'checkpoint', path: '/runs/r/1/checkpoints/step-1' } as const
  const plan = planEvaluation(subject, settings)
  expect(plan.findings).toEqual([])
  expect(plan.config).toMatchObject({
    job: { kind: 'evaluation', of: { runId: 'r', nodeId: 'n', what: 'checkpoint', path: subject.path } },
    method: { name: 'hd-pissa', rank: 4 },
    parallel: { devices: 4, mode: 'virtual' },
  })
})
