import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ChatTemplate } from '../data/chat-template.ts'
import { openModelFolder } from './folder.ts'

const builtIn = fileURLToPath(new URL('../../../models/rankscope-mini', import.meta.url))

describe('a model folder whose file is a pipe is refused at once: to open it would wait for ever', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'rankscope-pipe-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))
  const pipe = (name: string) => execFileSync('mkfifo', [join(folder, name)])

  it.each(['config.json', 'model.safetensors'])('%s', (name) => {
    if (name !== 'config.json') copyFileSync(join(builtIn, 'config.json'), join(folder, 'config.json'))
    pipe(name)
    expect(() => openModelFolder(folder)).toThrowError(
      expect.objectContaining({ code: 'MODEL_BROKEN', message: expect.stringMatching(`${name}.*a pipe`) }),
    )
  })

  it.each(['tokenizer_config.json', 'chat_template.jinja'])('%s', (name) => {
    if (name !== 'tokenizer_config.json') writeFileSync(join(folder, 'tokenizer_config.json'), '{}')
    pipe(name)
    expect(() => ChatTemplate.load(folder)).toThrowError(
      expect.objectContaining({ code: 'TOKENIZER_BROKEN', message: expect.stringContaining('a pipe') }),
    )
  })

  it('a folder in a file’s place is named too', () => {
    mkdirSync(join(folder, 'config.json'))
    expect(() => openModelFolder(folder)).toThrowError(/config\.json: this is a folder/)
  })
})
