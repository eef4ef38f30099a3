/** Frames to the doors of the sockets, by strangers, browsers and nodes: packets, nearly packets, and bytes. */
import { browserNamespace, encodeMessage, nodeNamespace, protocolVersion } from '@rankscope/protocol'
import WebSocket from 'ws'
import { Chance, mutated, randomText, randomValue } from './random.ts'

export type SocketCounts = {
  packets: number
  /** Connections that the server closed for what came over them. */
  closed: number
  /** Answers of the server to packets that were in order, whatever they held. */
  answered: number
  /** Strangers who were let in: none. */
  strangers: number
}
type Server = { url: string; browserToken: string; nodeToken: string }

const events = ['hello', 'heartbeat', 'records', 'subscribeRun', 'unsubscribeRun', 'watch']
const oddEvents = ['error', 'connect', 'disconnect', 'disconnecting', 'newListener', '__proto__', '', 'emit']

/** 127.0.0.1 only. Throws where a stranger is let in. */
export async function fuzzSockets(server: Server, seed: number, count: number): Promise<SocketCounts> {
  const chance = new Chance(seed)
  const counts: SocketCounts = { packets: 0, closed: 0, answered: 0, strangers: 0 }
  const sides = [
    { nsp: nodeNamespace, token: server.nodeToken },
    { nsp: browserNamespace, token: server.browserToken },
  ]
  let socket: WebSocket | null = null
  let side = sides[0]!
  for (let turn = 0; turn < count; turn++) {
    if (turn % 200 === 0 && (await open(server.url, randomText(chance, 30)))) counts.strangers++
    if (socket === null || socket.readyState !== WebSocket.OPEN) {
      if (socket !== null) counts.closed++
      side = chance.pick(sides)
      socket = await open(server.url, side.token)
      if (socket === null) throw new Error('the server lets nobody in any more')
      socket.on('message', (_, isBinary) => isBinary && counts.answered++)
      socket.on('error', () => undefined)
      if (chance.is(0.9)) await join(socket, side.nsp)
    }
    socket.send(frame(chance, side.nsp))
    counts.packets++
    // The server reads it before the next one is sent, or has closed the connection.
    await roundTrip(socket)
  }
  socket?.terminate()
  if (counts.strangers > 0) throw new Error(`${counts.strangers} strangers were let in`)
  return counts
}

/** The three that ended earlier releases: no token, a name that is an object, 64 MiB of empty maps. */
export async function knownShapes(server: Server): Promise<void> {
  const { url, nodeToken, browserToken } = server
  if (await open(url, null)) throw new Error('a page without a token was let in')
  for (const [nsp, token] of [
    [nodeNamespace, nodeToken],
    [browserNamespace, browserToken],
  ] as const) {
    await closes(url, token, [encodeMessage({ type: 0, nsp, data: null })])
    const join = encodeMessage({ type: 0, nsp, data: { protocolVersion } })
    await closes(url, token, [join, encodeMessage({ type: 2, nsp, data: [{ a: 1 }, 2], id: 1 })])
    const maps = Buffer.alloc(64 * 2 ** 20 - 16, 0x80)
    maps.set([0xdd, 0x03, 0xff, 0xff, 0xeb])
    await closes(url, token, [join, maps])
  }
}

async function closes(url: string, token: string, frames: Uint8Array[]): Promise<void> {
  const socket = await open(url, token)
  if (socket === null) throw new Error('the server lets nobody in any more')
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()))
  socket.on('error', () => undefined)
  for (const one of frames) socket.send(one)
  await closed
}

/** null: refused. A token that is no header at all counts as refused too. */
function open(url: string, token: string | null): Promise<WebSocket | null> {
  const address = `${url.replace(/^http/, 'ws')}/socket.io/?EIO=4&transport=websocket`
  const safe = token?.replace(/[^\x21-\x7e]/g, '') ?? null
  return new Promise((resolve) => {
    const socket = new WebSocket(address, {
      headers: {
        origin: 'http://evil.example',
        ...(safe === null ? {} : { authorization: `Bearer ${safe}` }),
      },
    })
    socket.on('open', () => resolve(socket))
    socket.on('error', () => resolve(null))
  })
}

/** Until the server has welcomed it. */
async function join(socket: WebSocket, nsp: string): Promise<void> {
  socket.send(encodeMessage({ type: 0, nsp, data: { protocolVersion } }))
  // Text is engine.io’s own.
  await until(socket, 'message', (_: unknown, isBinary: boolean) => isBinary)
}

/** What was sent before has been read when the pong comes; or the connection is closed. */
async function roundTrip(socket: WebSocket): Promise<void> {
  if (socket.readyState !== WebSocket.OPEN) return
  socket.ping()
  await until(socket, 'pong')
}

function until(
  socket: WebSocket,
  event: 'message' | 'pong',
  isIt: (data: unknown, isBinary: boolean) => boolean = () => true,
): Promise<void> {
  return new Promise((resolve) => {
    const look = (data: unknown, isBinary: boolean) => isIt(data, isBinary) && done()
    const done = () => {
      socket.off(event, look)
      socket.off('close', done)
      resolve()
    }
    socket.on(event, look)
    socket.on('close', done)
    if (socket.readyState !== WebSocket.OPEN) done()
  })
}

function frame(chance: Chance, nsp: string): Uint8Array | string {
  if (chance.is(0.02)) return randomText(chance)
  if (chance.is(0.05)) return chance.bytes(chance.below(200))
  const bytes = encodeMessage(packet(chance, nsp))
  return chance.is(0.1) ? mutated(chance, bytes) : bytes
}

function packet(chance: Chance, nsp: string): unknown {
  if (chance.is(0.03)) return randomValue(chance)
  const name = chance.is(0.9)
    ? chance.pick(events)
    : chance.is(0.5)
      ? chance.pick(oddEvents)
      : randomValue(chance)
  const type = chance.is(0.92) ? 2 : chance.pick([0, 1, 3, 4, 5, 6, -1, '2', null])
  return {
    type,
    nsp: chance.is(0.97) ? nsp : chance.pick(['/', '/admin', '', null, 7]),
    ...(chance.is(0.7) ? { id: chance.is(0.95) ? chance.below(1000) : randomValue(chance) } : {}),
    data: chance.is(0.96) ? [name, argument(chance)] : randomValue(chance),
  }
}

/** Near to what the events take. */
function argument(chance: Chance): unknown {
  if (chance.is(0.4)) return randomValue(chance)
  return {
    nodeId: chance.is(0.5) ? 'node-a' : randomText(chance),
    runId: randomText(chance, 20),
    afterCursor: chance.below(10) - 2,
    runs: chance.pick(['views', 'rows', 'none', 7]),
    nodes: chance.is(0.5),
    records: Array.from({ length: chance.below(4) }, () => ({
      runId: randomText(chance, 10),
      attempt: chance.below(3),
      seq: chance.below(5),
      timeMs: chance.next(),
      body: {
        kind: chance.pick(['scalars', 'log', 'lifecycle', 'x']),
        step: 1,
        values: randomValue(chance, 2),
      },
    })),
  }
}
