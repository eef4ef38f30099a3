/** Requests to the server’s REST API: answers are parsed by their schema, failures become coded errors. */
import { decodeMessage, errorPayloadSchema, RankscopeError } from '@rankscope/protocol'
import type { z } from 'zod'
import { serverClock } from '../common/server-clock.ts'
import { basePath } from './base-path.ts'
import { session } from './session.ts'

type Options = {
  method?: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** A file goes as it is, everything else as JSON. */
  body?: unknown
  signal?: AbortSignal
}

/** The parsed answer. Throws a RankscopeError: the server’s own, or one that says that it cannot be reached. */
export async function request<S extends z.ZodType>(
  path: string,
  schema: S,
  options: Options = {},
): Promise<z.output<S>> {
  const answer = await send(path, options)
  const parsed = schema.safeParse(answer)
  if (!parsed.success) throw unfit(path, parsed.error)
  return parsed.data
}

function unfit(path: string, cause: unknown): RankscopeError {
  return new RankscopeError('MESSAGE_INVALID', `the server’s answer to ${path} does not fit its schema`, {
    hint: 'reload the page; if that does not help, server and dashboard are of different versions',
    cause,
  })
}

/** The parsed answer of a route that answers columns (MessagePack). Throws as `request` does. */
export async function requestColumns<S extends z.ZodType>(
  path: string,
  body: unknown,
  schema: S,
  options: Pick<Options, 'signal'> = {},
): Promise<z.output<S>> {
  const response = await open(path, { ...options, method: 'POST', body })
  const parsed = schema.safeParse(decodeMessage(new Uint8Array(await response.arrayBuffer())))
  if (!parsed.success) throw unfit(path, parsed.error)
  return parsed.data
}

/** For commands whose answer nobody reads. */
export async function send(path: string, options: Options = {}): Promise<unknown> {
  const response = await open(path, options)
  return parseJson(await response.text())
}

/** The response to a request that was accepted; everything else becomes a coded error. */
async function open(path: string, options: Options): Promise<Response> {
  const sentMs = Date.now()
  let response: Response
  try {
    response = await fetch(`${basePath}api${path}`, {
      method: options.method ?? 'GET',
      headers: {
        ...(options.body === undefined
          ? {}
          : { 'content-type': options.body instanceof Blob ? 'application/zip' : 'application/json' }),
      },
      ...(options.body === undefined
        ? {}
        : { body: options.body instanceof Blob ? options.body : JSON.stringify(options.body) }),
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
  session.tell(response.status === 401)
  if (response.ok) return response
  const body = parseJson(await response.text())
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
