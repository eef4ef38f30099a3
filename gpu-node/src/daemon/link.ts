/**
 * The connection to the server: introduces the node, beats, hands over the spool oldest first, receives assignments
 * and commands. It comes back by itself, and sends again whatever was not acknowledged; the server stores each record once.
 */
import { setTimeout as delay } from 'node:timers/promises'

import {
  type Ack,
  type Assignment,
  assignmentSchema,
  type ErrorPayload,
  errorPayload,
  errorPayloadSchema,
  estimateRequestSchema,
  type Heartbeat,
  type MemoryPlan,
  type NodeCommand,
  type NodeHello,
  type NodeToServerEvents,
  nodeCommandSchema,
  nodeNamespace,
  parseOrThrow,
  protocolVersion,
  RankscopeError,
  type RunConfig,
  recordAckSchema,
  type ServerToNodeEvents,
  type Welcome,
  welcomeSchema,
  wireParser,
} from '@rankscope/protocol'
import { io, type Socket } from 'socket.io-client'
import { z } from 'zod'
import type { Spool, SpooledRecord } from './spool.ts'

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
  /** What a run would need here. Throws a coded error where it could not run at all. */
  estimate(config: RunConfig): MemoryPlan
  /** The server took records. */
  delivered(): void
  /** The server refused the node before it ever welcomed it: wrong token, other protocol version. */
  refused(error: RankscopeError): void
  report(line: string): void
  /** First and longest wait before the next attempt to connect. */
  readonly reconnectMs: { readonly first: number; readonly longest: number }
}

export interface Link {
  /** Says that the spool has new records. */
  notify(): void
  close(): void
}

const ackTimeoutMs = 30_000
const batchLimits = { count: 500, bytes: 2 * 2 ** 20 }

export function openLink(options: LinkOptions): Link {
  const { report, spool } = options
  const socket: Socket<ServerToNodeEvents, NodeToServerEvents> = io(
    new URL(nodeNamespace, options.url).href,
    {
      parser: wireParser,
      transports: ['websocket'],
      auth: { token: options.token, protocolVersion },
      reconnectionDelay: options.reconnectMs.first,
      reconnectionDelayMax: options.reconnectMs.longest,
    },
  )
  const timed = socket.timeout(ackTimeoutMs)
  /** Grows with each connection, so that work begun on an earlier one stops. */
  let connection = 0
  let everWelcomed = false
  let closed = false
  let lastTrouble = ''
  /** What was reported already: the records of a replaced attempt are rejected one by one. */
  const rejections = new Set<string>()
  let wake = () => {}

  socket.on('connect', () => {
    connection += 1
    void serve(connection)
  })
  socket.on('disconnect', (reason) => {
    connection += 1
    wake()
    if (!closed) report(`lost the server (${reason}); training goes on, records wait on disk`)
    if (!socket.active) reconnectLater()
  })
  socket.on('connect_error', (error) => {
    const payload = errorPayloadSchema.safeParse((error as { data?: unknown }).data)
    if (payload.success) refuse(payload.data)
    else trouble(`cannot reach ${options.url} (${error.message}); trying again`)
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
  socket.on('present', (ack) => answer(ack, () => null))
  socket.on('estimate', (message, ack) =>
    answer(ack, () =>
      options.estimate(parseOrThrow(estimateRequestSchema, message, 'MESSAGE_INVALID', 'estimate').config),
    ),
  )

  /** One connection’s life: introduce, beat, send records until it is gone. */
  async function serve(current: number): Promise<void> {
    let beat: NodeJS.Timeout | undefined
    try {
      const hello = await options.hello()
      const welcome = take(await timed.emitWithAck('hello', hello), welcomeSchema, 'welcome')
      if (connection !== current) return
      everWelcomed = true
      lastTrouble = ''
      report(`connected to ${options.url} as ${hello.name}`)
      options.welcomed(welcome)
      beat = setInterval(() => void sendHeartbeat(), welcome.heartbeatEveryMs)
      await sendHeartbeat()
      await sendRecords(current)
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

  /** One batch at a time, in order; a batch holds all that gathered while the one before was on its way. */
  async function sendRecords(current: number): Promise<void> {
    let position = 0
    let count = batchLimits.count
    while (connection === current) {
      const batch = spool.read(position, { ...batchLimits, count })
      if (batch.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
        continue
      }
      const outcome = await sendBatch(batch)
      if (connection !== current) return
      if (outcome === 'retry') await delay(options.reconnectMs.longest)
      else if (outcome === 'split') count = Math.ceil(batch.length / 2)
      else {
        spool.forget(batch.map((entry) => entry.position))
        position = batch.at(-1)!.position
        count = batchLimits.count
        options.delivered()
      }
    }
  }

  async function sendBatch(batch: readonly SpooledRecord[]): Promise<'taken' | 'split' | 'retry'> {
    const records = batch.map(({ record }) => record)
    const reply = await timed.emitWithAck('records', { nodeId: options.nodeId, records })
    if (reply.ok) {
      for (const { runId, attempt, seq, code, message } of take(reply, recordAckSchema, 'records').rejected) {
        const subject = `${runId}, attempt ${attempt}: ${code}`
        if (!rejections.has(subject))
          report(`the server takes no more of ${subject}: record ${seq}: ${message}`)
        rejections.add(subject)
      }
      return 'taken'
    }
    if (reply.error.code !== 'MESSAGE_INVALID') {
      trouble(`the server could not store records: ${reply.error.message}; trying again`)
      return 'retry'
    }
    // One bad record must not hold up all others for ever: find it by halving, and leave out only that.
    if (batch.length > 1) return 'split'
    report(`left out a record that the server cannot read: ${reply.error.message}`)
    return 'taken'
  }

  function refuse(error: ErrorPayload): void {
    if (!everWelcomed) options.refused(RankscopeError.fromPayload(error))
    else trouble(`the server refuses this node: ${error.message}`)
  }

  function trouble(line: string): void {
    if (line !== lastTrouble) report(line)
    lastTrouble = line
  }

  /** socket.io does not come back by itself where the server ended the connection. */
  function reconnectLater(): void {
    setTimeout(() => {
      if (!closed && !socket.active) socket.connect()
    }, options.reconnectMs.longest).unref()
  }

  return {
    notify: () => wake(),
    close() {
      closed = true
      connection += 1
      wake()
      socket.disconnect()
    },
  }
}

/** The value of an acknowledgement; throws the coded error that it carries, or MESSAGE_INVALID. */
function take<S extends z.ZodType>(ack: Ack<unknown>, schema: S, subject: string): z.output<S> {
  if (!ack.ok) throw RankscopeError.fromPayload(ack.error)
  return parseOrThrow(schema, ack.value, 'MESSAGE_INVALID', `the server’s answer to ${subject}`)
}

function answer<T>(ack: (answer: Ack<T>) => void, work: () => T): void {
  try {
    ack({ ok: true, value: work() })
  } catch (error) {
    ack({ ok: false, error: errorPayload(error) })
  }
}
