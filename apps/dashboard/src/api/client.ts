/** Requests to the server’s REST API: answers are parsed by their schema, failures become coded errors. */
import { errorPayloadSchema, RankscopeError } from '@rankscope/protocol'
import type { z } from 'zod'
import { serverClock } from '../common/server-clock.ts'
import { readToken } from './token.ts'

type Options = { method?: 'GET' | 'POST' | 'PATCH' | 'DELETE'; body?: unknown; signal?: AbortSignal }

/** The parsed answer. Throws a RankscopeError: the server’s own, or one that says that it cannot be reached. */
export async function request<S extends z.ZodType>(
  path: string,
  schema: S,
  options: Options = {},
): Promise<z.output<S>> {
  const answer = await send(path, options)
  const parsed = schema.safeParse(answer)
  if (!parsed.success) {
    throw new RankscopeError('MESSAGE_INVALID', `the server’s answer to ${path} does not fit its schema`, {
      hint: 'reload the page; if that does not help, server and dashboard are of different versions',
      cause: parsed.error,
    })
  }
  return parsed.data
}

/** For commands whose answer nobody reads. */
export async function send(path: string, options: Options = {}): Promise<unknown> {
  const token = readToken()
  const sentMs = Date.now()
  let response: Response
  try {
    response = await fetch(`/api${path}`, {
      method: options.method ?? 'GET',
      headers: {
        ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(token ? { authorization: `Bearer ${token}` } : {}),
      },
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      ...(options.signal ? { signal: options.signal } : {}),
    })
  } catch (error) {
    if (options.signal?.aborted) throw error
    throw new RankscopeError('INTERNAL', 'the server cannot be reached', {
      hint: 'check that it is running; runs on the nodes go on meanwhile',
      cause: error,
    })
  }
  serverClock.note(sentMs, Date.now(), response.headers.get('date'))
  const text = await response.text()
  const body = parseJson(text)
  if (response.ok) return body
  const payload = errorPayloadSchema.safeParse(
    body !== null && typeof body === 'object' && 'error' in body ? body.error : body,
  )
  if (payload.success) throw RankscopeError.fromPayload(payload.data)
  throw new RankscopeError('INTERNAL', `the server answered ${response.status} to ${path}`, {
    hint: 'look at the server’s log',
  })
}

function parseJson(text: string): unknown {
  try {
    return text === '' ? null : JSON.parse(text)
  } catch {
    return null
  }
}
