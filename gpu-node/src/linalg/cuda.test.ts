/** Spectra on the emulated GPU, from a thread of their own, beside training; on the CPU where the GPU cannot. */

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { launchCommand } from '@rankscope/launch'
import { beforeAll, describe, expect, test } from 'vitest'
import { Random } from '../random.ts'
import { emulatedCudaBackend } from '../testing/backends/contract-backends.ts'
import { emulatedCuda, emulationMissing } from '../testing/cuda/emulation.ts'
import { toyTraining } from '../testing/training/toy-training.ts'
import { LinearAlgebraPool } from './pool.ts'
import { createPortable } from './portable.ts'

describe.skipIf(emulationMissing)(`spectra on a GPU, emulated ${emulationMissing ?? ''}`, () => {
  beforeAll(async () => {
    await emulatedCudaBackend.start({ threads: 1 })
  }, 120_000)

  const matrix = (rows: number, columns: number, seed: number) =>
    new Random(seed).fillNormal(new Float32Array(rows * columns))

  test('a worker takes the GPU, and its values are those of the CPU, while training goes on', async () => {
    const pool = new LinearAlgebraPool({ workers: 2, threadsPerWorker: 1, lowPriority: false })
    const toy = await toyTraining({ method: { name: 'hd-pissa', rank: 2 }, training: { maxSteps: 3 } })
    const alone = await toyTraining({ method: { name: 'hd-pissa', rank: 2 }, training: { maxSteps: 3 } })
    const expectedLosses = (await alone.run()).map(({ loss }) => loss)
    const sizes = [
      [40, 60],
      [60, 40],
      [50, 50],
      [7, 90],
    ] as const
    const sources = sizes.map(([rows, columns], i) => {
      const [before, after] = [matrix(rows, columns, i), matrix(rows, columns, i + 10)]
      return { kind: 'dense', rows, columns, before, after } as const
    })
    const under = sources.map((source) => pool.spectrum(source))
    expect((await toy.run()).map(({ loss }) => loss)).toEqual(expectedLosses)
    for (const [i, { singularValues }] of (await Promise.all(under)).entries()) {
      const { rows, columns, before, after } = sources[i]!
      const difference = Float64Array.from(after, (value, at) => value - before[at]!)
      const exact = createPortable().singularValues(difference, rows, columns)
      singularValues.forEach((value, at) => {
        expect(Math.abs(value - exact[at]!)).toBeLessThan(1e-13 * exact[0]!)
      })
    }
    await pool.close()
    toy.dispose()
    alone.dispose()
  }, 60_000)

  /** What a process says that starts the backend and then its linear algebra, under changed circumstances. */
  async function told(changed: Record<string, string>): Promise<string> {
    const { driver, blas } = await emulatedCuda()
    const [program, ...args] = launchCommand(new URL('../testing/cuda/spectrum-probe.ts', import.meta.url))
    const variables = { RANKSCOPE_CUDA_DRIVER: driver, RANKSCOPE_CUDA_LIBRARIES: dirname(blas), ...changed }
    return spawnSync(program, args, { env: { ...process.env, ...variables }, encoding: 'utf8' }).stdout
  }

  test('cuSOLVER in place takes spectra; without it, or without memory for them, the CPU does', async () => {
    expect(await told({})).toMatch(/^cuda: cuSOLVER; .*\n5 2 1 by the GPU\n9 by the GPU\n$/)
    const folder = mkdtempSync(join(tmpdir(), 'rankscope-'))
    // NVIDIA's own, where the dynamic linker knows it, does not start on the emulated driver.
    symlinkSync((await emulatedCuda()).blas, join(folder, 'libcublas.so.13'))
    expect(await told({ RANKSCOPE_CUDA_LIBRARIES: folder })).toMatch(
      /^(lapack|portable): .*\nrejected cuda: (libcusolver|cusolverDnCreate).*\n$/,
    )
    rmSync(folder, { recursive: true })
    // Room for the backend and the first matrix, not for the second.
    const bytes = String((32 + 32 + 8) * 2 ** 20)
    expect(await told({ RS_EMULATE_BYTES: bytes })).toMatch(/\n5 2 1 by the GPU\n9 by the CPU\n$/)
  }, 60_000)
})
