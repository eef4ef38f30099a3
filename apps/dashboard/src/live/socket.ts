/** The real socket of the `/browser` namespace, msgpack on the wire so that NaN stays NaN. */
import {
  type BrowserToServerEvents,
  browserNamespace,
  protocolVersion,
  type ServerToBrowserEvents,
  wireParser,
} from '@rankscope/protocol'
import { io, type Socket } from 'socket.io-client'
import { basePath } from '../api/base-path.ts'

export function openSocket(): Socket<ServerToBrowserEvents, BrowserToServerEvents> {
  return io(browserNamespace, {
    path: `${basePath}socket.io/`,
    parser: wireParser(browserNamespace),
    transports: ['websocket'],
    auth: { protocolVersion },
    reconnectionDelay: 300,
    reconnectionDelayMax: 3000,
  })
}
