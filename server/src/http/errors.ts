/** Coded errors as HTTP answers: the body is an ErrorPayload, the status follows from the code. */
import { type ErrorCode, errorPayload, RankscopeError } from '@rankscope/protocol'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'

const statuses: Partial<Record<ErrorCode, number>> = {
  CONFIG_INVALID: 422,
  MESSAGE_INVALID: 400,
  UNAUTHORIZED: 401,
  NOT_FOUND: 404,
  ILLEGAL_TRANSITION: 409,
  STORE_FAILED: 503,
  STORE_FULL: 507,
  STORE_BROKEN: 503,
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
