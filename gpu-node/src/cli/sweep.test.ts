/** Sweeps on the command line: what a person finds in the folder, and what a second call does. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { archiveFileName, sweepArchiveSchema } from '@rankscope/experiments'
import { launchCommand } from '@rankscope/launch'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

describe('npm run train -- --sweep', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'rankscope-sweep-'))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const sweep = (axes: object[], ...options: string[]) => {
    const file = join(folder, 'sweep.json')
    const base = {
      data: {
        source: { kind: 'task', task: 'arithmetic', trainExamples: 8, evaluationExamples: 2 },
        template: 'plain',
        maxLength: 64,
      },
      training: { globalBatchSize: 4, microBatchSize: 4 },
      evaluation: { examples: 2, maxNewTokens: 2, samples: 0 },
      spectra: { everySteps: null, atEnd: false },
      method: { name: 'lora', rank: 2 },
    }
    writeFileSync(file, JSON.stringify({ name: 'small', base, axes }))
    const [program, ...args] = launchCommand(
      new URL('./train.ts', import.meta.url),
      ...['--sweep', file, '--threads', '1', ...options],
    )
    return spawnSync(program, args, {
      encoding: 'utf8',
      env: { ...process.env, XDG_CACHE_HOME: join(folder, 'cache') },
    })
  }
  const rate = (values: unknown) => ({ path: 'optimizer.learningRate', values })

  it('trains every point, keeps what is there, runs what a further value brings, and counts what failed', () => {
    const out = join(folder, 'out')
    const first = sweep([rate('1e-5…1e-4 log 2'), { path: 'seed', values: [1] }], '--out', out)
    expect(first.status, first.stderr).toBe(0)
    const places = readdirSync(join(out, 'runs')).sort()
    expect(places.map((name) => name.replace(/-[0-9a-f]{8}$/, ''))).toEqual(
      ['learningRate-1e-5-seed-1', 'learningRate-1e-4-seed-1'].sort(),
    )
    expect(readdirSync(join(out, 'runs', places[0]!))).not.toContain('model')
    const written = places.map((name) => statSync(join(out, 'runs', name, 'summary.json')).mtimeMs)

    // A rank that no module has: PiSSA, which needs as many principal components, cannot start.
    const axes = [
      { path: 'method', values: ['lora', 'pissa'] },
      { path: 'method.rank', values: [500] },
    ]
    const second = sweep(axes, '--out', join(folder, 'other'))
    expect(second.status, second.stderr).toBe(1)
    expect(second.stderr).toContain('RANK_TOO_LARGE')
    expect(readFileSync(join(folder, 'other', 'results.md'), 'utf8')).toMatch(
      /\| PiSSA .*\| 0 \|.*\| 0, 1 \|/,
    )

    const third = sweep([rate([1e-5, 1e-4, 1e-3]), { path: 'seed', values: [1] }], '--out', out)
    expect(third.status, third.stderr).toBe(0)
    expect(third.stderr.match(/^── /gm)).toHaveLength(1)
    expect(places.map((name) => statSync(join(out, 'runs', name, 'summary.json')).mtimeMs)).toEqual(written)
    const table = readFileSync(join(out, 'results.csv'), 'utf8').trim().split('\r\n')
    expect(table).toHaveLength(4)
    expect(table[0]).toMatch(/^run,method,seed,optimizer.learningRate,outcome,/)
    expect(third.stdout).toContain('| LoRA')
    // The folder is an archive, which a server takes in.
    const archive = sweepArchiveSchema.parse(JSON.parse(readFileSync(join(out, archiveFileName), 'utf8')))
    expect(archive.runs.map(({ folder: name, state, steps }) => [name, state, steps])).toEqual(
      archive.runs.map(({ folder: name }) => [name, 'finished', 2]),
    )
    expect(archive.runs.map(({ folder: name }) => name).sort()).toEqual(readdirSync(join(out, 'runs')).sort())
    expect(readdirSync(join(out, 'figures'))).toContain('accuracy-over-learningRate.svg')
  })

  it('lists what it would run, and refuses what cannot be run before anything starts', () => {
    const dry = sweep([rate('1e-5, 1e-4'), { path: 'seed', values: '1…3' }], '--dry')
    expect(dry).toMatchObject({ status: 0 })
    expect(dry.stdout.trim().split('\n').at(-1)).toBe('6 runs')
    const wrong = sweep([{ path: 'optimizer.learningRat', values: [1] }], '--out', join(folder, 'wrong'))
    expect(wrong).toMatchObject({ status: 2, stderr: expect.stringMatching(/CONFIG_INVALID.*learningRat/) })
    expect(readdirSync(folder)).not.toContain('wrong')
  })
})
