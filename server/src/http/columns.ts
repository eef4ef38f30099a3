/** Answers that are columns of bytes: MessagePack, as `column-api.ts` describes them. */
import { columnAnswerType, encodeMessage } from '@rankscope/protocol'
import type { FastifyReply } from 'fastify'
import { z } from 'zod'

/** OpenAPI has no words for columns; docs/protocol.md has. */
export const columns = z.any().describe('MessagePack; see docs/protocol.md, Columns')

export function sendColumns(reply: FastifyReply, answer: object): FastifyReply {
  const bytes = encodeMessage(answer)
  return reply.type(columnAnswerType).send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
}
