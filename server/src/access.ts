/**
 * Who may come in. Browsers: on a loopback address anyone on this machine, but only through a loopback name and
 * from a page of this machine (else any web page could reach in by DNS rebinding or a cross-site socket); on any
 * other address whoever shows the token, once by `?token=`, then by cookie. Nodes always show theirs.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { RankscopeError } from '@rankscope/protocol'

export const cookieName = 'rankscope_token'

/** What a request shows of itself. */
export type Visitor = {
  host: string | undefined
  origin: string | undefined
  cookie: string | undefined
  authorization: string | undefined
  /** From `?token=` or a socket’s handshake. */
  token: string | undefined
}

export class Access {
  /** null: loopback without a token. */
  readonly browserToken: string | null
  readonly nodeToken: string

  constructor(browserToken: string | null, nodeToken: string) {
    this.browserToken = browserToken
    this.nodeToken = nodeToken
  }

  allowsNode(token: unknown): boolean {
    return typeof token === 'string' && sameSecret(token, this.nodeToken)
  }

  /** What to tell who is not let in. */
  get refusal(): RankscopeError {
    return this.browserToken === null
      ? new RankscopeError('UNAUTHORIZED', 'the server listens to this machine only, under a loopback name', {
          hint: 'open http://localhost, or start the server with --host and a token',
        })
      : new RankscopeError('UNAUTHORIZED', 'the token is missing or wrong', {
          hint: 'open the address that the server printed when it started',
        })
  }

  allowsBrowser(visitor: Visitor): boolean {
    if (this.browserToken === null)
      return (
        isLoopback(hostName(visitor.host)) &&
        (visitor.origin === undefined || isLoopback(originName(visitor.origin)))
      )
    const sameSite = visitor.origin === undefined || originName(visitor.origin) === hostName(visitor.host)
    if (visitor.token !== undefined && sameSecret(visitor.token, this.browserToken)) return true
    const bearer = visitor.authorization?.match(/^Bearer (.+)$/)?.[1]
    if (bearer !== undefined && sameSecret(bearer, this.browserToken)) return true
    // A cookie comes along with requests that other sites make, so the origin counts here.
    const cookie = readCookie(visitor.cookie)
    return sameSite && cookie !== undefined && sameSecret(cookie, encodeURIComponent(this.browserToken))
  }
}

export function isLoopback(name: string | null): boolean {
  return (
    name === 'localhost' ||
    name === '::1' ||
    name === '[::1]' ||
    (name !== null && (/^127(\.\d{1,3}){3}$/.test(name) || name.endsWith('.localhost')))
  )
}

/** A Host header without its port. */
function hostName(host: string | undefined): string | null {
  return host === undefined ? null : originName(`http://${host}`)
}

function originName(origin: string): string | null {
  return URL.canParse(origin) ? new URL(origin).hostname : null
}

/** As the browser sends it, percent-encoded. */
function readCookie(header: string | undefined): string | undefined {
  const pair = header
    ?.split(';')
    .map((part) => part.trim())
    .find((part) => part.startsWith(`${cookieName}=`))
  return pair?.slice(cookieName.length + 1)
}

/** Takes the same time whatever the difference. */
function sameSecret(given: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(expected))
}

export function newToken(): string {
  return randomBytes(24).toString('base64url')
}

/** The token of that name in the data folder, made at the first start; only its owner can read the file. */
export function keptToken(folder: string, name: string): string {
  const file = join(folder, name)
  if (existsSync(file)) return readFileSync(file, 'utf8').trim()
  mkdirSync(folder, { recursive: true })
  const token = newToken()
  writeFileSync(file, `${token}\n`, { mode: 0o600 })
  chmodSync(file, 0o600)
  return token
}
