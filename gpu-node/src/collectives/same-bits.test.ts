/** Where ranks of several processes compute what virtual devices of one compute, in every bit. */
import { beforeAll, describe, expect, it } from 'vitest'
import { selectBackend } from '../backends/select.ts'
import { localGroup } from '../testing/collectives/local.ts'
import { everyMethod, type ToyConfig, toyTraining } from '../testing/training/toy-training.ts'

/** Methods with an optimizer per device: what a device adds to its gradient comes from its own rows either way. */
const perDevice = everyMethod.filter(([label]) => label.startsWith('hd-pissa') || label === 'lora-dwu')

describe('on wasm, whose sums do not depend on how many rows are multiplied at once', () => {
  beforeAll(async () => {
    await selectBackend('wasm', { threads: 1 })
  })

  it.each(perDevice)('4 ranks have the weights of 4 virtual devices: %s', async (_, method) => {
    const devices = 4
    const config: ToyConfig = {
      method,
      parallel: { devices },
      optimizer: { learningRate: 5e-3, maxGradNorm: 2 },
      training: { globalBatchSize: 16, microBatchSize: 2, maxSteps: 2 },
    }
    const virtual = await toyTraining(config)
    await virtual.run()
    const expected = await virtual.weights()
    virtual.dispose()
    const ranks = await Promise.all(
      localGroup(devices).map(async (collective) => {
        const toy = await toyTraining(config, { collective })
        await toy.run()
        const weights = await toy.weights()
        toy.dispose()
        return weights
      }),
    )
    for (const weights of ranks) expect(weights).toEqual(expected)
  })
})
