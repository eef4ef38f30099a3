/**
 * Who may come in. Browsers and scripts show the server’s token: once by `?token=` (one click on the printed address),
 * then by a cookie; or as a bearer. Nodes show a token of their own. Loopback makes no difference: other users of the
 * machine, pages of other ports and proxies come from there too.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readStateFile } from '@rankscope/launch'
import { RankscopeError } from '@rankscope/protocol'

/** What a request shows of itself. */
export type Visitor = {
  host: string | undefined
  origin: string | undefined
  cookie: string | undefined
  authorization: string | undefined
  /** `Sec-Fetch-Site` and `Sec-Fetch-Mode`: what a browser says of the page behind a request. */
  fetchSite: string | undefined
  fetchMode: string | undefined
  /** From `?token=`. */
  token: string | undefined
}

/**
 * in: let in. shown: let in by `?token=`, so a cookie is due. missing: shows nothing. wrong: shows a token that is none
 * of this server; stale: a cookie from before the token was changed. foreign: a page of another origin.
 */
export type Verdict = 'in' | 'shown' | 'missing' | 'wrong' | 'stale' | 'foreign'

export class Access {
  readonly browserToken: string
  readonly nodeToken: string
  /** Where the server’s pages lie: `/`, or what `--base-path` says, with a slash at its end. */
  readonly basePath: string

  constructor(browserToken: string, nodeToken: string, basePath = '/') {
    this.browserToken = browserToken
    this.nodeToken = nodeToken
    this.basePath = basePath
  }

  allowsNode(authorization: string | undefined): boolean {
    const token = bearer(authorization)
    return token !== undefined && sameSecret(token, this.nodeToken)
  }

  /** `port` is the one that the server listens on. A socket must say from which page it comes where a cookie lets it in. */
  judge(visitor: Visitor, port: number, isSocket = false): Verdict {
    const { token, authorization, origin, host } = visitor
    const given = bearer(authorization) ?? token
    if (given !== undefined) {
      if (!sameSecret(given, this.browserToken)) return 'wrong'
      return given === token ? 'shown' : 'in'
    }
    const cookie = readCookie(visitor.cookie, cookieName(port))
    if (cookie === undefined) return 'missing'
    // It comes along with whatever pages of other sites, or of other ports of this host, ask for.
    if (origin === undefined ? isSocket || isForeignFetch(visitor) : !isSameOrigin(origin, host))
      return 'foreign'
    return sameSecret(cookie, this.#cookieValue(port)) ? 'in' : 'stale'
  }

  /** The value of Set-Cookie. */
  cookie(port: number, isSecure: boolean): string {
    const attributes = `Path=${this.basePath}; HttpOnly; SameSite=Lax; Max-Age=31536000`
    return `${cookieName(port)}=${this.#cookieValue(port)}; ${attributes}${isSecure ? '; Secure' : ''}`
  }

  /** Not the token itself: cookies go to every port of a host. */
  #cookieValue(port: number): string {
    return createHmac('sha256', this.browserToken).update(cookieName(port)).digest('base64url')
  }
}

/** What to tell who is not let in. */
export function refusalOf(verdict: Exclude<Verdict, 'in' | 'shown'>): RankscopeError {
  const [message, hint] = {
    missing: ['a token is needed', 'open the address that the server printed when it started'],
    wrong: [
      'the token is not that of this server',
      'open the address that the server printed when it started',
    ],
    stale: [
      'the token of this browser is no longer valid: the server was started with another one',
      'open the address that the server printed when it started',
    ],
    foreign: ['the request comes from a page of another origin', 'open the dashboard under one address only'],
  }[verdict] as [string, string]
  return new RankscopeError('UNAUTHORIZED', message, { hint })
}

/** Cookies of several servers on one host do not overwrite one another. */
export function cookieName(port: number): string {
  return `rankscope-${port}`
}

function bearer(authorization: string | undefined): string | undefined {
  return authorization?.match(/^Bearer (.+)$/i)?.[1]
}

/** The scheme is left out of it: behind a proxy with TLS, only the proxy knows. */
function isSameOrigin(origin: string, host: string | undefined): boolean {
  if (host === undefined || !URL.canParse(origin)) return false
  const { protocol, host: own } = new URL(origin)
  const asked = `${protocol}//${host}`
  return URL.canParse(asked) && new URL(asked).host === own && own !== ''
}

/** Pages of the same host but another port are `same-site`; following a link from anywhere is a navigation. */
function isForeignFetch({ fetchSite, fetchMode }: Visitor): boolean {
  return (fetchSite === 'cross-site' || fetchSite === 'same-site') && fetchMode !== 'navigate'
}

function readCookie(header: string | undefined, name: string): string | undefined {
  const pair = header
    ?.split(';')
    .map((part) => part.trim())
    .find((part) => part.startsWith(`${name}=`))
  return pair?.slice(name.length + 1)
}

/** Takes the same time whatever the difference. */
function sameSecret(given: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(expected))
}

/**
 * The token of that name in the data folder: `chosen` where one is, else the one of the last start, else a new one. It
 * is kept for the next start; only its owner can read the file. Throws CONFIG_INVALID on a token that is none.
 */
export function keptToken(folder: string, name: string, chosen: string | null = null): string {
  const file = join(folder, name)
  const kept = readStateFile(file)?.trim() ?? null
  const token = chosen ?? kept ?? randomBytes(24).toString('base64url')
  if (!/^[\x21-\x7e]{1,512}$/.test(token))
    throw new RankscopeError(
      'CONFIG_INVALID',
      chosen === null
        ? `${file} holds no token`
        : `the ${name} that was chosen must be 1 to 512 characters of ASCII without spaces`,
      {
        hint:
          chosen === null ? 'remove the file, and a new token is made' : 'or leave it out: one is made up',
      },
    )
  if (token !== kept) writeFileSync(file, `${token}\n`, { mode: 0o600 })
  chmodSync(file, 0o600)
  return token
}
