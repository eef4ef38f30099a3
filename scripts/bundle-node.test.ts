import { spawnSync } from 'node:child_process'
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { emulatedCuda, emulationMissing } from '../gpu-node/src/testing/cuda/emulation.ts'
import { productionPackages } from './bundle/production-packages.ts'
import { bundleNode } from './bundle-node.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

describe.skipIf(process.platform !== 'linux')('a bundle of the node', () => {
  let folder = ''
  let bundle = ''
  /** With an empty home, no checkout to lean on and nothing else of the environment. */
  const run = (args: string[], environment: Record<string, string> = {}) =>
    spawnSync('sh', [bundle, ...args], {
      cwd: folder,
      env: { PATH: '/usr/bin:/bin', HOME: folder, ...environment },
      encoding: 'utf8',
    })

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'rankscope-bundled-'))
    bundle = join(folder, 'rankscope-node.sh')
    await bundleNode({ out: bundle, level: 1, say: () => undefined })
  }, 180_000)
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const config = (backend: string) => ({
    model: { path: 'rankscope-mini' },
    data: { source: { kind: 'task', task: 'arithmetic' } },
    method: { name: 'hd-pissa', rank: 4 },
    parallel: { devices: 2 },
    training: { maxSteps: 2, globalBatchSize: 2, microBatchSize: 1 },
    evaluation: { atEnd: false },
    spectra: { atEnd: false, everySteps: null },
    export: { model: false },
    resources: { backend },
  })
  const train = (backend: string, environment?: Record<string, string>) => {
    const out = join(folder, `out-${backend}`)
    writeFileSync(join(folder, `${backend}.json`), JSON.stringify(config(backend)))
    const { status, stderr } = run(['train', '--config', `${backend}.json`, '--out', out], environment)
    expect(stderr).toContain('finished after 2 steps')
    expect(status).toBe(0)
    return readFileSync(join(out, 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n')

      .map((line) => (JSON.parse(line) as Record<string, number>)['train/loss'])
      .filter((loss) => loss !== undefined)
  }

  it('trains where there is nothing but it: by the CUDA build where its driver can be emulated, else on the CPU', async () => {
    if (emulationMissing) {
      expect(train('native')).toHaveLength(2)
      return
    }
    const { driver, blas } = await emulatedCuda()
    const losses = train('cuda', { RANKSCOPE_CUDA_DRIVER: driver, RANKSCOPE_CUDA_LIBRARIES: dirname(blas) })
    expect(losses).toHaveLength(2)
    for (const loss of losses) expect(loss).toBeGreaterThan(1)
  }, 180_000)

  it('unpacks once, and whole or not at all', () => {
    const home = join(folder, '.cache/rankscope/bundles')
    const [unpacked, ...others] = readdirSync(home)
    expect(others).toEqual([])
    const before = statSync(join(home, unpacked!, 'bin/node')).ctimeMs
    expect(run(['train', '--help']).status).toBe(0)
    expect(statSync(join(home, unpacked!, 'bin/node')).ctimeMs).toBe(before)

    const cut = join(folder, 'cut.sh')
    copyFileSync(bundle, cut)
    spawnSync('truncate', ['-s', '5M', cut])
    const elsewhere = join(folder, 'elsewhere')
    mkdirSync(elsewhere)
    const { status, stderr } = spawnSync('sh', [cut, 'train', '--help'], {
      env: { PATH: '/usr/bin:/bin', HOME: folder, RANKSCOPE_BUNDLE_HOME: elsewhere },
      encoding: 'utf8',
    })
    expect([status, stderr]).toEqual([1, expect.stringContaining('SETUP_MISSING: it could not be unpacked')])
    expect(readdirSync(elsewhere)).toEqual([])
  })

  it('names its commands for any other, and leaves the work to them', () => {
    const { status, stderr } = run(['tain'])
    expect([status, stderr]).toEqual([
      2,
      expect.stringContaining('node, train, sweep, evaluate, export, spectra, fetch'),
    ])
    expect(run(['train', '--no-such']).stderr).toContain('OPTION_INVALID')
  })
})

describe('packages that go into a bundle', () => {
  const packages = productionPackages(root, 'gpu-node')
  it('are those that a node loads, with what they need', () => {
    expect(packages).toEqual(expect.arrayContaining(['node_modules/koffi', 'node_modules/engine.io-client']))
  })
  it('are none of those for building, testing or the dashboard', () => {
    for (const name of ['esbuild', 'vitest', 'react', 'typescript', 'webgpu'])
      expect(packages).not.toContain(`node_modules/${name}`)
  })
})
