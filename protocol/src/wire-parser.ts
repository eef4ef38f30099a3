/**
 * The socket.io parser of every side: `new Server({ parser: wireParser('/node') })`, `io(url, { parser: … })`. Packets
 * are MessagePack, one binary frame each; socket.io’s default parser would turn NaN into null. What is no packet of that
 * namespace, as this protocol has them, never reaches socket.io, which trusts its parser: one CONNECT with null for
 * its data, or an event named `error`, would end the server.
 */
import { decodeMessage, encodeMessage, generousBounds, type MessageBounds } from './msgpack.ts'

type Listener = (packet: unknown) => void

const packetTypes = { connect: 0, disconnect: 1, event: 2, ack: 3, connectError: 4 } as const
/** Names that socket.io or Node’s emitters give a meaning of their own. */
const reservedEvents = [
  'connect',
  'connect_error',
  'disconnect',
  'disconnecting',
  'newListener',
  'removeListener',
  'error',
]
const eventName = /^[a-z][A-Za-z]{0,39}$/
/** Arguments of an event or an acknowledgement; ours have one. */
const mostArguments = 4

class Encoder {
  encode(packet: unknown): Uint8Array[] {
    return [encodeMessage(packet)]
  }
}

/** The default namespace and all others are closed. `bounds`: what one packet may hold. */
export function wireParser(namespace: string, bounds: MessageBounds = generousBounds) {
  class Decoder {
    readonly #listeners = new Map<string, Set<Listener>>()

    /** Throws on anything that is no packet; socket.io closes the connection then. */
    add(data: unknown): void {
      const packet = decodeMessage(bytesOf(data), bounds)
      checkPacket(packet, namespace)
      for (const listener of [...(this.#listeners.get('decoded') ?? [])]) listener(packet)
    }

    on(event: string, listener: Listener): this {
      const known = this.#listeners.get(event) ?? new Set()
      this.#listeners.set(event, known.add(listener))
      return this
    }

    off(event: string, listener: Listener): this {
      this.#listeners.get(event)?.delete(listener)
      return this
    }

    removeListener(event: string, listener: Listener): this {
      return this.off(event, listener)
    }

    destroy(): void {}
  }
  return { Encoder, Decoder, protocol: 5 }
}

/** Where socket.io finds a namespace of the server at this address, which may lie below a path of a proxy. */
export function socketPlace(server: string, namespace: string): { url: string; path: string } {
  const { origin, pathname } = new URL(server)
  return { url: origin + namespace, path: `${pathname.replace(/\/*$/, '')}/socket.io/` }
}

function bytesOf(data: unknown): Uint8Array {
  if (data instanceof Uint8Array) return data
  if (data instanceof ArrayBuffer) return new Uint8Array(data)
  throw new TypeError('a packet must be a binary frame')
}

function checkPacket(packet: unknown, namespace: string): void {
  if (!isObject(packet)) throw new TypeError('a packet must be an object')
  const { type, nsp, id, data } = packet
  if (nsp !== namespace) throw new TypeError('another namespace')
  if (id !== undefined && !(Number.isSafeInteger(id) && (id as number) >= 0))
    throw new TypeError('invalid packet id')
  switch (type) {
    case packetTypes.event:
      checkArguments(data)
      if (!isEventName(data[0])) throw new TypeError('invalid event name')
      return
    case packetTypes.ack:
      if (id === undefined) throw new TypeError('an acknowledgement of nothing')
      checkArguments(data)
      return
    case packetTypes.connect:
    case packetTypes.connectError:
      if (data !== undefined && !isObject(data)) throw new TypeError('invalid payload')
      return
    case packetTypes.disconnect:
      return
    default:
      throw new TypeError('invalid packet type')
  }
}

function checkArguments(data: unknown): asserts data is unknown[] {
  if (!Array.isArray(data) || data.length > mostArguments) throw new TypeError('invalid payload')
}

function isEventName(name: unknown): boolean {
  return typeof name === 'string' && eventName.test(name) && !reservedEvents.includes(name)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value)
}
