/** The namespace `/node`: nodes say hello, beat, deliver records; the server gives them runs and orders. */
import {
  type Ack,
  type Assignment,
  ackSchema,
  type DataPreview,
  deletedRunSchema,
  type ErrorPayload,
  type ExportJob,
  type ExportsTold,
  errorPayload,
  exportJobSchema,
  exportsToldSchema,
  type GangMessage,
  gangMessageSchema,
  heartbeatSchema,
  isActive,
  type MemoryPlan,
  memoryPlanSchema,
  type NodeCommand,
  type NodeHello,
  type NodeToServerEvents,
  nodeHelloSchema,
  type PreviewRequest,
  parseOrThrow,
  previewSchema,
  protocolVersion,
  RankscopeError,
  type RunConfig,
  type ServerToNodeEvents,
  type StartExport,
} from '@rankscope/protocol'
import type { Namespace, Socket } from 'socket.io'
import { z } from 'zod'
import { ingest } from '../ingest.ts'
import type { NodeBook } from '../nodes/node-book.ts'
import type { RunBook } from '../runs/run-book.ts'
import { nodesOf } from '../scheduler/gang.ts'
import type { NodeLinks, Scheduler } from '../scheduler/shell.ts'

type SocketData = { nodeId?: string; instanceId?: string }
type NoEvents = Record<string, never>
export type NodeNamespace = Namespace<NodeToServerEvents, ServerToNodeEvents, NoEvents, SocketData>
type NodeSocket = Socket<NodeToServerEvents, ServerToNodeEvents, NoEvents, SocketData>

/** A node that does not answer an assignment is left to its heartbeats. */
const answerMs = 15_000
/** A daemon that does not say within this time that it is there is taken for gone. */
const presentMs = 3000
/** Whoever sends it tries again. */
const gangMs = 5000
/** Somebody is looking at the launch form. */
const estimateMs = 5000
/** A tokenizer of a hundred thousand tokens is read first. */
const previewMs = 20_000

export class NodeHub implements NodeLinks {
  readonly #sockets = new Map<string, NodeSocket>()
  /** A node has been welcomed (again). */
  onWelcomed: (nodeId: string) => void = () => undefined
  /** A node told of its exports. */
  onExports: (told: ExportsTold) => void = () => undefined
  readonly #runs: RunBook
  readonly #nodes: NodeBook

  constructor(options: { runs: RunBook; nodes: NodeBook }) {
    this.#runs = options.runs
    this.#nodes = options.nodes
  }

