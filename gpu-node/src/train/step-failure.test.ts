/** Steps that go wrong: nothing is updated by what is not finite, ranks agree, and the cause is named. */
import { customGrad, mul, type Tensor, type Tensor2D } from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { selectBackend } from '../backends/select.ts'
import type { Adaptation } from '../methods/method.ts'
import { assignValues } from '../optim/state.ts'
import { localGroup } from '../testing/collectives/local.ts'
import {
  everyMethod,
  type ToyConfig,
  type ToyTraining,
  toyTraining,
} from '../testing/training/toy-training.ts'
import { type StepReport, train } from './trainer.ts'

beforeAll(async () => {
  await selectBackend('auto', { threads: 1 })
})

const module = 'model.layers.0.mlp.down_proj'
const other = 'model.layers.1.mlp.up_proj'

interface Fault {
  /** Multiplies the output of `module`. */
  forward?: number
  /** Multiplies the gradient that comes back to it. */
  backward?: number
  /** 1-based, and 0-based. */
  step: number
  microBatch: number
}

/** The same method with a fault in one layer of one pass. */
function withFault(adaptation: Adaptation, { forward = 1, backward = 1, ...place }: Fault): Adaptation {
  let here = false
  return {
    ...adaptation,
    beginPass(position) {
      here = position.step === place.step && position.microBatch === place.microBatch
      adaptation.beginPass(position)
    },
    linear(name, x) {
      const y = adaptation.linear(name, x)
      if (!here || name !== module) return y
      const run = customGrad((input) => ({
        value: mul(input as Tensor, forward),
        gradFunc: (dy: Tensor) => mul(dy, backward),
      }))
      return run(y) as Tensor2D
    },
  }
}

async function untilFailure(toy: ToyTraining, fault: Fault) {
  const training = { ...toy.training, adaptation: withFault(toy.training.adaptation, fault) }
  const reports: StepReport[] = []
  const snapshots: Float32Array[][] = []
  const values = async () => {
    const found = [...(await toy.weights()).values()]
    for (const { read } of toy.state.entries()) found.push(await read())
    return found
  }
  const failure = await train(training, 0, async (report) => {
    reports.push(report)
    snapshots.push(await values())
    return 'continue'
  }).then(
    () => null,
    (error: unknown) => error as { code: string; message: string; hint: string },
  )
  return { failure, reports, snapshots }
}

const config: ToyConfig = {
  method: { name: 'lora', rank: 2 },
  schedule: { kind: 'constant', warmupRatio: 0 },
  training: { globalBatchSize: 4, microBatchSize: 2, maxSteps: 4 },
}

describe.each(everyMethod)('%s', (_, method, devices) => {
  const training = { globalBatchSize: 4 * devices, microBatchSize: 2, maxSteps: 4 }

  it.each([null, 1])(
    'a gradient that is infinite beside a finite loss changes no bit of weights and moments (clipping at %s)',
    async (maxGradNorm) => {
      const toy = await toyTraining({
        ...config,
        method,
        parallel: { devices },
        training,
        optimizer: { learningRate: 1e-2, maxGradNorm },
      })
      const fault = { backward: Number.POSITIVE_INFINITY, step: 3, microBatch: 1 }
      const { failure, reports, snapshots } = await untilFailure(toy, fault)
      expect(failure).toMatchObject({
        code: 'NUMERIC',
        message: expect.stringMatching(/^step 3: the gradient norm is/),
      })
      expect(failure!.message).toMatch(`the gradient of ${module}.`)
      expect(failure!.hint).toMatch('lower the learning rate')
      expect(reports.map(({ step }) => step)).toEqual([1, 2, 3])
      expect(Number.isFinite(reports[2]!.loss)).toBe(true)
      expect(Number.isFinite(reports[2]!.gradNorm)).toBe(false)
      expect(reports[2]!.updateNorm).toBe(null)
      expect(snapshots[2]).toEqual(snapshots[1])
      toy.dispose()
    },
  )
})

