/**
 * The socket.io parser of every side: `new Server({ parser: wireParser })`, `io(url, { parser: wireParser })`.
 * Packets are MessagePack, one binary frame each. Same bytes on the wire as socket.io-msgpack-parser but for
 * numbers that one corrupts; socket.io’s default parser would turn NaN into null.
 */
import { decodeMessage, encodeMessage } from './msgpack.ts'

type Listener = (packet: unknown) => void

const packetTypes = { connect: 0, disconnect: 1, event: 2, ack: 3, connectError: 4 } as const

class Encoder {
  encode(packet: unknown): Uint8Array[] {
    return [encodeMessage(packet)]
  }
}

class Decoder {
  readonly #listeners = new Map<string, Set<Listener>>()

  /** Throws on anything that is no packet; socket.io closes the connection then. */
  add(data: ArrayBuffer | Uint8Array): void {
    const packet = decodeMessage(data instanceof Uint8Array ? data : new Uint8Array(data))
    checkPacket(packet)
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

function checkPacket(packet: unknown): void {
  if (typeof packet !== 'object' || packet === null) throw new TypeError('a packet must be an object')
  const { type, nsp, id, data } = packet as Record<string, unknown>
  if (!Object.values(packetTypes).some((known) => known === type)) throw new TypeError('invalid packet type')
  if (typeof nsp !== 'string') throw new TypeError('invalid namespace')
  if (id !== undefined && !Number.isInteger(id)) throw new TypeError('invalid packet id')
  const carriesArguments = type === packetTypes.event || type === packetTypes.ack
  if (carriesArguments && !Array.isArray(data)) throw new TypeError('invalid payload')
}

export const wireParser = { Encoder, Decoder, protocol: 5 }
