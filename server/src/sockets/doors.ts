/**
 * The way in for sockets. Who comes is decided before the upgrade, from the headers alone: nodes show their token,
 * browsers a cookie (from a page of this server) or theirs. Each kind has an engine of its own, so that only nodes may
 * send large frames, and a namespace of its own; all others are closed. There is no polling.
 */
import type { Server as HttpServer, IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import {
  browserNamespace,
  generousBounds,
  largestMessageBytes,
  type MessageBounds,
  nodeNamespace,
  RankscopeError,
  wireParser,
} from '@rankscope/protocol'
import { Server as Engine } from 'engine.io'
import { Server } from 'socket.io'
import { type Access, refusalOf } from '../access.ts'
import { addressOf } from '../http/address.ts'
import { endWith, statusOf } from '../http/errors.ts'
import { visitorOf } from '../http/guard.ts'
import type { BrowserNamespace } from './browser-hub.ts'
import type { NodeNamespace } from './node-hub.ts'

type Limits = { frameBytes: number; message: MessageBounds; connections: number }

/** What a browser sends is a subscription at most. */
export const browserLimits: Limits = {
  frameBytes: 256 * 2 ** 10,
  message: { elements: 4000, depth: 8 },
  connections: 256,
}
/** A batch holds at most 2000 records, of which spectra may be large. */
export const nodeLimits: Limits = {
  frameBytes: largestMessageBytes,
  message: generousBounds,
  connections: 256,
}

/** Who was let in but does not join its namespace within this time is sent away. */
const joinMs = 10_000

export type Doors = { nodes: NodeNamespace; browsers: BrowserNamespace; close(): Promise<void> }

/** Takes the upgrades of `http`, on `/socket.io/`. */
export function openDoors(http: HttpServer, access: Access): Doors {
  const nodes = door(nodeNamespace, nodeLimits)
  const browsers = door(browserNamespace, browserLimits)
  const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // One that has gone meanwhile is no fault of ours.
    socket.on('error', () => undefined)
    try {
      const { engine, limits } = checkDoor(request, access) === 'node' ? nodes : browsers
      requireHandshake(request)
      if (engine.clientsCount >= limits.connections)
        throw new RankscopeError('SERVER_BUSY', `there are ${limits.connections} connections already`, {
          hint: 'close some pages, then reload',
        })
      engine.handleUpgrade(request as Parameters<Engine['handleUpgrade']>[0], socket, head)
    } catch (error) {
      if (!(error instanceof RankscopeError)) throw error
      endWith(socket, statusOf(error.code), error.toPayload())
    }
  }
  http.on('upgrade', upgrade)
  return {
    nodes: nodes.io.of(nodeNamespace),
    browsers: browsers.io.of(browserNamespace),
    async close() {
      http.off('upgrade', upgrade)
      await Promise.all([nodes.io.close(), browsers.io.close()])
    },
  }
}

function door(namespace: string, limits: Limits) {
  const engine = new Engine({
    transports: ['websocket'],
    allowUpgrades: false,
    perMessageDeflate: false,
    httpCompression: false,
    maxHttpBufferSize: limits.frameBytes,
  })
  const io = new Server({
    parser: wireParser(namespace, limits.message),
    serveClient: false,
    connectTimeout: joinMs,
  })
  io.bind(engine)
  return { engine, io, limits }
}

/** What the library would refuse by a bare answer of its own. */
function requireHandshake({ method, headers }: IncomingMessage): void {
  const isOurs =
    method === 'GET' &&
    headers.upgrade?.toLowerCase() === 'websocket' &&
    headers['sec-websocket-version'] === '13' &&
    /^[+/0-9A-Za-z]{22}==$/.test(headers['sec-websocket-key'] ?? '') &&
    headers['sec-websocket-protocol'] === undefined
  if (!isOurs) throw new RankscopeError('MESSAGE_INVALID', 'that is no WebSocket of version 13')
}

/** Throws UNAUTHORIZED, or NOT_FOUND for what is no socket of ours. */
function checkDoor(request: IncomingMessage, access: Access): 'node' | 'browser' {
  const { path, query, token } = addressOf(request.url ?? '/', access.basePath)
  const asked = new URLSearchParams(query)
  const isOurs = asked.get('transport') === 'websocket' && asked.get('EIO') === '4' && !asked.has('sid')
  if (path !== '/socket.io/' || !isOurs) throw new RankscopeError('NOT_FOUND', 'there is no such socket')
  if (access.allowsNode(request.headers.authorization)) return 'node'
  // A node that was given the browsers’ token is to hear so, not to find nobody behind the wrong door.
  if (asked.get('side') === 'node')
    throw new RankscopeError('UNAUTHORIZED', 'the node’s token is missing or wrong')
  const verdict = access.judge(visitorOf(request, token), request.socket.localPort ?? 0, true)
  if (verdict === 'in' || verdict === 'shown') return 'browser'
  throw refusalOf(verdict)
}
