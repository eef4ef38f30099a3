/** What every collective does, whatever carries it; and that K ranks train what K virtual devices train. */

import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { launchCommand } from '@rankscope/launch'
import { beforeAll, describe, expect, it } from 'vitest'
import { selectBackend } from '../backends/select.ts'
import { exercise } from '../testing/collectives/exercise.ts'
import { localGroup } from '../testing/collectives/local.ts'
import { distance } from '../testing/methods/float64.ts'
import { everyMethod, type ToyConfig, toyTraining } from '../testing/training/toy-training.ts'

const mpirun = spawnSync('mpirun', ['--version'], { encoding: 'utf8' })
const mpiMissing =
  mpirun.status === 0 ? null : 'skipped: mpirun is not installed (Debian: openmpi-bin, libopenmpi-dev)'

function expectContract(results: Awaited<ReturnType<typeof exercise>>[], size: number): void {
  expect(results.map(({ rank }) => rank).sort()).toEqual([...Array(size).keys()])
  for (const found of results) {
    expect(found.size).toBe(size)
    expect(found.gathered).toEqual([...Array(size).keys()].flatMap((k) => [k, 10 * k + 0.5]))
    expect(found.sum[0]).toBeCloseTo((0.1 * (size * (size + 1))) / 2, 6)
    expect(found.sum).toEqual(results[0]!.sum)
    expect(Number(found.numbers[0])).toBeCloseTo((Math.PI * size * (size + 1)) / 2, 12)
    expect(found.numbers[1]).toBe('NaN')
    expect(Number(found.numbers[2]) / (size * 1e30)).toBeCloseTo(1, 12)
    expect(found.empty).toBe(0)
    // 2 floats, a sum of 2, 3 numbers as pairs, nothing, 300,000: each from every other rank.
    expect(found.receivedBytes).toBe(4 * (size - 1) * (2 + 2 + 6 + 0 + 300_000))
    expect(found.corners).toEqual([1, 1, size])
    expect(found.told).toEqual([0, 255])
  }
}

describe('the contract of a collective', () => {
  it.each([1, 2, 4])('tasks of one process, %i ranks', async (size) => {
    expectContract(await Promise.all(localGroup(size).map(exercise)), size)
  })

  it.skipIf(mpiMissing).each([2, 4])(`MPI processes, %i ranks ${mpiMissing ?? ''}`, async (size) => {
    const folder = mkdtempSync(join(tmpdir(), 'rankscope-'))
    try {
      const rank = new URL('../testing/collectives/contract-rank.ts', import.meta.url)
      const run = await launch(size, launchCommand(rank, folder))
      expect(run.status, run.output).toBe(0)
      const results = [...Array(size).keys()].map((rank) =>
        JSON.parse(readFileSync(join(folder, `${rank}.json`), 'utf8')),
      )
      expectContract(results, size)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  function launch(size: number, command: string[]): Promise<{ status: number | null; output: string }> {
    const options = ['--oversubscribe', '--bind-to', 'none', '-n', String(size)]
    const root = process.getuid?.() === 0 ? ['--allow-run-as-root'] : []
    const child = spawn('mpirun', [...root, ...options, ...command], { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (part) => {
        output += part
      })
    return new Promise((resolve) => child.on('close', (status) => resolve({ status, output })))
  }
})

describe('K ranks train what K virtual devices train', () => {
  beforeAll(async () => {
    await selectBackend('auto', { threads: 1 })
  })

  it.each(everyMethod.filter(([label]) => label !== 'intermediate'))('%s', async (_, method) => {
    const devices = 2
    const config: ToyConfig = {
      method,
      parallel: { devices },
      optimizer: { learningRate: 5e-3, maxGradNorm: 2 },
      training: { globalBatchSize: 8, microBatchSize: 2, maxSteps: 4 },
    }
    const virtual = await toyTraining(config)
    const expected = await virtual.run()
    const weights = await virtual.weights()
    const saved = await stateOf(virtual)
    virtual.dispose()
    const ranks = await Promise.all(
      localGroup(devices).map(async (collective) => {
        const toy = await toyTraining(config, { collective })
        const reports = await toy.run()
        const found = { reports, weights: await toy.weights(), state: await stateOf(toy) }
        toy.dispose()
        return found
      }),
    )
    for (const { reports, weights: found, state } of ranks) {
      for (const key of ['loss', 'gradNorm', 'learningRate', 'tokens'] as const) {
        const theirs = reports.map((report) => report[key])
        expect(
          distance(
            theirs,
            expected.map((report) => report[key]),
          ),
          key,
        ).toBeLessThan(1e-5)
      }
      for (const [name, values] of weights)
        expect(distance(found.get(name)!, values), name).toBeLessThan(1e-4)
      expect(found).toEqual(ranks[0]!.weights)
      // What a checkpoint would hold has the same names and sizes, so that either mode resumes the other.
      expect([...state.keys()]).toEqual([...saved.keys()])
      for (const [name, values] of saved) expect(state.get(name)!.length, name).toBe(values.length)
    }
  })

  it.each([2, 4])(
    'HD-PiSSA on %i ranks receives (K − 1) r Σ(m + n) floats a step, twice that with regathered adapters, to the same end',
    async (devices) => {
      const rank = 2
      const trained = (regatherAdapters: boolean, method: ToyConfig['method']) =>
        Promise.all(
          localGroup(devices).map(async (collective) => {
            const parallel = { devices, regatherAdapters }
            const training = { globalBatchSize: 2 * devices, microBatchSize: 2, maxSteps: 4 }
            const toy = await toyTraining({ method, parallel, training }, { collective })
            const reports = await toy.run()
            const found = {
              reports,
              weights: await toy.weights(),
              state: await stateOf(toy),
              targets: toy.targets,
            }
            toy.dispose()
            return found
          }),
        )
      for (const adapters of ['fixed', 'evolving'] as const) {
        const method = { name: 'hd-pissa', rank, adapters } as const
        const [once, again] = [await trained(false, method), await trained(true, method)]
        const sizes = once[0]!.targets.reduce((sum, { rows, columns }) => sum + rows + columns, 0)
        // The loss, the gradient norm and whether the update is sound are exchanged as well, two floats each.
        const expected = (copies: number) => 4 * (devices - 1) * (copies * rank * sizes + 6)
        for (const [k, { reports, weights, state }] of again.entries()) {
          for (const { receivedBytes } of reports) expect(receivedBytes).toBe(expected(2))
          for (const { receivedBytes } of once[k]!.reports) expect(receivedBytes).toBe(expected(1))
          expect(reports.map(({ loss }) => loss)).toEqual(once[k]!.reports.map(({ loss }) => loss))
          expect(weights).toEqual(once[k]!.weights)
          expect(state).toEqual(once[k]!.state)
        }
      }
    },
  )

  async function stateOf(toy: Awaited<ReturnType<typeof toyTraining>>): Promise<Map<string, Float32Array>> {
    const found = new Map<string, Float32Array>()
    for (const { name, read } of toy.state.entries()) found.set(name, await read())
    return found
  }
})
