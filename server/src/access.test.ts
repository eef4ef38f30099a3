import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Access, isLoopback, keptToken, type Visitor } from './access.ts'

const visitor = (changes: Partial<Visitor>): Visitor => ({
  host: 'localhost:7777',
  origin: undefined,
  cookie: undefined,
  authorization: undefined,
  token: undefined,
  ...changes,
})

describe('without a token (loopback)', () => {
  const access = new Access(null, 'node-secret')
  it('lets in whoever comes by a loopback name from a page of this machine (P30)', () => {
    for (const host of ['localhost:7777', '127.0.0.1', '[::1]:7777'])
      expect(access.allowsBrowser(visitor({ host })), host).toBe(true)
    expect(access.allowsBrowser(visitor({ origin: 'http://localhost:5173' }))).toBe(true)
  })
  it('refuses rebound names and pages of other sites (P30)', () => {
    expect(access.allowsBrowser(visitor({ host: 'evil.example:7777' }))).toBe(false)
    expect(access.allowsBrowser(visitor({ host: undefined }))).toBe(false)
    expect(access.allowsBrowser(visitor({ origin: 'https://evil.example' }))).toBe(false)
    expect(access.allowsBrowser(visitor({ origin: 'null' }))).toBe(false)
  })
})

describe('with a token', () => {
  const access = new Access('secret', 'node-secret')
  const host = 'gpu.example:7777'
  it('lets in who shows it: in the address, as a bearer, or by cookie from its own pages (P31)', () => {
    expect(access.allowsBrowser(visitor({ host }))).toBe(false)
    expect(access.allowsBrowser(visitor({ host, token: 'secret' }))).toBe(true)
    expect(access.allowsBrowser(visitor({ host, token: 'wrong' }))).toBe(false)
    expect(access.allowsBrowser(visitor({ host, authorization: 'Bearer secret' }))).toBe(true)
    const cookie = 'other=1; rankscope_token=secret'
    expect(access.allowsBrowser(visitor({ host, cookie }))).toBe(true)
    expect(access.allowsBrowser(visitor({ host, cookie, origin: 'http://gpu.example:7777' }))).toBe(true)
    expect(access.allowsBrowser(visitor({ host, cookie, origin: 'https://evil.example' }))).toBe(false)
    expect(access.allowsBrowser(visitor({ host, cookie: 'rankscope_token=%E0%A4%A' }))).toBe(false)
  })
  it('is asked on loopback too when it was given (P31)', () => {
    expect(access.allowsBrowser(visitor({}))).toBe(false)
  })
  it('of a browser is none of a node (P32)', () => {
    expect(access.allowsNode('node-secret')).toBe(true)
    expect(access.allowsNode('secret')).toBe(false)
    expect(access.allowsNode(undefined)).toBe(false)
  })
})

it('the nodes’ token is made once and readable by its owner only (P32)', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rankscope-token-'))
  const token = keptToken(folder, 'node-token')
  expect(token).toMatch(/^[\w-]{32}$/)
  expect(keptToken(folder, 'node-token')).toBe(token)
  expect(statSync(join(folder, 'node-token')).mode & 0o777).toBe(0o600)
  rmSync(folder, { recursive: true })
})

it('knows loopback names', () => {
  for (const name of ['localhost', '127.0.0.1', '127.1.2.3', '::1']) expect(isLoopback(name), name).toBe(true)
  for (const name of ['0.0.0.0', '10.0.0.1', 'localhost.evil.example', '127.0.0.1.evil.example', null])
    expect(isLoopback(name), String(name)).toBe(false)
})
