/** Coded errors as HTTP answers: the body is an ErrorPayload, the status follows from the code. */
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Writable } from 'node:stream'
import { type ErrorCode, type ErrorPayload, errorPayload, RankscopeError } from '@rankscope/protocol'
import type { ConnectionError, FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { notKept, securityHeaders } from './headers.ts'

const statuses: Partial<Record<ErrorCode, number>> = {
  CONFIG_INVALID: 422,
  MESSAGE_INVALID: 400,
  UNAUTHORIZED: 401,
  NOT_FOUND: 404,
  ILLEGAL_TRANSITION: 409,
  STORE_FAILED: 503,
  STORE_FULL: 507,
  STORE_BROKEN: 503,
  SERVER_BUSY: 503,
  SETUP_MISSING: 503,
  INTERNAL: 500,
}

export function statusOf(code: ErrorCode): number {
  return statuses[code] ?? 400
}

export function sendError(
  error: FastifyError | RankscopeError,
  request: FastifyRequest,
  reply: FastifyReply,
) {
  if (error instanceof RankscopeError) return reply.code(statusOf(error.code)).send(error.toPayload())
  // What Fastify itself refuses: a body that is no JSON, or too large, or of another type.
  const status = error.statusCode ?? 500
  if (status < 500)
    return reply.code(status).send({ code: 'MESSAGE_INVALID', message: error.message, hint: null })
  request.log.error(error)
  return reply.code(500).send(errorPayload(error))
}

/** What Node itself refuses, before there is a request: a header that is none, or too large, or that never ends. */
export function answerBrokenRequest(error: ConnectionError, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const status =
    error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400
  const payload: ErrorPayload = {
    code: 'MESSAGE_INVALID',
    message: status === 400 ? 'that is no HTTP request' : STATUS_CODES[status]!,
    hint: null,
  }
  endWith(socket, status, payload)
}

/** An answer on a bare socket, and the end of it. */
export function endWith(socket: Writable, status: number, payload: ErrorPayload): void {
  const body = JSON.stringify(payload)
  const headers = {
    ...securityHeaders,
    ...notKept,
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    connection: 'close',
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`)
}
