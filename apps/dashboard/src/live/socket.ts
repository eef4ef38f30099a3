/** The real socket of the `/browser` namespace, msgpack on the wire so that NaN stays NaN. */
import {
  type BrowserToServerEvents,
  browserNamespace,
  protocolVersion,
  type ServerToBrowserEvents,
  wireParser,
} from '@rankscope/protocol'
import { io, type Socket } from 'socket.io-client'
import { readToken } from '../api/token.ts'

export function openSocket(): Socket<ServerToBrowserEvents, BrowserToServerEvents> {
  return io(browserNamespace, {
    parser: wireParser,
    transports: ['websocket'],
    auth: (send) => send({ token: readToken() ?? '', protocolVersion }),
    reconnectionDelay: 300,
    reconnectionDelayMax: 3000,
  })
}
