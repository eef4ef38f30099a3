/**
 * The door of the HTTP side. Nobody gets past without the token: programs get a coded error, people a page that asks
 * for it. Whoever comes with `?token=` gets a cookie instead, and the token leaves the address.
 */
import type { IncomingMessage } from 'node:http'
import { RankscopeError } from '@rankscope/protocol'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { type Access, refusalOf, type Verdict, type Visitor } from '../access.ts'
import { type Address, addressOf, isSecure, urlOf } from './address.ts'
import type { App } from './app.ts'
import { notKept, securityHeaders } from './headers.ts'
import { loginHeaders, loginPage } from './login-page.ts'

const addresses = new WeakMap<IncomingMessage, Address>()

/** Fastify’s `rewriteUrl`: behind it, addresses are as without a base path, and without a token. */
export function rewriteUrl(basePath: string) {
  return (request: IncomingMessage): string => {
    const address = addressOf(request.url ?? '/', basePath)
    addresses.set(request, address)
    return urlOf(address)
  }
}

export function visitorOf({ headers }: IncomingMessage, token: string | undefined): Visitor {
  const { host, origin, cookie, authorization } = headers
  const only = (value: string | string[] | undefined) => (Array.isArray(value) ? value[0] : value)
  return {
    host,
    origin,
    cookie,
    authorization,
    fetchSite: only(headers['sec-fetch-site']),
    fetchMode: only(headers['sec-fetch-mode']),
    token,
  }
}

export function addGuard(app: App, access: Access): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(securityHeaders)
    requireOneHost(request.raw)
    if (request.method === 'POST' && request.routeOptions.url === '/login') return
    const verdict = access.judge(visitorOf(request.raw, addresses.get(request.raw)?.token), portOf(request))
    if (verdict === 'shown') {
      reply.header('set-cookie', access.cookie(portOf(request), isSecure(request.raw)))
      if (isPage(request)) return reply.redirect(below(access, request.url), 303)
    } else if (verdict !== 'in') return refuse(access, verdict, request, reply)
  })
  app.addHook('onSend', async (_, reply) => {
    if (!reply.hasHeader('cache-control') && !reply.raw.hasHeader('cache-control')) reply.headers(notKept)
  })
  addLogin(app, access)
}

/** HTTP/1.1 asks for one; of two, a proxy before us and we might each take another. */
function requireOneHost({ rawHeaders, httpVersion }: IncomingMessage): void {
  const isHost = (text: string, index: number) => index % 2 === 0 && text.toLowerCase() === 'host'
  const count = rawHeaders.filter(isHost).length
  if (count > 1 || (count === 0 && httpVersion === '1.1'))
    throw new RankscopeError('MESSAGE_INVALID', `the request names ${count} hosts, one is needed`)
}

/** `POST /login` with `token` and `next`, as the page’s form sends them. */
function addLogin(app: App, access: Access): void {
  const form = z.strictObject({ token: z.string().max(512), next: z.string().max(4096).default('/') })
  app.register((scope: App, _, registered) => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser(
      'application/x-www-form-urlencoded',
      { parseAs: 'string', bodyLimit: 16_384 },
      (_, body, done) => done(null, Object.fromEntries(new URLSearchParams(body as string))),
    )
    scope.post('/login', { schema: { hide: true, body: form } }, (request, reply) => {
      const next = localPath(request.body.next)
      const bare = { cookie: undefined, authorization: undefined, token: request.body.token.trim() }
      const verdict = access.judge({ ...visitorOf(request.raw, undefined), ...bare }, portOf(request))
      if (verdict !== 'shown')
        return sendLoginPage(access, reply, next, 'That is not the token of this server.')
      return reply
        .header('set-cookie', access.cookie(portOf(request), isSecure(request.raw)))
        .redirect(below(access, next), 303)
    })
    registered()
  })
}

function refuse(
  access: Access,
  verdict: Exclude<Verdict, 'in' | 'shown'>,
  request: FastifyRequest,
  reply: FastifyReply,
) {
  const error = refusalOf(verdict)
  if (!isPage(request)) throw error
  const fault = verdict === 'missing' ? null : sentence(error.message)
  return sendLoginPage(access, reply, request.url, fault)
}

function sendLoginPage(access: Access, reply: FastifyReply, next: string, fault: string | null) {
  return reply
    .code(401)
    .headers(loginHeaders)
    .send(loginPage(access.basePath, next, fault))
}

/** Asked for by a person who reads it, not by a program. */
function isPage({ method, url, headers }: FastifyRequest): boolean {
  const isRead = method === 'GET' || method === 'HEAD'
  return isRead && !/^\/api(\/|$)/.test(url) && String(headers.accept ?? '').includes('text/html')
}

function portOf({ raw }: FastifyRequest): number {
  return raw.socket.localPort ?? 0
}

/** The path under which the browser knows it. */
function below({ basePath }: Access, path: string): string {
  return basePath + localPath(path).slice(1)
}

/** Never leads to another host, whatever a form says. */
function localPath(path: string): string {
  return /^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/.test(path) ? path : '/'
}

function sentence(text: string): string {
  return `${text[0]!.toUpperCase()}${text.slice(1)}.`
}
