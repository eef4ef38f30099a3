import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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
    expect(findData([folder])).toEqual([{ path: join('math', 'train.jsonl'), bytes: 3 }])
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

  it('refuses a root that does not exist, naming the option', () => {
    expect(() => allowedFolder(join(folder, 'nowhere'), '--models')).toThrowError(
      expect.objectContaining({ code: 'PATH_FORBIDDEN', message: expect.stringContaining('--models') }),
    )
  })
})
