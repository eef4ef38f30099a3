import { comparison, runConfigSchema } from '@rankscope/protocol'
import { expect, it } from 'vitest'
import { plannedSteps } from './planned-steps.ts'

const [lora] = comparison('g', ['lora'])

it('steps follow from examples, devices and batch; incomplete batches are dropped unless stepped', () => {
  expect(plannedSteps(lora!)).toBe(384)
  const odd = { ...lora!, data: { ...lora!.data, limit: 100 } }
  expect(plannedSteps(odd)).toBe(6)
  expect(plannedSteps({ ...lora!, training: { ...lora!.training, maxSteps: 7 } })).toBe(7)
})
it('are unknown where a file decides', () => {
  const config = runConfigSchema.parse({
    data: { source: { kind: 'records', path: 'train.jsonl' } },
    method: { name: 'lora' },
  })
  expect(plannedSteps(config)).toBeNull()
})
