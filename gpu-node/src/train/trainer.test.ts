/** The training loop on a small Llama: METHODS §8, invariants 11, 24 and 25, and what a step leaves behind. */
import { memory } from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { selectBackend } from '../backends/select.ts'
import { distance } from '../testing/methods/float64.ts'
import { everyMethod, type ToyConfig, toyExamples, toyTraining } from '../testing/training/toy-training.ts'

beforeAll(async () => {
  await selectBackend('auto', { threads: 1 })
})

const losses = async (config: ToyConfig, options = {}) => {
  const toy = await toyTraining(config, options)
  const reports = await toy.run()
  const weights = await toy.weights()
  toy.dispose()
  return { reports, losses: reports.map(({ loss }) => loss), weights }
}

describe.each(everyMethod)('%s', (_, method, devices) => {
  const config: ToyConfig = {
    method,
    parallel: { devices },
    optimizer: { learningRate: 5e-3 },
    training: { globalBatchSize: 4 * devices, microBatchSize: 2, epochs: 4 },
  }

  it('keeps the number of live tensors and bytes from step to step, and gives all back', async () => {
    const before = memory()
    const toy = await toyTraining(config)
    toy.training.model.rope.upTo(16) // grows with the longest sequence so far
    const counts: number[] = []
    const bytes: number[] = []
    const { train } = await import('./trainer.ts')
    await train(toy.training, 0, async ({ step }) => {
      counts.push(memory().numTensors)
      bytes.push(memory().numBytes)
      return step === 5 ? 'leave' : 'continue'
    })
    expect(new Set(counts.slice(1)).size).toBe(1)
    expect(new Set(bytes.slice(1)).size).toBe(1)
    toy.dispose()
    toy.training.model.rope.dispose()
    expect(memory().numTensors).toBe(before.numTensors)
  })

  it('lowers the loss', async () => {
    const { losses: found } = await losses({ ...config, optimizer: { learningRate: 1e-2 } })
    const perEpoch = found.length / 4
    const mean = (part: number[]) => part.reduce((sum, value) => sum + value, 0) / part.length
    expect(mean(found.slice(-perEpoch))).toBeLessThan(mean(found.slice(0, perEpoch)))
  })

  it('is repeated bit for bit', async () => {
    expect((await losses(config)).losses).toEqual((await losses(config)).losses)
  })

  it('gives the same with gradient checkpointing', async () => {
    const short = { ...config, training: { ...config.training, maxSteps: 3 } }
    const plain = await losses(short)
    const recomputed = await losses({ ...short, resources: { gradientCheckpointing: true } })
    expect(distance(recomputed.losses, plain.losses)).toBeLessThan(1e-6)
  })
})

describe('devices', () => {
  it('the logged loss is the mean over devices, for methods of either kind', async () => {
    const config = {
      parallel: { devices: 4 },
      training: { globalBatchSize: 8, microBatchSize: 2, maxSteps: 1 },
    }
    const full = await losses({ ...config, method: { name: 'full' } })
    for (const name of ['hd-pissa', 'lora-dwu', 'intermediate'] as const) {
      const found = await losses({ ...config, method: { name, rank: 2 } })
      expect(found.losses[0]! / full.losses[0]!).toBeCloseTo(1, 6)
    }
  })

  it.each([2, 4, 8])('averaging methods: %i devices are one device with the whole batch', async (devices) => {
    const examples = toyExamples(32).map((example) => ({
      // One length: the mean of the devices' means is then the mean over all.
      inputIds: example.inputIds.slice(0, 4),
      labels: example.labels.slice(0, 4),
    }))
    for (const method of [{ name: 'full' }, { name: 'lora', rank: 2 }] as const) {
      const training = { globalBatchSize: 16, microBatchSize: 16 / devices, epochs: 2 }
      const many = await losses({ method, parallel: { devices }, training }, { examples })
      const one = await losses({ method, training: { ...training, microBatchSize: 16 } }, { examples })
      expect(distance(many.losses, one.losses)).toBeLessThan(1e-5)
    }
  })

  it('invariant 11: K devices of HD-PiSSA in one pass are K passes, one device per micro-batch', async () => {
    // A device whose examples are masked out has no gradient, so one pass per device gives each device its own.
    const method = { name: 'hd-pissa', rank: 2, aggregate: 'sum' } as const
    const config: ToyConfig = {
      method,
      parallel: { devices: 4 },
      training: { globalBatchSize: 16, microBatchSize: 4, maxSteps: 1 },
    }
    const together = await toyTraining(config)
    const apart = await toyTraining(config)
    const { GradientStore } = await import('../optim/gradient-store.ts')
    const { backward } = await import('../ops/gradients.ts')
    const { loss } = await import('../model/llama.ts')
    const { stepBatches } = await import('../data/batch.ts')
    const gradientsOf = (toy: typeof together, device: number | null) => {
      const { model, adaptation, examples, sampler } = toy.training
      const [batch] = stepBatches(sampler.plan(0), examples, 0, 'microbatch-mean')
      const rows = batch!.weights.length / 4
      const weights = batch!.weights.map((weight, i) =>
        device === null || Math.floor(i / rows) === device ? weight : 0,
      )
      const store = new GradientStore(adaptation.trained)
      backward(
        () => loss(model, { ...batch!, weights }, adaptation.linear).loss,
        adaptation.trained,
        (variable, gradient) => store.add(variable, gradient),
      ).dispose()
      return store
    }
    const whole = gradientsOf(together, null)
    const parts = [0, 1, 2, 3].map((device) => gradientsOf(apart, device))
    for (const [index, variable] of together.training.adaptation.trained.entries()) {
      const expected = (await whole.get(variable).data()) as Float32Array
      const other = apart.training.adaptation.trained[index]!
      const joined = new Float32Array(expected.length)
      for (const [device, store] of parts.entries()) {
        const values = (await store.get(other).data()) as Float32Array
        const size = values.length / 4
        joined.set(values.subarray(device * size, (device + 1) * size), device * size)
        const elsewhere = values.filter((_, i) => Math.floor(i / size) !== device)
        expect(elsewhere.every((value) => value === 0)).toBe(true)
      }
      expect(distance(joined, expected)).toBeLessThan(1e-5)
    }
    for (const store of [whole, ...parts]) store.dispose()
    for (const toy of [together, apart]) toy.dispose()
  })
})

