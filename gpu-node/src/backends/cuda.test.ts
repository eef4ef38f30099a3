/** The CUDA build on the emulated driver: what is missing is named, nothing waits, every method trains to native's losses. */
import { spawnSync } from 'node:child_process'
import { dirname } from 'node:path'
import { launchCommand } from '@rankscope/launch'
import { tensor2d } from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { runFused } from '../ops/registry.ts'
import { sumOfSquares } from '../ops/update.ts'
import type { InitialValues } from '../optim/state.ts'
import { emulatedCudaBackend } from '../testing/backends/contract-backends.ts'
import { emulatedCuda, emulationMissing } from '../testing/cuda/emulation.ts'
import { everyMethod, type ToyConfig, toyTraining } from '../testing/training/toy-training.ts'
import { cublasCandidates, driverCandidates } from './cuda/find-libraries.ts'
import { runningCudaBackend } from './cuda.ts'
import { loadNativeLibrary } from './native/native-library.ts'
import { nativeBackend } from './native.ts'

test('an owner’s folder comes before all others, then what the dynamic linker knows', () => {
  const environment = {
    RANKSCOPE_CUDA_DRIVER: '/a/libcuda.so.1',
    RANKSCOPE_CUDA_LIBRARIES: '/nowhere',
    HOME: '/nobody',
  }
  expect(driverCandidates(environment)).toEqual(['/a/libcuda.so.1'])
  expect(driverCandidates({})[0]).toBe('libcuda.so.1')
  expect(cublasCandidates(environment).slice(0, 2)).toEqual(['libcublas.so.13', 'libcublas.so.12'])
})

