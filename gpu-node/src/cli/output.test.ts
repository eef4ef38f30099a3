/** What the headless command does with a folder that is not empty: older runs, runs that go on, what is no run's. */
import { spawnSync } from 'node:child_process'
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { launchCommand, lockFolder } from '@rankscope/launch'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sharedMissing, sharedPath } from '../testing/shared-material.ts'
import { prepareOutput } from './output-folder.ts'
import { cutLines } from './resumed-lines.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rankscope-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function train(out: string, changes: object, ...options: string[]) {
  const file = join(folder, 'run.json')
  const source = {
    kind: 'tokens',
    path: sharedPath('golden/data/lm_stories260K_a.jsonl'),
    evaluationPath: sharedPath('golden/data/lm_stories260K_b.jsonl'),
  }
  const config = {
    model: { path: sharedPath('data/models/stories260K') },
    data: { source, shuffle: false },
    method: { name: 'pissa', rank: 2 },
    training: { maxSteps: 6, globalBatchSize: 4, microBatchSize: 2 },
    spectra: { everySteps: 2, wait: true, atEnd: true },
    evaluation: { everySteps: 2, examples: 4, atStart: true },
    checkpoint: { everySteps: 2, keep: 3 },
    export: { adapter: true },
    targetModules: ['q_proj'],
    ...changes,
  }
  writeFileSync(file, JSON.stringify(config))
  const args = ['--config', file, '--out', out, '--threads', '1', '--quiet', ...options]
  const [program, ...rest] = launchCommand(new URL('./train.ts', import.meta.url), ...args)
  const env = { ...process.env, XDG_CACHE_HOME: join(folder, 'cache') }
  return spawnSync(program, rest, { encoding: 'utf8', env })
}

type Line = Record<string, unknown>
const lines = (out: string, name: string) =>
  readFileSync(join(out, `${name}.jsonl`), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line)

/** Everything that a run's files say of its steps, times left out, in an order that does not depend on threads. */
function said(out: string): string[] {
  const measured = [
    'train/tokensPerSecond',
    'train/stepTimeMs',
    'system/residentMemoryBytes',
    'elapsedMs',
    'timeMs',
  ]
  const texts = ['metrics', 'spectra', 'samples'].flatMap((name) =>
    lines(out, name).map(({ profiles, ...line }) => {
      // A run that goes on has no earlier snapshots in memory to be similar to.
      const { similarity: _, similarityChance: __, ...told } = (profiles ?? {}) as Record<string, unknown>
      const rest = Object.entries(line).filter(([key]) => !measured.includes(key))
      return JSON.stringify([name, rest, told])
    }),
  )
  const told = lines(out, 'log').filter(({ kind }) => kind === 'evaluation' || kind === 'checkpoint')
  const steps = told.map(({ kind, step, loss }) => JSON.stringify([kind, step, loss ?? null]))
  return [...texts, ...steps].sort()
}

