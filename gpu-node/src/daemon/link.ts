/**
 * The connection to the server: introduces the node, beats, hands over the spool (delivery.ts), receives assignments
 * and commands. It comes back by itself, and sends again whatever was not acknowledged; the server stores each record once.
 */
import {
  type Ack,
  type Assignment,
  assignmentSchema,
  cancelExportSchema,
  type DataPreview,
  deleteRunSchema,
  type ErrorPayload,
  type ExportJob,
  errorPayload,
  errorPayloadSchema,
  estimateRequestSchema,
  type GangMessage,
  gangMessageSchema,
  type Heartbeat,
  type MemoryPlan,
  type NodeCommand,
  type NodeHello,
  type NodeToServerEvents,
  nodeCommandSchema,
  nodeNamespace,
  type PreviewRequest,
  parseOrThrow,
  previewRequestSchema,
  protocolVersion,
  RankscopeError,
  type RunConfig,
  type ServerToNodeEvents,
  type StartExport,
  socketPlace,
  startExportSchema,
  type Welcome,
  welcomeSchema,
  wireParser,
} from '@rankscope/protocol'
import { io, type Socket } from 'socket.io-client'
import { z } from 'zod'
import { Delivery, type DeliveryOptions } from './delivery.ts'
import type { Spool } from './spool.ts'

export interface LinkOptions {
  readonly url: string
  readonly token: string
  readonly nodeId: string
  readonly spool: Spool
  hello(): Promise<NodeHello>
  heartbeat(): Heartbeat
  welcomed(welcome: Welcome): void
  assign(assignment: Assignment): void
  command(command: NodeCommand): void
  /** From another node that shares a run. Throws NOT_FOUND where no process here serves that attempt. */
  gang(message: GangMessage): void
  /** What a run would need here. Throws a coded error where it could not run at all. */
  estimate(config: RunConfig): MemoryPlan
  preview(request: PreviewRequest): Promise<DataPreview>
  /** A run was deleted: removes its folders. Resolves to what that frees. */
  deleteRun(runId: string): Promise<number>
  startExport(request: StartExport): ExportJob
  cancelExport(jobId: string): void
  /** Exports after the fact that this daemon knows of. */
  exports(): ExportJob[]
  readonly delivered: DeliveryOptions['delivered']
  readonly setAside: DeliveryOptions['setAside']
  readonly delayed: DeliveryOptions['delayed']
  /** The server refused the node before it ever welcomed it: wrong token, other protocol version. */
  refused(error: RankscopeError): void
  report(line: string): void
  /** First and longest wait before the next attempt to connect. */
  readonly reconnectMs: { readonly first: number; readonly longest: number }
}

export interface Link {
  /** Says that the spool has new records. */
  notify(): void
  /** An export has changed. Where nobody hears it, the list that follows the next hello says so. */
  tellExport(job: ExportJob): void
  /** Once, if the server and the other node can be reached now. */
  tellGang(message: GangMessage): void
  close(): void
}

const ackTimeoutMs = 30_000
/** Refusals that do not pass by themselves: a person has to do something. */
const isFinal = new Set<ErrorPayload['code']>([
  'UNAUTHORIZED',
  'PROTOCOL_VERSION',
  'NODE_DUPLICATE',
  'MESSAGE_INVALID',
])

