import { type RunConfig, runConfigSchema } from '@rankscope/protocol'
import { describe, expect, it } from 'vitest'
import { estimateTime } from './run-time.ts'

const config = (name: 'lora' | 'full', learningRate = 1e-5): RunConfig =>
  runConfigSchema.parse({
    data: { source: { kind: 'task', task: 'arithmetic' } },
    method: { name },
    optimizer: { learningRate },
  })
const earlier = (name: 'lora' | 'full', step: number, seconds: number) => ({
  config: config(name),
  state: 'finished' as const,
  step,
  startedMs: 1000,
  endedMs: 1000 + seconds * 1000,
})

describe('the time that runs will take', () => {
  it('is the median time per step of earlier runs of the same shape, whatever their learning rate', () => {
    const runs = [
      earlier('lora', 100, 50),
      earlier('lora', 100, 60),
      earlier('lora', 10, 100),
      earlier('full', 10, 999),
    ]
    expect(estimateTime([{ config: config('lora', 3e-4), steps: 200 }], runs)).toEqual({
      seconds: 120,
      unknown: 0,
      basedOn: 3,
    })
  })
  it('says for how many runs nothing is known, and gives them the others’ mean', () => {
    const planned = [
      { config: config('lora'), steps: 10 },
      { config: config('full'), steps: 10 },
    ]
    expect(estimateTime(planned, [earlier('lora', 10, 5)])).toEqual({ seconds: 10, unknown: 1, basedOn: 1 })
    expect(estimateTime(planned, [])).toBeNull()
  })
})