  listen(namespace: NodeNamespace, scheduler: Scheduler): void {
    namespace.use((socket, next) => {
      const { protocolVersion: version } = socket.handshake.auth as Record<string, unknown>
      if (version !== protocolVersion)
        next(
          refusal(
            new RankscopeError(
              'PROTOCOL_VERSION',
              `the node speaks version ${String(version)}, the server ${protocolVersion}`,
              { hint: 'install the same release on both' },
            ),
          ),
        )
      else next()
    })
    namespace.on('connection', (socket) => this.#welcome(socket, scheduler))
  }

  #welcome(socket: NodeSocket, scheduler: Scheduler): void {
    // A frame that was no packet: socket.io closes the connection then.
    socket.on('error', () => undefined)
    socket.on('hello', (message, acknowledge) =>
      answer(acknowledge, async () => {
        const hello: NodeHello = parseOrThrow(nodeHelloSchema, message, 'MESSAGE_INVALID', 'hello')
        await this.#requireAlone(hello, socket)
        const other = this.#sockets.get(hello.nodeId)
        this.#sockets.set(hello.nodeId, socket)
        socket.data.nodeId = hello.nodeId
        socket.data.instanceId = hello.instanceId
        // The daemon connected anew before its old link was found dead.
        if (other && other !== socket) other.disconnect(true)
        const welcome = await scheduler.hello(hello)
        // After the answer: a node takes orders once it is welcome.
        setImmediate(() => this.onWelcomed(hello.nodeId))
        return welcome
      }),
    )
    socket.on('heartbeat', (message, acknowledge) =>
      answer(acknowledge, async () => {
        const heartbeat = parseOrThrow(heartbeatSchema, message, 'MESSAGE_INVALID', 'heartbeat')
        const nodeId = known(socket, heartbeat.nodeId)
        const expected = this.#runs
          .list()
          .filter((run) => nodesOf(run).includes(nodeId) && (isActive(run.state) || run.state === 'lost'))
        this.#nodes.heartbeat(heartbeat, expected)
        return null
      }),
    )
    socket.on('records', (message, acknowledge) =>
      answer(acknowledge, async () => {
        const nodeId = known(socket, (message as { nodeId?: unknown } | null)?.nodeId)
        return ingest(this.#runs, nodeId, message)
      }),
    )
    socket.on('exports', (message, acknowledge) =>
      answer(acknowledge, async () => {
        const told = parseOrThrow(exportsToldSchema, message, 'MESSAGE_INVALID', 'exports')
        known(socket, told.nodeId)
        this.onExports(told)
        return null
      }),
    )
    socket.on('gang', (message, acknowledge) =>
      answer(acknowledge, async () => {
        const told = parseOrThrow(gangMessageSchema, message, 'MESSAGE_INVALID', 'gang')
        known(socket, told.from)
        return this.#passOn(told)
      }),
    )
    socket.on('disconnect', () => {
      const { nodeId } = socket.data
      if (nodeId === undefined || this.#sockets.get(nodeId) !== socket) return
      this.#sockets.delete(nodeId)
      this.#nodes.offline(nodeId)
    })
  }

  /**
   * Two daemons with one node id (a copied state folder) would take each other’s runs for their own: the second is
   * refused while the first one answers.
   */
  async #requireAlone(hello: NodeHello, socket: NodeSocket): Promise<void> {
    const other = this.#sockets.get(hello.nodeId)
    if (!other || other === socket || other.data.instanceId === hello.instanceId) return
    const answered = await other
      .timeout(presentMs)
      .emitWithAck('present')
      .then(
        () => true,
        () => false,
      )
    if (!answered || !other.connected) return
    throw new RankscopeError(
      'NODE_DUPLICATE',
      `another daemon is connected as node ${hello.nodeId} (${this.#nodes.find(hello.nodeId)?.hello.name})`,
      { hint: 'end it, or remove the file node-id from the copied state folder of this one' },
    )
  }

  /** Only among the nodes of one attempt, while it is theirs. */
  async #passOn(message: GangMessage): Promise<null> {
    const { runId, attempt, from, to } = message
    const run = this.#runs.find(runId)
    const among =
      run?.attempt === attempt && (isActive(run.state) || run.state === 'lost') ? nodesOf(run) : []
    if (!among.includes(from) || !among.includes(to))
      throw new RankscopeError(
        'STALE_ATTEMPT',
        `node ${from} does not share attempt ${attempt} of run ${runId}`,
      )
    const ack: unknown =
      (await this.#sockets
        .get(to)
        ?.timeout(gangMs)
        .emitWithAck('gang', message)
        .catch(() => silence)) ?? silence
    const answered = parseOrThrow(ackSchema, ack, 'MESSAGE_INVALID', 'the node’s answer to gang')
    if (!answered.ok) throw RankscopeError.fromPayload(answered.error)
    return null
  }

  /** What the folders of a deleted run took on a node; null where it does not answer, or could not remove them. */
  async deleteRun(nodeId: string, runId: string): Promise<number | null> {
    const socket = this.#sockets.get(nodeId)
    if (!socket) return null
    try {
      const ack = await socket.timeout(answerMs).emitWithAck('deleteRun', { runId })
      return ack.ok
        ? parseOrThrow(deletedRunSchema, ack.value, 'MESSAGE_INVALID', 'deleteRun').freedBytes
        : null
    } catch {
      return null
    }
  }

