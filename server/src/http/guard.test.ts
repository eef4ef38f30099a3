import { mkdirSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { InjectOptions } from 'fastify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Bench } from '../testing/peers.ts'

const html = { accept: 'text/html,*/*' }
const authorization = 'Bearer secret'
let bench: Bench
beforeAll(async () => {
  bench = await Bench.start({ token: 'secret' })
  const dashboardFolder = join(bench.folder, 'dist')
  mkdirSync(join(dashboardFolder, 'assets'), { recursive: true })
  writeFileSync(join(dashboardFolder, 'index.html'), '<html><head></head>"./assets/a.js"</html>')
  writeFileSync(join(dashboardFolder, 'assets', 'a.js'), 'code')
  await bench.restart({ token: 'secret', dashboardFolder, basePath: '/scope/' })
})
afterAll(() => bench.close())

const inject = (url: string, headers: Record<string, string> = {}, options: InjectOptions = {}) =>
  bench.server.app.inject({ url, headers: { host: 'gpu.example', ...headers }, ...options })
const cookieOf = (response: { headers: Record<string, unknown> }) =>
  String(response.headers['set-cookie']).split(';')[0]!

describe('the door', () => {
  it('tells people in a page what is missing, programs by a coded error (P30)', async () => {
    const page = await inject('/runs/some-run', html)
    expect(page.statusCode).toBe(401)
    expect(page.headers['content-type']).toContain('text/html')
    expect(page.body).toContain('name="token"')
    expect(page.body).toContain('value="/runs/some-run"')
    expect(page.body).not.toContain('role="alert"')
    for (const [url, headers] of [
      ['/api/runs', html],
      ['/', { accept: 'application/json' }],
      ['/assets/a.js', {}],
    ] as const) {
      const answer = await inject(url, headers)
      expect(answer.statusCode).toBe(401)
      expect(answer.json(), url).toMatchObject({ code: 'UNAUTHORIZED' })
    }
  })

  it('lets nobody in for coming from this machine, directly or forwarded (P30)', async () => {
    for (const headers of [
      {},
      { 'x-forwarded-for': '127.0.0.1' },
      { forwarded: 'for=127.0.0.1' },
      { via: '1.1 proxy' },
    ] as Record<string, string>[])
      for (const host of ['localhost:7777', '127.0.0.1', '[::1]', 'evil.example'])
        expect((await inject('/api/runs', { ...headers, host })).statusCode).toBe(401)
  })

  it('takes the token from the address once, and from it (P31)', async () => {
    for (const url of [
      '/scope/?token=secret',
      '/?token=secret&runs=a',
      '/scope/runs/x?a=1&token=secret&b=%2F',
    ]) {
      const first = await inject(url, html)
      expect(first.statusCode).toBe(303)
      expect(first.headers.location).toBe(
        { '/scope/?token=secret': '/scope/', '/?token=secret&runs=a': '/scope/?runs=a' }[url] ??
          '/scope/runs/x?a=1&b=%2F',
      )
      expect((await inject('/scope/runs', { ...html, cookie: cookieOf(first) })).statusCode).toBe(200)
    }
    const programs = await inject('/api/runs?token=secret&limit=5')
    expect(programs.statusCode).toBe(200)
    expect((await inject('/?token=wrong', html)).body).toContain('The token is not that of this server.')
  })

  it('gives the cookie Secure where a proxy says that it ended TLS', async () => {
    const cookie = async (headers: Record<string, string>) =>
      String((await inject('/?token=secret', { ...html, ...headers })).headers['set-cookie'])
    expect(await cookie({})).not.toContain('Secure')
    expect(await cookie({ 'x-forwarded-proto': 'http' })).not.toContain('Secure')
    expect(await cookie({ 'x-forwarded-proto': 'https' })).toContain('; Secure')
    expect(await cookie({ forwarded: 'for=1.2.3.4;proto=https' })).toContain('; Secure')
  })

  it('says of a cookie from before a change of the token that it is no longer valid', async () => {
    const cookie = 'rankscope-0=from-before'
    expect((await inject('/runs', { ...html, cookie })).body).toContain('no longer valid')
    expect((await inject('/api/runs', { cookie })).json().message).toContain('no longer valid')
  })

  it('opens to the token entered in its page, and leads to where one wanted to go', async () => {
    const enter = (fields: Record<string, string>, headers: Record<string, string> = {}) =>
      inject(
        '/scope/login',
        { 'content-type': 'application/x-www-form-urlencoded', ...headers },
        {
          method: 'POST',
          payload: new URLSearchParams(fields).toString(),
        },
      )
    const entered = await enter({ token: ' secret\n', next: '/compare?runs=a,b' })
    expect(entered.statusCode).toBe(303)
    expect(entered.headers.location).toBe('/scope/compare?runs=a,b')
    expect((await inject('/api/runs', { cookie: cookieOf(entered) })).statusCode).toBe(200)
    const wrong = await enter({ token: 'wrong', next: '/runs' })
    expect(wrong.statusCode).toBe(401)
    expect(wrong.headers['set-cookie']).toBeUndefined()
    expect(wrong.body).toContain('That is not the token of this server.')
    for (const next of [
      '//evil.example',
      'https://evil.example',
      '/\\evil.example',
      'evil',
      '/a b',
      '/\r\nset-cookie: a=b',
    ])
      expect((await enter({ token: 'secret', next })).headers.location, next).toBe('/scope/')
    expect((await enter({ token: 'secret', next: '"><script>' })).body).not.toContain('<script>')
    const json = await inject('/login', {}, { method: 'POST', payload: { token: 'secret' } })
    expect(json.statusCode).toBe(415)
    expect((await enter({ token: 'x'.repeat(20_000) })).statusCode).toBe(413)
  })

  it('writes nothing of an address into its page that is not escaped', async () => {
    const page = await inject('/%22%3E%3Cscript%3E?a="><script>alert(1)</script>', html)
    expect(page.statusCode).toBe(401)
    expect(page.body).not.toContain('<script>')
  })
})

describe('headers', () => {
  it.each([
    ['a page', '/', { ...html, authorization }],
    ['the page that asks for the token', '/', html],
    ['a file', '/assets/a.js', { authorization }],
    ['an answer', '/api/health', { authorization }],
    ['a refusal', '/api/health', {}],
    ['what does not exist', '/api/nothing', { authorization }],
    ['a broken address', '/%', { authorization }],
    ['the description', '/api/docs/static/index.html', { authorization }],
  ] as [string, string, Record<string, string>][])('stand on %s', async (_, url, headers) => {
    const answer = await inject(url, headers)
    expect(answer.headers['content-security-policy']).toMatch(/^default-src 'none'/)
    expect(answer.headers['content-security-policy']).toContain("frame-ancestors 'none'")
    expect(String(answer.headers['content-security-policy'])).not.toMatch(/script-src[^;]*unsafe/)
    expect(answer.headers['x-content-type-options']).toBe('nosniff')
    expect(answer.headers['referrer-policy']).toBe('no-referrer')
    expect(answer.headers['cache-control']).toBeDefined()
  })
})

describe('an address that is none', () => {
  it.each([
    '//',
    '///',
    '//evil.example/',
    '/%',
    '/%00',
    '/%E0%A4%A',
    '/..%2f..%2fetc%2fpasswd',
    '/../../etc/passwd',
    '/..',
    '/scope',
    '/scope/..',
    '/scope//api/runs',
    '/api//runs',
    '/api/runs/..%2f',
    '/api/runs/%00',
    '/api/runs/%ff',
    '/?token=%E0%A4%A',
    '/api/runs?limit=%',
    '/\ud83d\ude00',
    '/socket.io/?EIO=4&transport=polling',
    '/;a=b',
    '/?',
    '*',
  ])('%s: never a 500, with a token or without', (url) => answers(url))

  it('of many thousand characters neither', async () => {
    await answers(`/api/runs/${'a'.repeat(9000)}`)
    await answers(`/?${'a=1&'.repeat(3000)}`)
  })

  const answers = async (url: string) => {
    for (const headers of [{}, html, { authorization }, { ...html, authorization }] as Record<
      string,
      string
    >[]) {
      const answer = await inject(url, headers)
      expect(answer.statusCode, answer.body).toBeLessThan(500)
      if (!('authorization' in headers)) expect([400, 401, 414]).toContain(answer.statusCode)
    }
  }

  it('by any method is no 500 either', async () => {
    for (const method of ['PUT', 'PATCH', 'OPTIONS', 'HEAD', 'DELETE', 'TRACE', 'POST'] as const)
      for (const url of ['/', '/api/runs', '/login', '/api/openapi.json', '//']) {
        const answer = await inject(url, { authorization }, { method: method as 'PUT' })
        expect(answer.statusCode, `${method} ${url}`).toBeLessThan(500)
      }
  })

  const handshake = (
    changes: Record<string, string>,
    first = 'GET /socket.io/?EIO=4&transport=websocket',
  ) => {
    const headers = {
      host: 'a',
      authorization,
      upgrade: 'websocket',
      connection: 'upgrade',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      'sec-websocket-version': '13',
      ...changes,
    }
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    return `${first} HTTP/1.1\r\n${lines.join('')}\r\n`
  }
  it.each([
    ['no HTTP', 'NONSENSE\r\n\r\n', 400],
    ['a header of 64 KiB', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(65_536)}\r\n\r\n`, 431],
    ['no host', 'GET / HTTP/1.1\r\n\r\n', 400],
    ['NUL in a header', 'GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n', 400],
    [
      'two hosts',
      `GET /api/health HTTP/1.1\r\nHost: a\r\nHost: b\r\nAuthorization: ${authorization}\r\n\r\n`,
      400,
    ],
    ['an unknown expectation', 'GET / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n', 417],
    ['a socket of engine.io 3', handshake({}, 'GET /socket.io/?EIO=3&transport=websocket'), 404],
    ['a socket by POST', handshake({}, 'POST /socket.io/?EIO=4&transport=websocket'), 400],
    ['a socket without a key', handshake({ 'sec-websocket-key': 'x' }), 400],
    ['a socket of another version', handshake({ 'sec-websocket-version': '99' }), 400],
    ['a socket of another protocol', handshake({ 'sec-websocket-protocol': ',,,' }), 400],
    ['another upgrade', handshake({ upgrade: 'foo' }), 400],
    ['two lengths', 'POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', 400],
  ])('in bytes that are %s: answered by a coded error, with the same headers', async (_, bytes, status) => {
    const answer = await new Promise<string>((resolve) => {
      const socket = connect(bench.server.port, '127.0.0.1', () => socket.write(bytes))
      let text = ''
      socket.on('data', (data) => {
        text += data.toString('latin1')
      })
      socket.on('close', () => resolve(text))
      socket.on('error', () => undefined)
      socket.setTimeout(3000, () => socket.destroy())
    })
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect(answer).toMatch(/^content-security-policy: default-src 'none'/im)
    expect(answer).toMatch(/^x-content-type-options: nosniff/im)
    expect(answer).toMatch(/"code":"[A-Z_]+"/)
  })
})

describe('a body', () => {
  const send = (payload: string, type = 'application/json') =>
    inject('/api/runs', { authorization, 'content-type': type }, { method: 'POST', payload })
  it.each([
    ['nothing', ''],
    ['half of one', '{"configs": ['],
    ['a number', '7'],
    ['null', 'null'],
    ['a prototype', '{"__proto__": {"configs": []}}'],
    ['a constructor', '{"constructor": {"prototype": {}}}'],
    ['nested 100,000 deep', '['.repeat(100_000) + ']'.repeat(100_000)],
    [
      'nested deep where anything may stand',
      `{"configs": [${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}]}`,
    ],
    ['bytes that are no UTF-8', Buffer.from([0x22, 0xff, 0xfe, 0x22]).toString('latin1')],
    ['a lone surrogate', '{"configs": [{"name": "\\ud800"}]}'],
    ['many keys', JSON.stringify(Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`k${i}`, i])))],
  ])('that is %s is refused by a coded error', async (_, payload) => {
    const answer = await send(payload)
    expect(answer.statusCode).toBeGreaterThanOrEqual(400)
    expect(answer.statusCode).toBeLessThan(500)
    expect(answer.json()).toMatchObject({ code: expect.any(String), message: expect.any(String) })
    expect(answer.body.length).toBeLessThan(20_000)
  })
  it('of another type is refused', async () => {
    for (const type of [
      'text/plain',
      'application/xml',
      'multipart/form-data; boundary=a',
      'application/x-www-form-urlencoded',
      'nonsense',
    ])
      expect((await send('a=b', type)).statusCode, type).toBe(415)
  })
  it('beyond 4 MiB is refused', async () => {
    expect((await send(`"${'a'.repeat(5 * 2 ** 20)}"`)).statusCode).toBe(413)
  })
})
