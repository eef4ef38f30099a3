import { comparison, type EstimateAnswer, type MemoryPlan, RankscopeError } from '@rankscope/protocol'
import { expect, it } from 'vitest'
import { distinctForMemory, memoryOutlook } from './memory-outlook.ts'

const [lora, hdPissa] = comparison('g', ['lora', 'hd-pissa']) as [never, never]

function plan(least: number, most: number, available: number): MemoryPlan {
  const parts = { modelBytes: most, stateBytes: 0, gradientBytes: 0, activationBytes: 0, baseBytes: 0 }
  return { most: { ...parts, totalBytes: most }, leastBytes: least, availableBytes: available }
}
const node = (name: string, ...plans: (MemoryPlan | RankscopeError)[]): EstimateAnswer['nodes'][number] => ({
  nodeId: name,
  name,
  plans: plans.map((entry) =>
    entry instanceof RankscopeError
      ? { memory: null, error: entry.toPayload() }
      : { memory: entry, error: null },
  ),
})

it('a run is shown on the node with the most room, and fits where it fits there', () => {
  const answer = { nodes: [node('small', plan(2, 4, 3)), node('large', plan(2, 4, 9))], placements: [] }
  expect(memoryOutlook([lora], answer)).toMatchObject({
    rows: [{ index: 0, nodeName: 'large' }],
    findings: [],
  })
})
it('what fits with short examples only is a warning, what fits nowhere an error, both with their figures', () => {
  const gibibyte = 2 ** 30
  const tight = plan(2 * gibibyte, 4 * gibibyte, 3 * gibibyte)
  const impossible = plan(5 * gibibyte, 6 * gibibyte, 3 * gibibyte)
  const { findings } = memoryOutlook([lora, hdPissa], {
    nodes: [node('a', tight, impossible)],
    placements: [],
  })
  expect(findings).toMatchObject([
    { severity: 'warning', method: 'lora', message: expect.stringMatching(/up to 4 GiB.*a offers 3 GiB/) },
    {
      severity: 'error',
      method: 'hd-pissa',
      message: expect.stringMatching(/at least 5 GiB.*a offers 3 GiB/),
    },
  ])
})
it('a node that cannot run it counts only where all refuse, and then its reason is given', () => {
  const refusal = new RankscopeError('MODEL_NOT_FOUND', 'there is no such model', { hint: 'name another' })
  expect(
    memoryOutlook([lora], { nodes: [node('a', refusal), node('b', plan(1, 1, 2))], placements: [] }).findings,
  ).toEqual([])
  expect(memoryOutlook([lora], { nodes: [node('a', refusal)], placements: [] }).findings).toMatchObject([
    { severity: 'warning', message: expect.stringContaining('there is no such model'), hint: 'name another' },
  ])
})
it('seeds and names are asked about once', () => {
  const config = comparison('g', ['lora'])[0]!
  expect(distinctForMemory([config, { ...config, seed: 7, name: 'other' }])).toEqual([config])
})
