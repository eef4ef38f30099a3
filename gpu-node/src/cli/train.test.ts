/** The headless command as a person runs it: files, exit codes, messages. */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
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