describe('invariant 25: accumulation', () => {
  const equalLengths = toyExamples(24).map(({ inputIds, labels }) => ({
    inputIds: inputIds.slice(0, 4),
    labels: labels.slice(0, 4),
  }))
  const config = (microBatchSize: number, lossReduction: 'microbatch-mean' | 'token-mean'): ToyConfig => ({
    method: { name: 'full' },
    training: { globalBatchSize: 8, microBatchSize, lossReduction, epochs: 2 },
  })

  it('micro-batches of equal token counts are one batch, by either reduction', async () => {
    for (const reduction of ['microbatch-mean', 'token-mean'] as const) {
      const whole = await losses(config(8, reduction), { examples: equalLengths })
      const parts = await losses(config(2, reduction), { examples: equalLengths })
      expect(distance(parts.losses, whole.losses)).toBeLessThan(1e-5)
    }
  })

  it('with unequal counts only the token mean does not depend on the micro-batches', async () => {
    const [whole, parts] = [await losses(config(8, 'token-mean')), await losses(config(2, 'token-mean'))]
    expect(distance(parts.losses, whole.losses)).toBeLessThan(1e-5)
    const [one, four] = [
      await losses(config(8, 'microbatch-mean')),
      await losses(config(2, 'microbatch-mean')),
    ]
    expect(distance(four.losses, one.losses)).toBeGreaterThan(1e-3)
  })
})

describe('invariant 24: what a method does not train keeps every bit', () => {
  it.each(everyMethod.filter(([label]) => label !== 'full'))('%s', async (_, method, devices) => {
    const config: ToyConfig = {
      method,
      parallel: { devices },
      targetModules: ['q_proj', 'down_proj'],
      training: { globalBatchSize: 4 * devices, microBatchSize: 2, maxSteps: 3 },
    }
    const before = await toyTraining({ ...config, method: { name: 'full' } })
    const start = await before.weights()
    before.dispose()
    const { weights } = await losses(config)
    for (const [name, values] of weights)
      if (!/q_proj|down_proj/.test(name)) expect(values, name).toEqual(start.get(name))
  })
})

describe('a loss that is no number', () => {
  it('is reported, then ends the training with NUMERIC', async () => {
    const toy = await toyTraining({
      method: { name: 'full' },
      optimizer: { learningRate: 10 },
      schedule: { kind: 'constant', warmupRatio: 0 },
      training: { globalBatchSize: 4, microBatchSize: 2, epochs: 30 },
    })
    const { assignValues } = await import('../optim/state.ts')
    const weight = toy.training.model.weight('model.norm.weight')
    assignValues(weight, new Float32Array(weight.size).fill(Number.NaN))
    const seen: number[] = []
    const { train } = await import('./trainer.ts')
    const ending = train(toy.training, 0, async ({ loss }) => {
      seen.push(loss)
      return 'continue'
    })
    await expect(ending).rejects.toMatchObject({
      code: 'NUMERIC',
      hint: expect.stringContaining('learning rate'),
    })
    expect(seen).toEqual([Number.NaN])
    toy.dispose()
  })
})
