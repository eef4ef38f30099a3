import { beforeAll, describe, expect, test } from 'vitest'
import { loadNativeLibrary } from '../backends/native/native-library.ts'
import { nativeBackend, runningNativeBackend } from '../backends/native.ts'
import { everyMethod, toyTraining } from '../testing/training/toy-training.ts'

const library = loadNativeLibrary()
const reason = 'unavailable' in library ? library.unavailable : ''

/** Where a step waits for the device, a GPU runs dry: each wait costs as much as many kernels. */
describe.skipIf(reason !== '')(`the device backend ${reason && `(skipped: ${reason})`}`, () => {
  beforeAll(async () => {
    await nativeBackend.start({ threads: 2 })
  })

  test.each([
    ...everyMethod,
    ['dora, dropout', { name: 'dora', rank: 2, dropout: 0.2 }, 2] as const,
    ['hira, dropout', { name: 'hira', rank: 2, dropout: 0.2 }, 2] as const,
    ['mora, dropout', { name: 'mora', rank: 2, dropout: 0.2 }, 2] as const,
  ])('a training step of %s does not wait for it', async (_, method, devices) => {
    const microBatchSize = 2 / devices
    const toy = await toyTraining({
      method,
      parallel: { devices },
      training: { globalBatchSize: 4, microBatchSize },
      resources: { gradientCheckpointing: true },
    })
    const backend = runningNativeBackend()!
    const before = backend.waits
    const reports = await toy.run(0, 4)
    expect(reports.every(({ loss }) => Number.isFinite(loss))).toBe(true)
    expect(backend.waits - before).toBe(0)
    toy.dispose()
  })
})
