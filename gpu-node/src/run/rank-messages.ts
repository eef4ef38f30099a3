/** Messages on the socket between a run and its ranks: a length of four bytes, then the value as v8 serialises it. */
import type { Socket } from 'node:net'
import { deserialize, serialize } from 'node:v8'

export function writeMessage(socket: Socket, message: object): void {
  const body = serialize(message)
  const frame = Buffer.alloc(4 + body.length)
  frame.writeUInt32LE(body.length, 0)
  body.copy(frame, 4)
  socket.write(frame)
}

/** Joins parts of a stream into messages. Both sides are ours and of one version. */
export class MessageReader {
  readonly #receive: (message: unknown) => void
  #pending: Buffer = Buffer.alloc(0)

  constructor(receive: (message: unknown) => void) {
    this.#receive = receive
  }

  push(part: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, part])
    while (this.#pending.length >= 4) {
      const end = 4 + this.#pending.readUInt32LE(0)
      if (this.#pending.length < end) return
      const message: unknown = deserialize(this.#pending.subarray(4, end))
      this.#pending = this.#pending.subarray(end)
      this.#receive(message)
    }
  }
}