describe('the cause', () => {
  it('of a loss that is NaN in one micro-batch of several is the layer and the micro-batch where it began', async () => {
    const toy = await toyTraining(config)
    const { failure, snapshots } = await untilFailure(toy, { forward: Number.NaN, step: 2, microBatch: 1 })
    expect(failure!.message).toMatch(
      /^step 2: the loss is NaN; first not finite: the output of model.layers.0.mlp.down_proj \(activations: NaN\), micro-batch 2 of 2/,
    )
    expect(snapshots[1]).toEqual(snapshots[0])
    toy.dispose()
  })

  it('at the first step with a learning rate above zero is not the learning rate', async () => {
    for (const [warmupSteps, step] of [
      [0, 1],
      [2, 2],
    ] as const) {
      const toy = await toyTraining({ ...config, schedule: { kind: 'constant', warmupSteps } })
      const { failure } = await untilFailure(toy, { forward: Number.NaN, step, microBatch: 0 })
      expect(failure!.hint).toMatch('the learning rate is not the cause')
      expect(failure!.hint).not.toMatch(/lower/i)
      toy.dispose()
    }
  })

  it('is a weight where one is not finite', async () => {
    const toy = await toyTraining(config)
    const weight = toy.training.model.weight(`${other}.weight`)
    assignValues(weight, new Float32Array(weight.size).fill(Number.NEGATIVE_INFINITY))
    const { failure } = await untilFailure(toy, { step: 9, microBatch: 0 })
    expect(failure!.message).toMatch(`${other}.weight (weights: -Infinity)`)
    toy.dispose()
  })

  it('of a step whose update divides zero by zero is epsilon', async () => {
    const toy = await toyTraining({ ...config, optimizer: { epsilon: 0, learningRate: 1e-2 } })
    const { failure, reports } = await untilFailure(toy, { step: 9, microBatch: 0 })
    expect(failure!.message).toMatch(
      /^step 1: loss and gradients were finite, but after the update .*\.A holds NaN/,
    )
    expect(failure!.hint).toMatch('optimizer.epsilon')
    expect(reports).toHaveLength(1)
    toy.dispose()
  })

  it('of a gradient whose square exceeds float32 is the second moment; clipped, it trains', async () => {
    const fault = { backward: 1e25, step: 2, microBatch: 0 }
    const toy = await toyTraining(config)
    const { failure } = await untilFailure(toy, fault)
    expect(failure!.message).toMatch(/^step 2: .*adam_v holds Infinity/)
    expect(failure!.hint).toMatch('clip')
    toy.dispose()
    const clipped = await toyTraining({ ...config, optimizer: { learningRate: 1e-2, maxGradNorm: 1 } })
    expect((await untilFailure(clipped, fault)).failure).toBe(null)
    clipped.dispose()
  })
})

describe.each(['hd-pissa', 'lora'] as const)('ranks with %s', (name) => {
  it.each([
    ['a gradient', { backward: Number.NaN }, /gradient norm is NaN/],
    ['a loss', { forward: Number.NaN }, /the loss is NaN.*the output of model.layers.0.mlp.down_proj/],
  ])('all end with the same words where one of them meets NaN in %s', async (_, fault, words) => {
    const ends = await Promise.all(
      localGroup(2).map(async (collective) => {
        const toy = await toyTraining(
          { ...config, method: { name, rank: 2 }, parallel: { devices: 2 } },
          { collective },
        )
        const step = collective.rank === 1 ? 2 : 99
        const { failure, snapshots } = await untilFailure(toy, { ...fault, step, microBatch: 0 })
        expect(snapshots).toHaveLength(2)
        expect(snapshots[1]).toEqual(snapshots[0])
        toy.dispose()
        return failure
      }),
    )
    expect(ends[0]).toMatchObject({ code: 'NUMERIC', message: expect.stringMatching(words) })
    expect(ends[1]!.message).toBe(ends[0]!.message)
    expect(ends[1]!.hint).toBe(ends[0]!.hint)
  })
})
