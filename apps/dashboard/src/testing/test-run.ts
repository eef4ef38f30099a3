/** A run view for tests: a queued LoRA run with the given parts replaced. */
import { type RunConfigInput, type RunView, runConfigSchema } from '@rankscope/protocol'

export function testRun(change: Partial<RunView> = {}, config: Partial<RunConfigInput> = {}): RunView {
  return {
    runId: 'run-1',
    name: 'lora-brave-otter',
    state: 'queued',
    attempt: 0,
    config: runConfigSchema.parse({
      data: { source: { kind: 'task', task: 'programs' } },
      method: { name: 'lora', rank: 4 },
      ...config,
    }),
    nodeId: null,
    gang: [],
    createdMs: 0,
    startedMs: null,
    endedMs: null,
    queuePosition: null,
    phase: null,
    step: 0,
    totalSteps: null,
    latest: {},
    start: null,
    summary: null,
    checkpoint: null,
    error: null,
    waitingFor: null,
    ...change,
  }
}
