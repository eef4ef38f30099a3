/** The CUDA kernels without a GPU: the same bits under any schedule, no race, and planted mistakes found. */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  changedCuda,
  type EmulatedCuda,
  emulatedCuda,
  emulationMissing,
  watchedCuda,
} from '../../src/testing/cuda/emulation.ts'
import { type PlantedMistake, plantedMistakes } from '../../src/testing/cuda/planted-mistakes.ts'
import { cudaFolder } from './host-library.ts'

const run = promisify(execFile)
const patience = 300_000

/** As rankscope.h numbers them: float32, TF32, 3xTF32, bfloat16 operands. */
const precisions = [{}, { PRODUCTS: '1' }, { PRODUCTS: '3' }, { OPERANDS: '2' }]

/** What `hashes` prints under a seed, which decides the order of threads and blocks. */
async function hashesOf(
  { hashes, host, driver, blas }: EmulatedCuda,
  seed: number,
  variables = {},
): Promise<string> {
  const environment = {
    ...process.env,
    RS_EMULATE_SEED: String(seed),
    OMP_NUM_THREADS: '1',
    ...variables,
  }
  const { stdout, stderr } = await run(hashes, [host, driver, blas], { env: environment, timeout: patience })
  if (stderr) throw new Error(stderr)
  return stdout
}

describe.skipIf(emulationMissing)(`CUDA kernels, emulated ${emulationMissing ?? ''}`, () => {
  let emulated: EmulatedCuda
  let folder: string

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'rankscope-cuda-'))
    emulated = await emulatedCuda()
  }, patience)
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test(
    'all results are the same bit for bit under five schedules, in every precision',
    async () => {
      for (const precision of precisions) {
        const all = [0, 1, 2, 3, 4].map((seed) => hashesOf(emulated, seed, precision))
        const [first, ...others] = await Promise.all(all)
        expect(first!.trim().split('\n').length).toBeGreaterThan(30)
        for (const other of others) expect(other).toBe(first)
      }
    },
    patience,
  )

  test(
    'each precision has bits of its own',
    async () => {
      const found = await Promise.all(precisions.map((precision) => hashesOf(emulated, 0, precision)))
      expect(new Set(found).size).toBe(precisions.length)
    },
    patience,
  )

  test(
    'ThreadSanitizer finds no race in any kernel',
    async () => {
      const watched = await watchedCuda()
      expect(await hashesOf(watched, 0)).toContain('attention dv')
    },
    patience,
  )

  /** Only what a reader sees changes: neither bits nor checks may. */
  const controls: PlantedMistake[] = [
    { name: 'the host side', file: 'host/copies.c', text: 'static int part;', becomes: 'static int part; ' },
    { name: 'a kernel', file: 'rows.cu', text: 'float sum = 0;', becomes: 'float sum = 0.0f;' },
  ]

  test.each(controls.map((control) => [control.name, control] as const))(
    'nothing is found where %s changes in nothing',
    async (_, control) => {
      expect(await foundBy(control)).toBeNull()
    },
    patience,
  )

  test.each(plantedMistakes.map((mistake) => [mistake.name, mistake] as const))(
    'found: %s',
    async (_, mistake) => {
      expect(await foundBy(mistake)).not.toBeNull()
    },
    patience,
  )

  const expected = new Map<string, Promise<string>>()

  /** How the mistake shows under the first schedules, or null. */
  async function foundBy({
    name,
    file,
    text,
    becomes,
    precision = {},
  }: PlantedMistake): Promise<string | null> {
    const key = JSON.stringify(precision)
    const right = expected.get(key) ?? hashesOf(emulated, 0, precision)
    expected.set(key, right)
    const place = join(folder, name.replaceAll(' ', '-'))
    mkdirSync(place)
    const source = readFileSync(join(cudaFolder, file), 'utf8')
    expect(source, `${file} as it is planted into`).toContain(text)
    const changed = join(place, basename(file))
    writeFileSync(changed, source.replace(text, becomes))
    // Little staging memory, so that it is used again within the few calls there are.
    const built = await changedCuda(place, emulated, {
      replaced: new Map([[file, changed]]),
      hostFlags: ['-DSTAGE_BYTES=2048', '-w'],
    })
    for (let seed = 0; seed < 5; seed++) {
      const found = await hashesOf(built, seed, precision).catch((error: Error) => error.message || 'failed')
      if (found !== (await right)) return found
    }
    return null
  }
})
