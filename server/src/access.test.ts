import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Access, keptToken, type Visitor } from './access.ts'

const port = 7777
const visitor = (changes: Partial<Visitor>): Visitor => ({
  host: 'localhost:7777',
  origin: undefined,
  cookie: undefined,
  authorization: undefined,
  fetchSite: undefined,
  fetchMode: undefined,
  token: undefined,
  ...changes,
})

describe('a browser or script', () => {
  const access = new Access('secret', 'node-secret')
  const cookie = `other=1; ${access.cookie(port, false).split(';')[0]}`
  const judge = (changes: Partial<Visitor>, isSocket = false) =>
    access.judge(visitor(changes), port, isSocket)

  it('shows the token, on loopback too: in the address once, or as a bearer (P30, P31)', () => {
    expect(judge({})).toBe('missing')
    expect(judge({ token: 'secret' })).toBe('shown')
    expect(judge({ authorization: 'Bearer secret' })).toBe('in')
    for (const wrong of ['', 'Secret', 'secret ', 'node-secret', `${'x'.repeat(10_000)}`]) {
      expect(judge({ token: wrong })).toBe('wrong')
      if (wrong !== '') expect(judge({ authorization: `Bearer ${wrong}` })).toBe('wrong')
    }
    expect(judge({ authorization: 'Basic c2VjcmV0' })).toBe('missing')
  })

  it('comes back by a cookie that is no token, and that belongs to this server alone (P31)', () => {
    expect(judge({ cookie })).toBe('in')
    expect(cookie).not.toContain('secret')
    expect(access.judge(visitor({ cookie }), port + 1)).toBe('missing')
    expect(new Access('changed', 'node-secret').judge(visitor({ cookie }), port)).toBe('stale')
    const others = access
      .cookie(port + 1, false)
      .split(';')[0]!
      .split('=')[1]
    expect(judge({ cookie: `rankscope-7777=${others}` })).toBe('stale')
    expect(judge({ cookie: 'rankscope-7777=' })).toBe('stale')
    expect(judge({ cookie: 'rankscope-7777=secret' })).toBe('stale')
    expect(judge({ cookie: 'rankscope-7777=%E0%A4%A' })).toBe('stale')
  })

  it('gets a cookie that scripts do not see, that stays below the base path, and over TLS goes nowhere else', () => {
    expect(access.cookie(port, false)).toMatch(/^rankscope-7777=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; /)
    expect(access.cookie(port, false)).not.toContain('Secure')
    const below = new Access('secret', 'node-secret', '/rankscope/')
    expect(below.cookie(port, true)).toMatch(/; Path=\/rankscope\/; HttpOnly; .*; Secure$/)
  })

  it.each([
    ['its own page', 'http://localhost:7777', 'localhost:7777', 'in'],
    ['its own page behind a proxy with TLS', 'https://lab.example', 'lab.example', 'in'],
    ['a page of another port of this host', 'http://localhost:8888', 'localhost:7777', 'foreign'],
    ['a page of another name of this host', 'http://127.0.0.1:7777', 'localhost:7777', 'foreign'],
    ['a page of another site', 'https://evil.example', 'localhost:7777', 'foreign'],
    ['a sandboxed page', 'null', 'localhost:7777', 'foreign'],
    ['no page at all', '', 'localhost:7777', 'foreign'],
    ['a page, where a proxy rewrites the host', 'https://lab.example', '127.0.0.1:7777', 'foreign'],
  ])('with a cookie, sent by %s', (_, origin, host, verdict) => {
    expect(judge({ cookie, origin, host })).toBe(verdict)
    expect(judge({ cookie, origin, host }, true)).toBe(verdict)
  })

  it('with a cookie may follow a link from anywhere, but no page of another port may ask for more', () => {
    expect(judge({ cookie, fetchSite: 'cross-site', fetchMode: 'navigate' })).toBe('in')
    expect(judge({ cookie, fetchSite: 'same-origin', fetchMode: 'cors' })).toBe('in')
    expect(judge({ cookie, fetchSite: 'same-site', fetchMode: 'no-cors' })).toBe('foreign')
    expect(judge({ cookie, fetchSite: 'cross-site', fetchMode: 'no-cors' })).toBe('foreign')
  })

  it('with a cookie alone opens no socket unless it says from which page', () => {
    expect(judge({ cookie }, true)).toBe('foreign')
    expect(judge({ authorization: 'Bearer secret' }, true)).toBe('in')
  })

  it('is no node, nor the reverse (P32)', () => {
    expect(access.allowsNode('Bearer node-secret')).toBe(true)
    expect(access.allowsNode('Bearer secret')).toBe(false)
    expect(access.allowsNode('node-secret')).toBe(false)
    expect(access.allowsNode(undefined)).toBe(false)
    expect(judge({ authorization: 'Bearer node-secret' })).toBe('wrong')
  })
})

describe('a token', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'rankscope-token-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))
  const file = () => join(folder, 'browser-token')

  it('is made once, kept over restarts, and readable by its owner only (P32)', () => {
    const token = keptToken(folder, 'browser-token')
    expect(token).toMatch(/^[\w-]{32}$/)
    expect(keptToken(folder, 'browser-token')).toBe(token)
    expect(statSync(file()).mode & 0o777).toBe(0o600)
  })

  it('that is chosen is kept for the next start', () => {
    keptToken(folder, 'browser-token')
    expect(keptToken(folder, 'browser-token', 'my-own')).toBe('my-own')
    expect(keptToken(folder, 'browser-token')).toBe('my-own')
    expect(readFileSync(file(), 'utf8')).toBe('my-own\n')
  })

  it('of wider rights is mended', () => {
    writeFileSync(file(), 'kept\n', { mode: 0o644 })
    expect(keptToken(folder, 'browser-token')).toBe('kept')
    expect(statSync(file()).mode & 0o777).toBe(0o600)
  })

  it.each(['', '\n', '  \n', 'two words', 'a\nb', 'é', '\0'])(
    'is not %j: refused, never taken for none',
    (text) => {
      writeFileSync(file(), text)
      expect(() => keptToken(folder, 'browser-token')).toThrowError(
        expect.objectContaining({
          code: 'CONFIG_INVALID',
          message: expect.stringContaining('browser-token'),
        }),
      )
      expect(readFileSync(file(), 'utf8')).toBe(text)
      rmSync(file())
      expect(() => keptToken(folder, 'browser-token', text)).toThrowError(
        expect.objectContaining({ code: 'CONFIG_INVALID' }),
      )
    },
  )
})