describe.skipIf(emulationMissing)(`cuda, emulated ${emulationMissing ?? ''}`, () => {
  let variables: Record<string, string>

  beforeAll(async () => {
    const { driver, blas } = await emulatedCuda()
    variables = { RANKSCOPE_CUDA_DRIVER: driver, RANKSCOPE_CUDA_LIBRARIES: dirname(blas) }
  }, 120_000)

  /** What `start` says in a process of its own. */
  function refusal(changed: Record<string, string>, probe = 'start-probe.ts'): string {
    const [program, ...args] = launchCommand(new URL(`../testing/cuda/${probe}`, import.meta.url))
    const environment = { ...process.env, ...variables, ...changed }
    return spawnSync(program, args, { env: environment, encoding: 'utf8' }).stdout
  }

  test.each([
    [
      'no driver',
      { RANKSCOPE_CUDA_DRIVER: '/nowhere/libcuda.so.1' },
      /no NVIDIA driver \(.*\/nowhere\/libcuda.so.1.*Install/,
    ],
    [
      'no GPU',
      { RS_EMULATE_NO_DEVICE: '1' },
      /no GPU|no NVIDIA driver \(the NVIDIA driver does not start: CUDA_ERROR_NO_DEVICE/,
    ],
    [
      'a GPU that is too old',
      { RS_EMULATE_MAJOR: '7' },
      /too old \(emulated GPU has compute capability 7\.0, and 8\.0 is the least\)/,
    ],
    ['no cuBLAS', { RANKSCOPE_CUDA_LIBRARIES: '/nowhere' }, /no cuBLAS \(.*pip install nvidia-cublas/],
  ])('%s is a reason with what to do', (_, changed, expected) => {
    expect(refusal(changed)).toMatch(expected)
  })

  test('a variable that would change precision unseen is taken out and named', () => {
    expect(refusal({ NVIDIA_TF32_OVERRIDE: '1' })).toMatch(
      /started: emulated GPU \(9\.0\), CUDA driver 13\.0, cuBLAS 13\.1\.1; NVIDIA_TF32_OVERRIDE is set: .* not heeded/,
    )
  })

  test('too little memory is OUT_OF_MEMORY with the bytes wanted and free', () => {
    expect(
      refusal({ RS_EMULATE_BYTES: String(200 << 20), RANKSCOPE_PROBE_BYTES: String(512 << 20) }),
    ).toMatch(/OUT_OF_MEMORY: emulated GPU: 536870912 bytes wanted, \d+ of 209715200 free/)
  })

  test('a call of the library that finds no memory has idle blocks given back; what is free is said after that', () => {
    const told = refusal({ RS_EMULATE_BYTES: String(200 << 20) }, 'short-probe.ts')
    expect(told).toMatch(
      /^idle: 134217728\nproduct: 1024; idle: 0\nOUT_OF_MEMORY: .*268435456 bytes wanted, (\d+) of 209715200 free/,
    )
  })

  describe('training', () => {
    beforeAll(async () => {
      await emulatedCudaBackend.start({ threads: 1 })
    }, 120_000)

    test('norms and values arrive without anybody waiting', async () => {
      const backend = runningCudaBackend()!
      const x = tensor2d([3, 4, 0, 12], [2, 2])
      const doubled = runFused('matMul', { a: x, b: x }, { transposeA: false, transposeB: true, factor: 2 })
      const before = backend.waits
      expect(await sumOfSquares([x, doubled])).toBe(169 + 50 ** 2 + 2 * 96 ** 2 + 288 ** 2)
      expect([...(await doubled.data())]).toEqual([50, 96, 96, 288])
      expect(backend.waits).toBe(before)
    })

    test('the losses of a step are read when all of its passes have been asked for', async () => {
      const { library } = runningCudaBackend()!
      const read = library.downloadLater
      let [under, most] = [0, 0]
      const spy = vi.spyOn(library, 'downloadLater').mockImplementation(async (from, count) => {
        most = Math.max(most, ++under)
        const values = await read(from, count)
        under--
        return values
      })
      const toy = await toyTraining({
        method: { name: 'lora', rank: 2 },
        training: { globalBatchSize: 4, microBatchSize: 1, maxSteps: 1 },
      })
      most = 0
      await toy.run()
      toy.dispose()
      spy.mockRestore()
      expect(most).toBe(4)
    })

    test.each(everyMethod)(
      '%s: a run that stopped after a step goes on to the same bits',
      async (_, method, devices) => {
        const config: ToyConfig = {
          method,
          parallel: { devices },
          training: { globalBatchSize: 4, microBatchSize: 2 / devices, maxSteps: 2 },
        }
        const valuesAfter = async (from: number, until: number, initial: InitialValues | null = null) => {
          const toy = await toyTraining(config, { initial })
          await toy.run(from, until)
          const values = new Map<string, Float32Array>()
          for (const { name, read } of toy.state.entries()) values.set(name, await read())
          toy.dispose()
          return values
        }
        const whole = await valuesAfter(0, 2)
        const stopped = await valuesAfter(0, 1)
        const initial = { complete: true, read: (name: string) => stopped.get(name) ?? null }
        expect(await valuesAfter(1, 2, initial)).toEqual(whole)
        expect(stopped).not.toEqual(whole)
      },
    )

    const library = loadNativeLibrary()
    const alone = 'unavailable' in library ? library.unavailable : null

    const precise = everyMethod.filter(([label]) => ['full', 'lora', 'hd-pissa', 'mora 6'].includes(label))
    test.skipIf(alone).each(precise)(
      '%s: bfloat16 operands give the losses of native, which emulates them; TF32 those of float32, nearly',
      async (_, method, devices) => {
        const config = (training: ToyConfig['training']): ToyConfig => ({
          method,
          parallel: { devices },
          training: { globalBatchSize: 4, microBatchSize: 2 / devices, maxSteps: 2, ...training },
        })
        await nativeBackend.start({ threads: 1 })
        const wide = await trained(config({}))
        const rounded = await trained(config({ computeDtype: 'bfloat16' }))
        await expect(trained(config({ products: 'TF32' }))).rejects.toThrow(
          'training.products: TF32 needs the backend cuda, and this is native',
        )
        await emulatedCudaBackend.start({ threads: 1 })
        const narrow = await trained(config({ computeDtype: 'bfloat16' }))
        const tf32 = await trained(config({ products: 'TF32' }))
        const split = await trained(config({ products: '3xTF32' }))
        const distance = (a: readonly number[], b: readonly number[]) =>
          Math.max(...a.map((loss, step) => Math.abs(loss / b[step]! - 1)))
        const [ofBfloat16, ofTf32] = [
          distance(rounded.losses, wide.losses),
          distance(tf32.losses, wide.losses),
        ]
        // Values beside a tie may be rounded the other way: a small part of what rounding does.
        expect(distance(narrow.losses, rounded.losses)).toBeLessThan(ofBfloat16 / 10)
        expect(distance(split.losses, wide.losses)).toBeLessThan(ofTf32 / 10)
        expect(ofTf32).toBeGreaterThan(0)
        expect(ofTf32).toBeLessThan(ofBfloat16)
        expect([narrow.waits, tf32.waits, split.waits]).toEqual([0, 0, 0])
      },
    )

    test.skipIf(alone).each(everyMethod)(
      '%s: no step waits, and its losses are native’s',
      async (_, method, devices) => {
        const config: ToyConfig = {
          method,
          parallel: { devices },
          training: { globalBatchSize: 4, microBatchSize: 2 / devices, maxSteps: 2 },
        }
        await nativeBackend.start({ threads: 1 })
        const native = await trained(config)
        await emulatedCudaBackend.start({ threads: 1 })
        const found = await trained(config)
        expect(found.waits).toBe(0)
        expect(found.losses).toHaveLength(2)
        found.losses.forEach((loss, step) => {
          expect(loss / native.losses[step]!).toBeCloseTo(1, 5)
        })
      },
    )
  })
})

/** Two steps; `waits` counts those of the steps alone: starts may wait, for decompositions of weights. */
async function trained(config: ToyConfig): Promise<{ losses: number[]; waits: number }> {
  const toy = await toyTraining(config)
  try {
    const before = runningCudaBackend()?.waits ?? 0
    const losses = (await toy.run()).map(({ loss }) => loss)
    return { losses, waits: (runningCudaBackend()?.waits ?? 0) - before }
  } finally {
    toy.dispose()
  }
}
