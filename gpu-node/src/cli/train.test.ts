/** The headless command as a person runs it: files, exit codes, messages. */

import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { launchCommand } from '@rankscope/launch'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openModelFolder } from '../model/folder.ts'
import { sharedMissing, sharedPath } from '../testing/shared-material.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rankscope-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Why no small file system can be mounted here, or null. */
const tmpfsMissing =
  process.platform === 'linux' && process.getuid?.() === 0 ? null : '(a small file system needs root)'

function train(...options: string[]) {
  const [program, ...args] = launchCommand(new URL('./train.ts', import.meta.url), ...options)
  const env = { ...process.env, XDG_CACHE_HOME: join(folder, 'cache') }
  return spawnSync(program, args, { encoding: 'utf8', env })
}

function configFile(changes: object): string {
  const file = join(folder, 'run.json')
  const config = {
    model: { path: sharedPath('data/models/stories260K') },
    data: {
      source: { kind: 'tokens', path: sharedPath('golden/data/lm_stories260K_a.jsonl') },
      shuffle: false,
    },
    method: { name: 'pissa', rank: 2 },
    training: { maxSteps: 3, globalBatchSize: 4, microBatchSize: 2 },
    spectra: { everySteps: 2 },
    ...changes,
  }
  writeFileSync(file, JSON.stringify(config))
  return file
}

const lines = (file: string) =>
  readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)

describe('npm run train', () => {
  it.skipIf(sharedMissing)(
    `leaves metrics, spectra, a summary and the model, and exits with 0 ${sharedMissing ?? ''}`,
    () => {
      const out = join(folder, 'out')
      const run = train('--config', configFile({}), '--out', out, '--threads', '1')
      expect(run.status, run.stderr).toBe(0)
      expect(run.stderr).toMatch(/3\/3 {2}loss \d/)
      expect(run.stderr).toMatch(/memory: about [\d.]+ GiB \(weights /)
      const steps = lines(join(out, 'metrics.jsonl')).filter((line) => 'train/loss' in line)
      expect(steps.map(({ step }) => step)).toEqual([1, 2, 3])
      const spectra = lines(join(out, 'spectra.jsonl'))
      expect(spectra.filter(({ final }) => final)).toHaveLength(35)
      expect(spectra.every(({ singularValues }) => Array.isArray(singularValues))).toBe(true)
      const summary = JSON.parse(readFileSync(join(out, 'summary.json'), 'utf8'))
      expect(summary).toMatchObject({
        state: 'finished',
        steps: 3,
        error: null,
        config: { method: { name: 'pissa' } },
      })
      expect(openModelFolder(join(out, 'model')).config.layers).toBe(5)
    },
  )

  it.skipIf(sharedMissing)('a run that fails exits with 1, says the code, and writes it down', () => {
    const out = join(folder, 'failed')
    const run = train('--config', configFile({ method: { name: 'pissa', rank: 100 } }), '--out', out)
    expect(run.status).toBe(1)
    expect(run.stderr).toMatch(/error RANK_TOO_LARGE: /)
    expect(JSON.parse(readFileSync(join(out, 'summary.json'), 'utf8'))).toMatchObject({ state: 'failed' })
  })

  it.skipIf(sharedMissing).each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const)('%s writes a checkpoint, exits with %i, and names it to go on from', async (signal, code) => {
    const out = join(folder, signal)
    const config = configFile({
      training: { epochs: 100, maxSteps: 2000, globalBatchSize: 4, microBatchSize: 2 },
    })
    const [program, ...args] = launchCommand(
      new URL('./train.ts', import.meta.url),
      ...['--config', config, '--out', out, '--threads', '1'],
    )
    const child = spawn(program, args, { env: { ...process.env, XDG_CACHE_HOME: join(folder, 'cache') } })
    let told = ''
    const exited = new Promise<number | null>((resolve) => child.on('close', resolve))
    child.stderr.on('data', (part: Buffer) => {
      const before = told
      told += part.toString()
      if (told.includes('2000 steps') && !before.includes('2000 steps')) child.kill(signal)
    })
    expect(await exited, told).toBe(code)
    const summary = JSON.parse(readFileSync(join(out, 'summary.json'), 'utf8'))
    expect(summary).toMatchObject({ state: 'paused', error: null })
    expect(summary.steps).toBeLessThan(2000)
    const checkpoint = /go on with --resume (\S+)/.exec(told)![1]!
    expect(checkpoint).toContain(String(summary.steps).padStart(8, '0'))
    expect(existsSync(join(checkpoint, 'manifest.json'))).toBe(true)
  })

  it('an option that does not exist has a code and its name', () => {
    const run = train('--confg', 'x.json', '--out', folder)
    expect(run).toMatchObject({ status: 2, stderr: expect.stringMatching(/OPTION_INVALID: .*--confg/) })
  })

  it.skipIf(sharedMissing ?? tmpfsMissing)(
    `a full disk ends the run with DISK_FULL and the file’s name, and leaves no file aside ${sharedMissing ?? tmpfsMissing ?? ''}`,
    () => {
      const mount = mkdtempSync(join(tmpdir(), 'rankscope-full-'))
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', mount])
      try {
        const out = join(mount, 'out')
        // A few kilobytes of spectra, so that it is a checkpoint for which no room is left.
        const config = configFile({ checkpoint: { everySteps: 1 }, spectra: { analysesUpTo: 0 } })
        const run = train('--config', config, '--out', out)
        expect(run.status, run.stderr).toBe(1)
        expect(run.stderr).toMatch(
          /error DISK_FULL: \S*(model|state)\.safetensors: the disk is full \(ENOSPC\)/,
        )
        const left = readdirSync(out, { recursive: true }).map(String)
        expect(left.filter((name) => /\.tmp|\.partial/.test(name))).toEqual([])
      } finally {
        execFileSync('umount', [mount])
        rmSync(mount, { recursive: true })
      }
    },
  )

  it('wrong arguments and unreadable configurations exit with 2 and name the reason', () => {
    expect(train('--out', folder)).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/CONFIG_INVALID/),
    })
    const missing = train('--config', join(folder, 'none.json'), '--out', folder)
    expect(missing).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/CONFIG_UNREADABLE.*none.json/),
    })
    const wrong = train(
      '--config',
      configFile({ optimizer: { learningRte: 1 } }),
      '--out',
      join(folder, 'wrong'),
    )
    expect(wrong).toMatchObject({ status: 2, stderr: expect.stringMatching(/learningRte/) })
    expect(existsSync(join(folder, 'wrong'))).toBe(false)
  })
})