describe.skipIf(sharedMissing)(`a folder that is not empty ${sharedMissing ?? ''}`, () => {
  it('an older run moves away as a whole: nothing of it is taken for the new one’s, nothing is lost', () => {
    const out = join(folder, 'stale')
    expect(train(out, {}).status).toBe(0)
    writeFileSync(join(out, 'notes.txt'), 'mine')
    const before = readFileSync(join(out, 'metrics.jsonl'), 'utf8')
    const second = train(out, {
      training: { maxSteps: 3, globalBatchSize: 4, microBatchSize: 2 },
      export: {},
      checkpoint: { everySteps: 3, keep: 1 },
    })
    expect(second.status, second.stderr).toBe(0)
    expect(second.stderr).toMatch(/stale holds an older run, which moves to .*earlier-1/)
    expect(readdirSync(join(out, 'checkpoints'))).toEqual(['step-00000003'])
    expect(existsSync(join(out, 'adapter'))).toBe(false)
    expect(readFileSync(join(out, 'notes.txt'), 'utf8')).toBe('mine')
    const earlier = join(out, 'earlier-1')
    expect(readFileSync(join(earlier, 'metrics.jsonl'), 'utf8')).toBe(before)
    expect(readdirSync(join(earlier, 'checkpoints')).sort().at(-1)).toBe('step-00000006')
    expect(existsSync(join(earlier, 'adapter', 'adapter_config.json'))).toBe(true)
    expect(train(out, { training: { maxSteps: 1, globalBatchSize: 4, microBatchSize: 2 } }).status).toBe(0)
    expect(readdirSync(out)).toEqual(expect.arrayContaining(['earlier-1', 'earlier-2']))
  })

  it('a folder that another process writes to is refused, and nothing in it changes', () => {
    const out = join(folder, 'in-use')
    const release = lockFolder(out, { name: 'run.lock', option: '--out' })
    const second = train(out, {})
    expect(second.status).toBe(2)
    expect(second.stderr).toMatch(
      new RegExp(
        `FOLDER_IN_USE: process ${process.pid} on .* works on .*in-use\\n.*another folder with --out`,
      ),
    )
    expect(readdirSync(out)).toEqual(['run.lock'])
    release()
  })

  it('a run that goes on says everything once: as a run that was never interrupted, torn lines gone', () => {
    const whole = join(folder, 'whole')
    expect(train(whole, {}).status).toBe(0)
    for (const step of [2, 4, 6]) {
      // As a process leaves it that was killed after saving step 6, or in the middle of a line.
      const cut = join(folder, `cut-${step}`)
      cpSync(whole, cut, { recursive: true })
      for (const name of ['metrics', 'spectra', 'samples', 'log'])
        appendFileSync(join(cut, `${name}.jsonl`), '{"step":7,"train/lo')
      const resumed = train(cut, {}, '--resume', join(cut, 'checkpoints', `step-0000000${step}`))
      expect(resumed.status, resumed.stderr).toBe(0)
      const [found, expected] = [said(cut), said(whole)]
      expect(found).toEqual(expected)
      const live = lines(cut, 'spectra').map(({ step, module, final }) => `${step} ${module} ${final}`)
      expect(new Set(live).size).toBe(live.length)
      expect(lines(cut, 'log').some(({ message }) => /incomplete lines/.test(String(message)))).toBe(true)
    }
  })

  it('a run that cannot go on leaves the records as they were', () => {
    const out = join(folder, 'refused')
    expect(train(out, {}).status).toBe(0)
    const before = readFileSync(join(out, 'metrics.jsonl'), 'utf8')
    const wrong = train(out, { seed: 7 }, '--resume', join(out, 'checkpoints', 'step-00000002'))
    expect(wrong.stderr).toMatch(/CHECKPOINT_BROKEN.*other settings \(seed\)/)
    expect(readFileSync(join(out, 'metrics.jsonl'), 'utf8')).toBe(before)
  })

  it('a checkpoint of elsewhere goes on in a folder of its own, whatever that holds', () => {
    const [one, two] = [join(folder, 'one'), join(folder, 'two')]
    expect(train(one, {}).status).toBe(0)
    expect(train(two, { seed: 8 }).status).toBe(0)
    const resumed = train(two, {}, '--resume', join(one, 'checkpoints', 'step-00000004'))
    expect(resumed.status, resumed.stderr).toBe(0)
    const steps = lines(two, 'metrics').filter((line) => 'train/loss' in line)
    expect(steps.map(({ step }) => step)).toEqual([5, 6])
    expect(existsSync(join(two, 'earlier-1', 'metrics.jsonl'))).toBe(true)
  })
})

describe('files that are no run’s, or that the run reads', () => {
  const config = (path: string) => ({ model: { path }, data: { source: { kind: 'task' } } }) as never

  it('are never moved or overwritten: the run is refused', () => {
    const out = join(folder, 'mine')
    mkdirSync(join(out, 'model'), { recursive: true })
    expect(() => prepareOutput(out, config('any'), null)).toThrow(/holds model, which no run left there/)
    writeFileSync(join(out, 'summary.json'), '{}')
    expect(() => prepareOutput(out, config(join(out, 'model')), null)).toThrow(/^model.path: .*older run/)
    mkdirSync(join(out, 'checkpoints', 'step-00000001'), { recursive: true })
    expect(prepareOutput(out, config('any'), join(out, 'checkpoints', 'step-00000001'))).toBe(null)
    expect(prepareOutput(out, config('any'), null)).toBe(join(out, 'earlier-1'))
    expect(readdirSync(out)).toEqual(['earlier-1'])
  })
})

describe('lines of records', () => {
  it('beyond the step go, and so does what is no whole line of JSON, wherever blocks of the file end', () => {
    const file = join(folder, 'lines.jsonl')
    const long = 'é'.repeat(700_000)
    const all = [
      JSON.stringify({ step: 1, text: long }),
      '{"step":2,"te',
      JSON.stringify({ step: 2, text: long }),
      '',
      JSON.stringify({ kind: 'log', message: 'no step' }),
      JSON.stringify({ step: 3 }),
      '\0\0\0',
    ]
    writeFileSync(file, `${all.join('\n')}\n{"step":2}`)
    const kept: Line[] = []
    expect(cutLines(file, 2, (line) => kept.push(line))).toEqual({ unreadable: 3, superseded: 1 })
    expect(kept.map(({ step }) => step)).toEqual([1, 2, undefined])
    expect(readFileSync(file, 'utf8')).toBe(`${[all[0], all[2], all[4]].join('\n')}\n`)
    expect(cutLines(join(folder, 'none.jsonl'), 2, () => undefined)).toEqual({ unreadable: 0, superseded: 0 })
  })
})
