/** The network between node and server, for faults: a TCP relay on loopback that can cut its connections or fall silent. */
import { type AddressInfo, createConnection, createServer, type Server, type Socket } from 'node:net'

export class LinkProxy {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #targetPort: () => number
  #isSilent = false

  private constructor(targetPort: () => number) {
    this.#targetPort = targetPort
    this.#server = createServer((socket) => this.#relay(socket))
  }

  static async listen(targetPort: () => number): Promise<LinkProxy> {
    const proxy = new LinkProxy(targetPort)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Every connection breaks at once. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Nothing passes in either direction until `speak`, and nobody is told. */
  fallSilent(): void {
    this.#isSilent = true
    for (const socket of this.#sockets) socket.pause()
  }

  speak(): void {
    this.#isSilent = false
    for (const socket of this.#sockets) socket.resume()
  }

  close(): void {
    this.cut()
    this.#server.close()
  }

  #relay(near: Socket): void {
    const far = createConnection(this.#targetPort(), '127.0.0.1')
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(socket)
      socket.on('data', (part) => other.write(part))
      socket.on('close', () => {
        this.#sockets.delete(socket)
        other.destroy()
      })
      socket.on('error', () => undefined)
      if (this.#isSilent) socket.pause()
    }
  }
}
