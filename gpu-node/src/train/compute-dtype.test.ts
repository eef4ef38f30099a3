/** Training with bfloat16 operands (METHODS §1 row 14): every method, K devices of either kind, a resumed run. */
import { memory } from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { selectBackend } from '../backends/select.ts'
import { decodeFloat32, encodeFloats } from '../model/dtypes.ts'
import { localGroup } from '../testing/collectives/local.ts'
import { distance } from '../testing/methods/float64.ts'
import { everyMethod, type ToyConfig, toyTraining } from '../testing/training/toy-training.ts'

beforeAll(async () => {
  await selectBackend('auto', { threads: 1 })
})

const base: ToyConfig = { method: { name: 'full' }, training: { maxSteps: 8 } }

async function trained(config: ToyConfig, options: Parameters<typeof toyTraining>[1] = {}) {
  const toy = await toyTraining(config, options)
  const reports = await toy.run()
  const weights = await toy.weights()
  const state = new Map<string, Float32Array>()
  for (const { name, read } of toy.state.entries()) state.set(name, await read())
  toy.dispose()
  return { losses: reports.map(({ loss }) => loss), weights, state }
}

const withDtype = (config: ToyConfig, computeDtype: 'float32' | 'bfloat16'): ToyConfig => ({
  ...config,
  training: { ...config.training, computeDtype },
})

describe('training with bfloat16 operands', () => {
  it.each(everyMethod)(
    '%s: losses near those of float32, and not the same; memory constant',
    async (_, method, devices) => {
      const config: ToyConfig = {
        method,
        parallel: { devices },
        training: { globalBatchSize: 4 * devices, microBatchSize: 2, maxSteps: 6, epochs: 4 },
      }
      const wide = await trained(config)
      const toy = await toyTraining(withDtype(config, 'bfloat16'))
      toy.training.model.rope.upTo(16) // grows with the longest sequence so far
      const { train } = await import('./trainer.ts')
      const losses: number[] = []
      const held: string[] = []
      await train(toy.training, 0, async ({ loss }) => {
        losses.push(loss)
        const { numTensors, numBytes, numDataBuffers } = memory()
        held.push(`${numTensors} tensors, ${numBytes} bytes, ${numDataBuffers} buffers`)
        return 'continue'
      })
      toy.dispose()
      expect(losses).toHaveLength(6)
      // One rounding is half of 2⁻⁸ of an entry; its effect on a mean over tokens is smaller, but not nothing.
      expect(distance(losses, wide.losses)).toBeLessThan(1e-2)
      expect(losses.every((loss, i) => loss !== wide.losses[i])).toBe(true)
      expect(new Set(held.slice(1)).size).toBe(1)
    },
  )

  it('master weights are float32: steps far below a unit of bfloat16 are kept', async () => {
    const method = { name: 'hd-pissa', rank: 2 } as const
    const config: ToyConfig = { ...base, method, optimizer: { learningRate: 1e-6 } }
    const before = await toyTraining(config)
    const start = await before.weights()
    before.dispose()
    const { weights } = await trained(withDtype(config, 'bfloat16'))
    const name = 'model.layers.0.self_attn.q_proj.weight'
    const [from, to] = [start.get(name)!, weights.get(name)!]
    const coarse = (values: Float32Array) => decodeFloat32(encodeFloats(values, 'BF16'), 'BF16')
    expect(to).not.toEqual(from)
    expect(distance(to, from)).toBeLessThan(1e-4)
    expect(distance(coarse(to), coarse(from))).toBeLessThan(distance(to, coarse(to)))
    expect(to).not.toEqual(coarse(to))
  })

  it('a block that is run again in the backward pass is rounded again', async () => {
    const config: ToyConfig = { ...base, method: { name: 'lora', rank: 2, dropout: 0.2 } }
    const wide = await trained(config)
    const plain = await trained(withDtype(config, 'bfloat16'))
    const again = await trained({
      ...withDtype(config, 'bfloat16'),
      resources: { gradientCheckpointing: true },
    })
    const effect = distance(plain.losses, wide.losses)
    expect(distance(again.losses, plain.losses)).toBeLessThan(effect / 20)
  })

  it('K ranks train what K virtual devices train', async () => {
    const config = withDtype(
      {
        method: { name: 'hd-pissa', rank: 2, aggregate: 'sum' },
        parallel: { devices: 2 },
        training: { globalBatchSize: 8, microBatchSize: 2, maxSteps: 4 },
      },
      'bfloat16',
    )
    const virtual = await trained(config)
    const wide = await trained(withDtype(config, 'float32'))
    const ranks = await Promise.all(localGroup(2).map((collective) => trained(config, { collective })))
    const effect = distance(virtual.losses, wide.losses)
    for (const { losses, weights } of ranks) {
      expect(distance(losses, virtual.losses)).toBeLessThan(effect / 20)
      expect(weights).toEqual(ranks[0]!.weights)
    }
  })

  it('a run that goes on from its state is the run that never stopped', async () => {
    const config = withDtype({ ...base, method: { name: 'hd-pissa', rank: 2 } }, 'bfloat16')
    const whole = await trained(config)
    const first = await toyTraining(config)
    const early = await first.run(0, 3)
    const saved = new Map<string, Float32Array>()
    for (const { name, read } of first.state.entries()) saved.set(name, await read())
    first.dispose()
    const initial = { complete: true, read: (name: string) => saved.get(name) ?? null }
    const second = await toyTraining(config, { initial })
    const late = await second.run(3)
    expect([...early, ...late].map(({ loss }) => loss)).toEqual(whole.losses)
    second.dispose()
  })
})
