/** A server for the daemon’s tests: checks every message by its schema, keeps what it acknowledged, and can misbehave. */
import { createServer, type Server as HttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  type Ack,
  type Assignment,
  type DeletedRun,
  errorPayload,
  type Heartbeat,
  heartbeatSchema,
  type MemoryPlan,
  type NodeCommand,
  type NodeHello,
  type NodeToServerEvents,
  nodeHelloSchema,
  nodeNamespace,
  parseOrThrow,
  protocolVersion,
  RankscopeError,
  type RunConfig,
  type RunRecord,
  recordBatchSchema,
  type ServerToNodeEvents,
  type Welcome,
  wireParser,
} from '@rankscope/protocol'
import { Server, type Socket } from 'socket.io'

type NodeSocket = Socket<NodeToServerEvents, ServerToNodeEvents>

export class FakeServer {
  readonly hellos: NodeHello[] = []
  readonly heartbeats: Heartbeat[] = []
  /** Every record that was acknowledged, duplicates left out, in order of arrival. */
  readonly records: RunRecord[] = []
  duplicates = 0
  batches = 0
  abandon: Welcome['abandon'] = []
  /** Decides what becomes of a batch: stored and acknowledged, stored but the line is cut before the answer, refused. */
  onBatch: (records: readonly RunRecord[]) => 'ack' | 'store-then-cut' | RankscopeError = () => 'ack'
  token = 'right'
  port = 0
  #io: Server<NodeToServerEvents, ServerToNodeEvents> | null = null
  #http: HttpServer | null = null
  #node: NodeSocket | null = null
  #watchers = new Set<() => void>()

  /** Listens on a free port, later on the same one. */
  async listen(): Promise<void> {
    const http = createServer()
    const behindTheDoor = createServer()
    const io = new Server<NodeToServerEvents, ServerToNodeEvents>(behindTheDoor, {
      parser: wireParser(nodeNamespace),
      maxHttpBufferSize: 64 * 2 ** 20,
    })
    http.on('upgrade', (request, connection, head) => {
      if (request.headers.authorization === `Bearer ${this.token}`)
        behindTheDoor.emit('upgrade', request, connection, head)
      else connection.end('HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n')
    })
    const namespace = io.of(nodeNamespace)
    namespace.use((socket, next) => {
      if (socket.handshake.auth['protocolVersion'] === protocolVersion) next()
      else {
        const refusal = new RankscopeError('PROTOCOL_VERSION', 'the node speaks another version')
        next(Object.assign(refusal, { data: refusal.toPayload() }))
      }
    })
    namespace.on('connection', (socket) => this.#serve(socket))
    await new Promise<void>((resolve) => http.listen(this.port, '127.0.0.1', resolve))
    this.port = (http.address() as AddressInfo).port
    this.#io = io
    this.#http = http
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** The server goes away; `listen` brings it back. */
  async close(): Promise<void> {
    await this.#io?.close()
    this.#http?.close()
    this.#io = null
    this.#node = null
  }

  /** Cuts the line without a word, as a lost network does. */
  cut(): void {
    this.#node?.conn.close()
  }

  async assign(assignment: Assignment): Promise<Ack<null>> {
    return await this.#node!.emitWithAck('assign', assignment)
  }

  async command(command: NodeCommand): Promise<Ack<null>> {
    return await this.#node!.emitWithAck('command', command)
  }

  async deleteRun(runId: string): Promise<Ack<DeletedRun>> {
    return await this.#node!.emitWithAck('deleteRun', { runId })
  }

  /** Ends the connection as a server does that takes the node for silent. */
  disconnect(): void {
    this.#node?.disconnect(true)
  }

  async estimate(config: RunConfig): Promise<Ack<MemoryPlan>> {
    return await this.#node!.emitWithAck('estimate', { config })
  }

  /** Resolves when the condition holds; it is looked at again after every message. */
  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!condition()) return
        this.#watchers.delete(look)
        resolve()
      }
      this.#watchers.add(look)
      look()
    })
  }

  lifecycle(runId: string): string[] {
    return this.records.flatMap((record) =>
      record.runId === runId && record.body.kind === 'lifecycle' ? [record.body.state] : [],
    )
  }

  #serve(socket: NodeSocket): void {
    this.#node = socket
    socket.on('hello', (message, ack) => {
      this.hellos.push(parseOrThrow(nodeHelloSchema, message, 'MESSAGE_INVALID', 'hello'))
      ack({ ok: true, value: { heartbeatEveryMs: 100, abandon: this.abandon } })
      this.#look()
    })
    socket.on('heartbeat', (message, ack) => {
      this.heartbeats.push(parseOrThrow(heartbeatSchema, message, 'MESSAGE_INVALID', 'heartbeat'))
      ack({ ok: true, value: null })
      this.#look()
    })
    socket.on('records', (message, ack) => {
      const { records } = parseOrThrow(recordBatchSchema, message, 'MESSAGE_INVALID', 'records')
      this.batches += 1
      const decision = this.onBatch(records)
      if (decision instanceof RankscopeError) ack({ ok: false, error: errorPayload(decision) })
      else {
        for (const record of records) this.#store(record)
        if (decision === 'ack') ack({ ok: true, value: { rejected: [] } })
        else socket.conn.close()
      }
      this.#look()
    })
  }

  #store(record: RunRecord): void {
    const known = this.records.some(
      ({ runId, attempt, seq }) => runId === record.runId && attempt === record.attempt && seq === record.seq,
    )
    if (known) this.duplicates += 1
    else this.records.push(record)
  }

  #look(): void {
    for (const look of [...this.#watchers]) look()
  }
}