  async assign(nodeId: string, assignment: Assignment): Promise<ErrorPayload | null> {
    const socket = this.#sockets.get(nodeId)
    if (!socket) return null
    const ack = await socket
      .timeout(answerMs)
      .emitWithAck('assign', assignment)
      .catch(() => ({ ok: true, value: null }))
    const answer = parseOrThrow(ackSchema, ack, 'MESSAGE_INVALID', 'the node’s answer to assign')
    return answer.ok ? null : answer.error
  }

  command(nodeId: string, command: NodeCommand): void {
    // Not answered in time, or refused: the state of the run says so, and the next hello repeats the order.
    this.#sockets.get(nodeId)?.emit('command', command, () => undefined)
  }

  /** What a run would need on a node. Throws the node's own error, or NODE_LOST where it does not answer. */
  estimate(nodeId: string, config: RunConfig): Promise<MemoryPlan> {
    return this.#ask(nodeId, 'estimate', estimateMs, memoryPlanSchema, (socket) =>
      socket.emitWithAck('estimate', { config }),
    )
  }

  /** The first examples of a run's data, from a node. */
  preview(nodeId: string, request: PreviewRequest): Promise<DataPreview> {
    return this.#ask(nodeId, 'preview', previewMs, previewSchema, (socket) =>
      socket.emitWithAck('preview', request),
    )
  }

  /** Has a node export a checkpoint of its own. */
  startExport(nodeId: string, request: StartExport): Promise<ExportJob> {
    return this.#ask(nodeId, 'startExport', answerMs, exportJobSchema, (socket) =>
      socket.emitWithAck('startExport', request),
    )
  }

  async cancelExport(nodeId: string, jobId: string): Promise<void> {
    await this.#ask(nodeId, 'cancelExport', answerMs, z.null(), (socket) =>
      socket.emitWithAck('cancelExport', { jobId }),
    )
  }

  /** The value of a node's answer. Throws the node's own error, or NODE_LOST where it does not answer. */
  async #ask<S extends z.ZodType>(
    nodeId: string,
    event: string,
    waitMs: number,
    schema: S,
    send: (socket: ReturnType<NodeSocket['timeout']>) => Promise<unknown>,
  ): Promise<z.output<S>> {
    const socket = this.#sockets.get(nodeId)
    const ack = (socket && (await send(socket.timeout(waitMs)).catch(() => silence))) ?? silence
    const subject = `the node’s answer to ${event}`
    const answer = parseOrThrow(ackSchema, ack, 'MESSAGE_INVALID', subject)
    if (!answer.ok) throw RankscopeError.fromPayload(answer.error)
    return parseOrThrow(schema, answer.value, 'MESSAGE_INVALID', subject)
  }

  disconnect(nodeId: string): void {
    this.#sockets.get(nodeId)?.disconnect(true)
  }
}

const silence = {
  ok: false,
  error: new RankscopeError('NODE_LOST', 'the node does not answer').toPayload(),
} as const

/** Every message is answered, by a value or by a coded error. */
async function answer<T>(acknowledge: unknown, work: () => Promise<T>): Promise<void> {
  const reply: (ack: Ack<T>) => void =
    typeof acknowledge === 'function' ? (acknowledge as (ack: Ack<T>) => void) : () => undefined
  try {
    reply({ ok: true, value: await work() })
  } catch (error) {
    reply({ ok: false, error: errorPayload(error) })
  }
}

/** The node that said hello on this socket; it speaks for itself only. */
function known(socket: NodeSocket, nodeId: unknown): string {
  if (socket.data.nodeId === undefined || socket.data.nodeId !== nodeId)
    throw new RankscopeError('MESSAGE_INVALID', `node ${String(nodeId)} has not said hello on this link`)
  return socket.data.nodeId
}

/** A refused connection carries its coded error as `error.data`. */
function refusal(error: RankscopeError): Error & { data: ErrorPayload } {
  return Object.assign(new Error(error.message), { data: error.toPayload() })
}