export function openLink(options: LinkOptions): Link {
  const { report, spool } = options
  const { url, path } = socketPlace(options.url, nodeNamespace)
  // The address may have been copied with a token behind it.
  const { origin, pathname } = new URL(options.url)
  const place = pathname === '/' ? origin : origin + pathname
  const socket: Socket<ServerToNodeEvents, NodeToServerEvents> = io(url, {
    path,
    parser: wireParser(nodeNamespace),
    transports: ['websocket'],
    query: { side: 'node' },
    extraHeaders: { authorization: `Bearer ${options.token}` },
    auth: { protocolVersion },
    reconnectionDelay: options.reconnectMs.first,
    reconnectionDelayMax: options.reconnectMs.longest,
  })
  const timed = socket.timeout(ackTimeoutMs)
  /** Grows with each connection, so that work begun on an earlier one stops. */
  let connection = 0
  let everWelcomed = false
  let closed = false
  let isWelcome = false
  let lastTrouble = ''
  let reconnectTimer: NodeJS.Timeout | undefined
  const delivery = new Delivery({
    spool,
    send: (records) => timed.emitWithAck('records', { nodeId: options.nodeId, records }),
    delivered: options.delivered,
    setAside: options.setAside,
    delayed: options.delayed,
    trouble,
    report,
    retryMs: options.reconnectMs.longest,
  })

  socket.on('connect', () => {
    connection += 1
    void serve(connection)
  })
  socket.on('disconnect', (reason) => {
    connection += 1
    isWelcome = false
    delivery.notify()
    if (!closed) report(`lost the server (${reason}); training goes on, records wait on disk`)
    if (!socket.active) reconnectLater()
  })
  socket.on('connect_error', (error) => {
    const refusal = refusalOf(error)
    if (refusal) refuse(refusal)
    else trouble(`cannot reach ${place} (${error.message}); trying again`)
    if (!socket.active) reconnectLater()
  })
  socket.on('assign', (message, ack) =>
    answer(ack, () => {
      options.assign(parseOrThrow(assignmentSchema, message, 'MESSAGE_INVALID', 'assign'))
      return null
    }),
  )
  socket.on('command', (message, ack) =>
    answer(ack, () => {
      options.command(parseOrThrow(nodeCommandSchema, message, 'MESSAGE_INVALID', 'command'))
      return null
    }),
  )
  socket.on('gang', (message, ack) =>
    answer(ack, () => {
      options.gang(parseOrThrow(gangMessageSchema, message, 'MESSAGE_INVALID', 'gang'))
      return null
    }),
  )
  socket.on('present', (ack) => answer(ack, () => null))
  socket.on('deleteRun', (message, ack) =>
    answer(ack, async () => {
      const { runId } = parseOrThrow(deleteRunSchema, message, 'MESSAGE_INVALID', 'deleteRun')
      return { freedBytes: await options.deleteRun(runId) }
    }),
  )
  socket.on('estimate', (message, ack) =>
    answer(ack, () =>
      options.estimate(parseOrThrow(estimateRequestSchema, message, 'MESSAGE_INVALID', 'estimate').config),
    ),
  )

  socket.on('preview', (message, ack) =>
    answer(ack, () =>
      options.preview(parseOrThrow(previewRequestSchema, message, 'MESSAGE_INVALID', 'preview')),
    ),
  )
  socket.on('startExport', (message, ack) =>
    answer(ack, () =>
      options.startExport(parseOrThrow(startExportSchema, message, 'MESSAGE_INVALID', 'startExport')),
    ),
  )
  socket.on('cancelExport', (message, ack) =>
    answer(ack, () => {
      options.cancelExport(parseOrThrow(cancelExportSchema, message, 'MESSAGE_INVALID', 'cancelExport').jobId)
      return null
    }),
  )

  function tellExports(jobs: ExportJob[], isAll: boolean): void {
    socket.emit('exports', { nodeId: options.nodeId, jobs, isAll }, () => undefined)
  }

  /** One connection’s life: introduce, beat, send records until it is gone. */
  async function serve(current: number): Promise<void> {
    let beat: NodeJS.Timeout | undefined
    try {
      const hello = await options.hello()
      const welcome = take(await timed.emitWithAck('hello', hello), welcomeSchema, 'welcome')
      if (connection !== current) return
      everWelcomed = true
      lastTrouble = ''
      report(`connected to ${place} as ${hello.name}`)
      isWelcome = true
      options.welcomed(welcome)
      tellExports(options.exports(), true)
      beat = setInterval(() => void sendHeartbeat(), welcome.heartbeatEveryMs)
      await sendHeartbeat()
      await delivery.run(() => connection === current)
    } catch (error) {
      if (connection !== current || closed) return
      if (error instanceof RankscopeError) refuse(error.toPayload())
      else trouble(`the server does not answer: ${String(error)}`)
      socket.disconnect()
      reconnectLater()
    } finally {
      clearInterval(beat)
    }
  }

  async function sendHeartbeat(): Promise<void> {
    try {
      take(await timed.emitWithAck('heartbeat', options.heartbeat()), z.null(), 'heartbeat')
    } catch (error) {
      if (!closed && socket.connected) trouble(`a heartbeat failed: ${errorPayload(error).message}`)
    }
  }

  /** The daemon ends where the server will never have it; what passes (a full disk there) is waited for. */
  function refuse(error: ErrorPayload): void {
    if (!everWelcomed && isFinal.has(error.code)) options.refused(RankscopeError.fromPayload(error))
    else trouble(`the server refuses this node: ${error.message}`)
  }

  function trouble(line: string): void {
    if (line !== lastTrouble) report(line)
    lastTrouble = line
  }

  /**
   * socket.io does not come back by itself where the server ended the connection. The timer keeps the process alive: a
   * node without runs has nothing else that would.
   */
  function reconnectLater(): void {
    clearTimeout(reconnectTimer)
    reconnectTimer = setTimeout(() => {
      if (!closed && !socket.active) socket.connect()
    }, options.reconnectMs.longest)
  }

  return {
    notify: () => delivery.notify(),
    tellExport(job) {
      if (isWelcome) tellExports([job], false)
    },
    tellGang: (message) => {
      if (socket.connected) void timed.emitWithAck('gang', message).catch(() => undefined)
    },
    close() {
      closed = true
      connection += 1
      clearTimeout(reconnectTimer)
      delivery.notify()
      socket.disconnect()
    },
  }
}

/** What a server that answers has against this node: null where it does not answer, or says nothing of it. */
function refusalOf(error: Error): ErrorPayload | null {
  const { data, description } = error as { data?: unknown; description?: { message?: unknown } }
  const payload = errorPayloadSchema.safeParse(data)
  if (payload.success) return payload.data
  // Refused before there was a socket: the library passes on the status alone.
  if (!/Unexpected server response: 40[13]/.test(String(description?.message))) return null
  return new RankscopeError('UNAUTHORIZED', 'the node’s token is missing or wrong', {
    hint: 'take --token from the output of `npm start` on the server’s machine',
  }).toPayload()
}

/** The value of an acknowledgement; throws the coded error that it carries, or MESSAGE_INVALID. */
function take<S extends z.ZodType>(ack: Ack<unknown>, schema: S, subject: string): z.output<S> {
  if (!ack.ok) throw RankscopeError.fromPayload(ack.error)
  return parseOrThrow(schema, ack.value, 'MESSAGE_INVALID', `the server’s answer to ${subject}`)
}

async function answer<T>(ack: (answer: Ack<T>) => void, work: () => T | Promise<T>): Promise<void> {
  try {
    ack({ ok: true, value: await work() })
  } catch (error) {
    ack({ ok: false, error: errorPayload(error) })
  }
}
