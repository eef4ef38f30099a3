/** How many steps a configuration takes, against the released code's own count and by going through the epochs. */
import { describe, expect, it } from 'vitest'
import { comparison, countSteps, plannedSteps, runConfigSchema, type StepRule } from './index.ts'

const [lora] = comparison('g', ['lora'])
const withData = (data: object, training = {}) =>
  plannedSteps({
    ...lora!,
    data: { ...lora!.data, ...data },
    training: { ...lora!.training, ...training },
  })

it('steps follow from examples, devices and batch; incomplete batches are dropped unless stepped', () => {
  expect(withData({})).toEqual({ steps: 384, exact: true })
  // What is held back or packed together makes fewer.
  expect(withData({ validationShare: 0.1 })).toEqual({ steps: 384, exact: false })
  expect(withData({ packing: true })).toEqual({ steps: 384, exact: false })
  expect(withData({ limit: 100 })?.steps).toBe(6)
  expect(withData({}, { maxSteps: 7 })?.steps).toBe(7)
})

it('are bounded at most where a file decides; an endless stream ends where it is told', () => {
  const config = (data: object, training: object = { maxSteps: 50 }) =>
    runConfigSchema.parse({
      data: { source: { kind: 'records', path: 'train.jsonl' }, ...data },
      method: { name: 'lora' },
      training,
    })
  expect(plannedSteps(config({}, {}))).toBeNull()
  expect(plannedSteps(config({}))).toEqual({ steps: 50, exact: false })
  expect(plannedSteps(config({ sampling: 'sequential' }))).toEqual({ steps: 50, exact: true })
})

const golden: StepRule = {
  examples: 21,
  devices: 1,
  microBatchSize: 1,
  accumulation: 4,
  epochs: 5,
  maxSteps: null,
  sampling: 'distributed',
  remainder: 'leak',
}

it('leaked micro-batches join steps that are there anyway: 25 steps, while the schedule of the released code has 26', () => {
  expect(countSteps(golden)).toMatchObject({ totalSteps: 25, legacyTotalSteps: 26, stepsPerEpoch: 5 })
  expect(countSteps({ ...golden, remainder: 'step' }).totalSteps).toBe(30)
})

describe.each(['drop', 'step', 'leak'] as const)('left-over micro-batches: %s', (remainder) => {
  it('are what going through the epochs example by example counts', () => {
    for (const examples of [1, 7, 16, 21, 100])
      for (const devices of [1, 2, 3])
        for (const microBatchSize of [1, 2, 3])
          for (const accumulation of [1, 2, 4])
            for (const epochs of [1, 2, 5])
              for (const maxSteps of [null, 3]) {
                const rule = { examples, devices, microBatchSize, accumulation, epochs, maxSteps, remainder }
                expect(
                  countSteps({ ...rule, sampling: 'distributed' }).totalSteps,
                  JSON.stringify(rule),
                ).toBe(walked(rule))
              }
  })
})

/** The same by walking: device 0 takes its examples one by one. */
function walked(rule: Omit<StepRule, 'sampling'>): number {
  let steps = 0
  for (let epoch = 0; epoch < rule.epochs; epoch++) {
    let inMicroBatch = 0
    let inStep = 0
    for (let example = 0; example < rule.examples; example += rule.devices) {
      if (++inMicroBatch < rule.microBatchSize) continue
      inMicroBatch = 0
      if (++inStep < rule.accumulation) continue
      inStep = 0
      steps++
    }
    if (inStep > 0 && rule.remainder === 'step') steps++
  }
  return Math.min(steps, rule.maxSteps ?? steps)
}
