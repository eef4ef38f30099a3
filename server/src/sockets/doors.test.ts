/** What comes to the sockets’ door: who is let in, and what those can do who are. */
import { browserNamespace, encodeMessage, nodeNamespace, protocolVersion } from '@rankscope/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import WebSocket, { type ClientOptions } from 'ws'
import { Bench } from '../testing/peers.ts'
import { browserLimits } from './doors.ts'

let bench: Bench
beforeAll(async () => {
  bench = await Bench.start({ token: 'secret', nodeToken: 'node-secret' })
})
afterAll(() => bench.close())

const browser = { authorization: 'Bearer secret' }
const node = { authorization: 'Bearer node-secret' }
const path = '/socket.io/?EIO=4&transport=websocket'

type Outcome = { socket: WebSocket; status: 101 } | { status: number; body: string; csp: unknown }

/** Until the upgrade is done, or refused. */
function knock(
  headers: Record<string, string> = {},
  url = path,
  options: ClientOptions = {},
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${bench.server.port}${url}`, { headers, ...options })
    socket.on('open', () => resolve({ socket, status: 101 }))
    socket.on('error', reject)
    socket.on('unexpected-response', (request, response) => {
      let body = ''
      response.on('data', (data) => {
        body += data
      })
      response.on('end', () => {
        request.destroy()
        const csp = response.headers['content-security-policy']
        resolve({ status: response.statusCode ?? 0, body, csp })
      })
    })
  })
}

async function enter(headers: Record<string, string>): Promise<WebSocket> {
  const outcome = await knock(headers)
  if (!('socket' in outcome)) throw new Error(`refused: ${outcome.body}`)
  return outcome.socket
}

const closed = (socket: WebSocket) => new Promise<void>((resolve) => socket.on('close', () => resolve()))
/** Until a packet comes; engine.io’s own are text. */
const answered = (socket: WebSocket) =>
  new Promise<void>((resolve) => socket.on('message', (_, isBinary) => isBinary && resolve()))
const isWell = async () =>
  expect((await bench.server.app.inject({ url: '/api/health', headers: bench.headers })).statusCode).toBe(200)

describe('the door of the sockets', () => {
  const origin = 'http://evil.example'
  const cookie = async () =>
    String(
      (await fetch(`${bench.server.url}/?token=secret`, { redirect: 'manual' })).headers.get('set-cookie'),
    ).split(';')[0]!

  it.each([
    ['nothing', {}],
    ['a page of another site', { origin }],
    ['a wrong token', { authorization: 'Bearer wrong' }],
    ['an empty token', { authorization: 'Bearer ' }],
    ['what a proxy forwards', { 'x-forwarded-for': '127.0.0.1', host: 'localhost' }],
    ['another name of this host', { host: 'evil.example:7777' }],
  ])('refuses %s before the upgrade, by a coded error (P30)', async (_, headers) => {
    const outcome = await knock(headers as Record<string, string>)
    expect(outcome.status).toBe(401)
    if ('socket' in outcome) throw new Error('it was let in')
    expect(JSON.parse(outcome.body)).toMatchObject({ code: 'UNAUTHORIZED' })
    expect(outcome.csp).toContain("default-src 'none'")
  })

  it('lets a cookie in from the server’s own page, and from no other (P31)', async () => {
    const own = await cookie()
    expect((await knock({ cookie: own, origin: bench.server.url })).status).toBe(101)
    expect((await knock({ cookie: own, origin })).status).toBe(401)
    expect((await knock({ cookie: own, origin: 'http://127.0.0.1:1' })).status).toBe(401)
    expect((await knock({ cookie: own, origin: 'null' })).status).toBe(401)
    expect((await knock({ cookie: own })).status).toBe(401)
    expect((await knock({ cookie: 'rankscope-1=x', origin: bench.server.url })).status).toBe(401)
  })

  it('knows no other place and no other transport: polling would go past it', async () => {
    for (const url of ['/', '/socket.io', '/socket.io/', '/api/health', '//', '/%', `${path}&sid=abc`])
      expect((await knock(browser, url)).status, url).toBe(404)
    for (const method of ['GET', 'POST'])
      expect(
        (await fetch(`${bench.server.url}/socket.io/?EIO=4&transport=polling`, { method, headers: browser }))
          .status,
      ).toBe(404)
    await isWell()
  })

  it('holds so many browsers and no more', async () => {
    const sockets = await Promise.all(
      Array.from({ length: browserLimits.connections + 20 }, () => knock(browser)),
    )
    expect(sockets.filter(({ status }) => status === 101).length).toBeLessThanOrEqual(
      browserLimits.connections,
    )
    expect(sockets.filter(({ status }) => status === 503).length).toBeGreaterThanOrEqual(20)
    // Nodes have a door of their own.
    const one = await enter(node)
    one.close()
    await Promise.all(
      sockets.map((outcome) => {
        if (!('socket' in outcome)) return null
        const gone = closed(outcome.socket)
        outcome.socket.terminate()
        return gone
      }),
    )
  })
})

describe('a frame that is no packet closes its connection and nothing else', () => {
  const join = async (headers: Record<string, string>, nsp: string) => {
    const socket = await enter(headers)
    const ready = answered(socket)
    socket.send(encodeMessage({ type: 0, nsp, data: { protocolVersion } }))
    await ready
    return socket
  }
  const sides = [
    ['a browser', browser, browserNamespace],
    ['a node', node, nodeNamespace],
  ] as const

  describe.each(sides)('of %s', (_, headers, nsp) => {
    it.each([
      ['CONNECT with null', encodeMessage({ type: 0, nsp, data: null })],
      ['CONNECT to the default namespace', encodeMessage({ type: 0, nsp: '/' })],
      ['CONNECT to an unknown namespace', encodeMessage({ type: 0, nsp: '/other' })],
      ['an event before it', encodeMessage({ type: 2, nsp, data: ['hello'] })],
      ['half a packet', encodeMessage({ type: 0, nsp }).subarray(0, 5)],
      ['nothing', new Uint8Array(0)],
      ['text', '40'],
    ])('first: %s', async (_, frame) => {
      const socket = await enter(headers)
      const gone = closed(socket)
      socket.send(frame)
      await gone
      await isWell()
    })

    it.each([
      ['an event whose name is an object', { type: 2, nsp, data: [{ a: 1 }, 2], id: 1 }],
      ['an event named error', { type: 2, nsp, data: ['error', 'boom'] }],
      ['a reserved event', { type: 2, nsp, data: ['disconnecting', 1] }],
      ['an acknowledgement without a list', { type: 3, nsp, data: null, id: 0 }],
      ['CONNECT with null, again', { type: 0, nsp, data: null }],
    ])('later: %s', async (_, packet) => {
      const socket = await join(headers, nsp)
      const gone = closed(socket)
      socket.send(encodeMessage(packet))
      await gone
      await isWell()
    })

    it('unless it is an event that nobody listens to, or an acknowledgement of nothing that was asked', async () => {
      const socket = await join(headers, nsp)
      socket.send(encodeMessage({ type: 2, nsp, data: ['unknown', 1] }))
      socket.send(encodeMessage({ type: 3, nsp, data: [{ ok: 7 }], id: 9 }))
      const event = nsp === nodeNamespace ? 'heartbeat' : 'subscribeRun'
      const reply = answered(socket)
      socket.send(encodeMessage({ type: 2, nsp, data: [event, null], id: 5 }))
      await reply
      socket.close()
    })
  })

  it('nor a large one, of a browser: no more than a subscription is taken', async () => {
    const socket = await enter(browser)
    const gone = closed(socket)
    socket.send(Buffer.alloc(browserLimits.frameBytes + 1))
    await gone
    const many = await enter(browser)
    const alsoGone = closed(many)
    many.send(encodeMessage({ type: 0, nsp: browserNamespace, data: { a: Array(5000).fill({}) } }))
    await alsoGone
    await isWell()
  })

  it('nor 64 MiB of empty maps, of a node: refused in the time it takes to count them, and in little memory', async () => {
    const socket = await enter(node)
    const gone = closed(socket)
    const frame = Buffer.alloc(64 * 2 ** 20 - 16, 0x80)
    frame.set([0xdd, 0x03, 0xff, 0xff, 0xeb])
    const before = process.memoryUsage().rss
    socket.send(frame)
    await gone
    expect(process.memoryUsage().rss - before).toBeLessThan(600 * 2 ** 20)
    await isWell()
  })
})
