/** The memory estimate against what runs were measured to take, and the refusal of what cannot fit. */
import { type RunConfigInput, runConfigSchema } from '@rankscope/protocol'
import { describe, expect, it } from 'vitest'
import type { LlamaConfig } from '../model/config.ts'
import { estimateMemory, type MemoryPlace, requireMemory } from './memory.ts'

/** Hidden 512, eight layers: the size at which peak memory was measured, 8 x 256 tokens on the native backend. */
const measured = {
  hiddenSize: 512,
  intermediateSize: 1408,
  layers: 8,
  heads: 8,
  keyValueHeads: 8,
  headDim: 64,
  vocabularySize: 512,
  tiedEmbeddings: true,
  queryKeyValueBias: false,
} as LlamaConfig

const estimate = (changes: Partial<RunConfigInput>, oneDevice = false, place: MemoryPlace = 'host') =>
  estimateMemory(
    runConfigSchema.parse({
      data: { source: { kind: 'task', task: 'mix' } },
      method: { name: 'lora' },
      training: { microBatchSize: 8, globalBatchSize: 8 },
      ...changes,
    }),
    measured,
    256,
    { oneDevice, place },
  )

describe('estimated memory', () => {
  it('on a GPU holds no Node and no emulated bfloat16, and more logits at once', () => {
    const training = { microBatchSize: 8, globalBatchSize: 8, computeDtype: 'bfloat16' } as const
    const [host, gpu] = (['host', 'gpu'] as const).map((place) => estimate({ training }, false, place))
    expect(gpu!.modelBytes).toBe(host!.modelBytes)
    expect(gpu!.baseBytes).toBe(768 * 2 ** 20)
    expect(gpu!.activationBytes).toBeLessThan(host!.activationBytes)
  })

  // Peak resident memory of the training process, model and synthetic data included, on Linux.
  it.each([
    ['full', 1, false, 1528e6],
    ['full', 1, true, 894e6],
    ['lora', 1, false, 1122e6],
    ['lora', 1, true, 509e6],
    ['hd-pissa', 4, false, 1200e6],
    ['hd-pissa', 4, true, 587e6],
  ] as const)(
    '%s on %d devices, checkpointing %s, covers the measured %d bytes, without excess',
    (name, devices, gradientCheckpointing, bytes) => {
      const { totalBytes } = estimate({
        method: name === 'full' ? { name } : { name, rank: 16 },
        parallel: { devices },
        training: { microBatchSize: 8 / devices, globalBatchSize: 8 },
        resources: { gradientCheckpointing },
      })
      expect(totalBytes / bytes).toBeGreaterThan(0.98)
      expect(totalBytes / bytes).toBeLessThan(1.3)
    },
  )

  it('grows with what needs more: devices, rank, micro-batch; shrinks with checkpointing and one device of many', () => {
    const base = estimate({ method: { name: 'hd-pissa', rank: 8 } }).totalBytes
    expect(estimate({ method: { name: 'hd-pissa', rank: 16 } }).totalBytes).toBeGreaterThan(base)
    const many: Partial<RunConfigInput> = { method: { name: 'hd-pissa', rank: 8 }, parallel: { devices: 4 } }
    expect(estimate(many).totalBytes).toBeGreaterThan(base)
    expect(estimate(many, true).activationBytes).toBeLessThan(estimate(many).activationBytes / 3)
    const checkpointed = estimate({ resources: { gradientCheckpointing: true } })
    expect(checkpointed.activationBytes).toBeLessThan(estimate({}).activationBytes / 3)
  })

  // Measured at this size: 6 MB more were live at the peak of a step of LoRA, 5 MB for full fine-tuning and for MoRA.
  it('covers the rounded copies of one product where operands are bfloat16, and no second set of weights', () => {
    const training = { microBatchSize: 8, globalBatchSize: 8 }
    for (const name of ['lora', 'full', 'mora'] as const) {
      const method = { name }
      const wide = estimate({ method, training })
      const narrow = estimate({ method, training: { ...training, computeDtype: 'bfloat16' } })
      const more = narrow.totalBytes - wide.totalBytes
      expect(more).toBeGreaterThan(6.3e6)
      expect(more).toBeLessThan(wide.modelBytes / 4)
      expect(narrow.modelBytes).toBe(wide.modelBytes)
    }
  })

  it('what exceeds the node is refused with every figure, what fits or is not limited is not', () => {
    const needed = estimate({})
    expect(() => requireMemory(needed, needed.totalBytes - 1)).toThrow(
      expect.objectContaining({
        code: 'OUT_OF_MEMORY',
        message: expect.stringMatching(/weights .*GiB.*offers/),
      }),
    )
    requireMemory(needed, needed.totalBytes)
    requireMemory(needed, null)
  })
})
