import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { offeringLimits } from '@rankscope/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { sharedMissing, sharedPath } from '../testing/shared-material.ts'
import { allowedFolder, findData, findModels } from './offerings.ts'

describe('what a node offers', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'rankscope-offer-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  it('lists data files by their path under the root, and leaves out hidden folders and links', () => {
    mkdirSync(join(folder, 'math', '.cache'), { recursive: true })
    writeFileSync(join(folder, 'math', 'train.jsonl'), '{}\n')
    writeFileSync(join(folder, 'math', 'notes.md'), '')
    writeFileSync(join(folder, 'math', '.cache', 'old.jsonl'), '')
    symlinkSync(tmpdir(), join(folder, 'elsewhere'))
    expect(findData([folder], () => {})).toEqual([{ path: join('math', 'train.jsonl'), bytes: 3 }])
  })

  it.skipIf(sharedMissing)(`describes each model by what its files say ${sharedMissing ?? ''}`, () => {
    const models = findModels([sharedPath('data', 'models')], () => {})
    expect(models).toContainEqual({
      path: 'stories260K',
      name: 'stories260K',
      parameters: 260_032,
      hiddenSize: 64,
      layers: 5,
      vocabulary: 512,
    })
  })

  it('leaves out a model that cannot be trained, and reports why', () => {
    mkdirSync(join(folder, 'bert'))
    writeFileSync(join(folder, 'bert', 'config.json'), '{"model_type": "bert"}')
    const lines: string[] = []
    expect(findModels([folder], (line) => lines.push(line))).toEqual([])
    expect(lines).toEqual([expect.stringMatching(/left out the model .*bert.*config\.json/)])
  })

  it('opens no pipe: neither as a data file nor as the config of a model', () => {
    mkdirSync(join(folder, 'piped'))
    for (const name of ['data.jsonl', join('piped', 'config.json')])
      execFileSync('mkfifo', [join(folder, name)])
    const lines: string[] = []
    expect(findData([folder], () => {})).toEqual([])
    expect(findModels([folder], (line) => lines.push(line))).toEqual([])
    expect(lines).toEqual([expect.stringMatching(/piped.*no regular file/)])
  })

  it('leaves out what cannot be looked at, and offers the rest', () => {
    mkdirSync(join(folder, 'circle'))
    symlinkSync('config.json', join(folder, 'circle', 'config.json'))
    writeFileSync(join(folder, 'good.txt'), '')
    const lines: string[] = []
    expect(findModels([folder], (line) => lines.push(line))).toEqual([])
    expect(findData([folder], () => {})).toEqual([{ path: 'good.txt', bytes: 0 }])
    expect(lines).toEqual([expect.stringMatching(/left out the model .*circle.*ELOOP/)])
  })

  it('leaves out what has a name that no message carries, and says so', () => {
    mkdirSync(join(folder, 'a\u202eb'))
    writeFileSync(join(folder, 'a\nb.txt'), '')
    writeFileSync(join(folder, 'a\u202eb', 'train.jsonl'), '')
    writeFileSync(join(folder, 'good.txt'), '')
    const lines: string[] = []
    expect(findData([folder], (line) => lines.push(line))).toEqual([{ path: 'good.txt', bytes: 0 }])
    expect(lines).toEqual([expect.stringContaining('U+000A'), expect.stringContaining('U+202E')])
  })

  it('offers no more than a message may hold, and says so', () => {
    for (let index = 0; index < offeringLimits.data + 5; index++)
      writeFileSync(join(folder, `${index}.txt`), '')
    const lines: string[] = []
    expect(findData([folder], (line) => lines.push(line))).toHaveLength(offeringLimits.data)
    expect(lines).toEqual([expect.stringMatching(/2005 found, the first 2000 are offered/)])
  })

  it('refuses a root that does not exist, naming the option', () => {
    expect(() => allowedFolder(join(folder, 'nowhere'), '--models')).toThrowError(
      expect.objectContaining({ code: 'PATH_FORBIDDEN', message: expect.stringContaining('--models') }),
    )
  })
})
