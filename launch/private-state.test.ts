import { execFileSync } from 'node:child_process'
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openPrivateState, readStateFile } from './private-state.ts'

describe('a state folder', () => {
  let outer: string
  beforeEach(() => {
    outer = mkdtempSync(join(tmpdir(), 'rankscope-private-'))
  })
  afterEach(() => rmSync(outer, { recursive: true }))
  const mode = (...path: string[]) => (lstatSync(join(outer, ...path)).mode & 0o7777).toString(8)

  it('is made for its owner alone, whatever is above it', () => {
    openPrivateState(join(outer, 'a', 'state'), [])
    expect(mode('a', 'state')).toBe('700')
  })

  it('of an earlier release is mended: folder, files and all below those that are known', () => {
    mkdirSync(join(outer, 'state', 'runs', 'one'), { recursive: true })
    for (const file of ['token', 'mine.txt', 'runs/one/log', 'runs/one/script'])
      writeFileSync(join(outer, 'state', file), '')
    for (const path of ['', 'runs', 'runs/one', 'runs/one/script'])
      chmodSync(join(outer, 'state', path), 0o755)
    for (const path of ['token', 'mine.txt', 'runs/one/log']) chmodSync(join(outer, 'state', path), 0o664)
    openPrivateState(join(outer, 'state'), ['token', 'runs', 'not there'])
    expect(
      ['', 'token', 'runs', 'runs/one', 'runs/one/log', 'runs/one/script'].map((path) => mode('state', path)),
    ).toEqual(['700', '600', '700', '700', '600', '700'])
    expect(mode('state', 'mine.txt'), 'not ours').toBe('664')
  })

  it('leaves alone what a link leads to, and a folder that is there for many', () => {
    mkdirSync(join(outer, 'elsewhere'))
    chmodSync(join(outer, 'elsewhere'), 0o755)
    mkdirSync(join(outer, 'shared'))
    chmodSync(join(outer, 'shared'), 0o1777)
    symlinkSync(join(outer, 'elsewhere'), join(outer, 'shared', 'runs'))
    openPrivateState(join(outer, 'shared'), ['runs'])
    expect(mode('shared')).toBe('1777')
    expect(mode('elsewhere')).toBe('755')
  })

  it('has small files read, and names what is no file instead of waiting for it', () => {
    writeFileSync(join(outer, 'file'), 'text')
    execFileSync('mkfifo', [join(outer, 'pipe')])
    symlinkSync(join(outer, 'nowhere'), join(outer, 'loose'))
    expect(['file', 'loose', 'nothing'].map((name) => readStateFile(join(outer, name)))).toEqual([
      'text',
      null,
      null,
    ])
    for (const [path, code] of [
      ['pipe', 'ENXIO'],
      ['', 'EISDIR'],
    ] as const)
      expect(() => readStateFile(join(outer, path))).toThrowError(
        expect.objectContaining({ code, path: join(outer, path) }),
      )
  })
})
