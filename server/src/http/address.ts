/** The address of a request, taken apart by hand: `//` and `/%` are addresses that are sent, and no URLs. */
import type { IncomingMessage } from 'node:http'

export type Address = {
  path: string
  query: string
  /** `?token=` of the address, which nothing behind this file gets to see. */
  token: string | undefined
}

/**
 * What was asked for below the server’s base path. A proxy may pass the base path on or take it off: both are right.
 * `basePath` begins and ends with a slash.
 */
export function addressOf(url: string, basePath: string): Address {
  const [target = '/', ...rest] = url.split('?')
  const isBelow = basePath !== '/' && `${target}/`.startsWith(basePath)
  const path = isBelow ? `/${target.slice(basePath.length)}` : target
  const pairs = rest.join('?').split('&')
  const tokens = pairs.filter((pair) => pair.startsWith('token='))
  const query = pairs.filter((pair) => !tokens.includes(pair)).join('&')
  return { path, query, token: tokens[0] === undefined ? undefined : decoded(tokens[0].slice(6)) }
}

export function urlOf({ path, query }: Address): string {
  return query === '' ? path : `${path}?${query}`
}

/** Whether the request came over TLS, as the proxy that ended it says. */
export function isSecure(request: IncomingMessage): boolean {
  const said = String(request.headers['x-forwarded-proto'] ?? '')
    .split(',')[0]!
    .trim()
  return said === 'https' || /(^|[;,\s])proto="?https\b/i.test(String(request.headers['forwarded'] ?? ''))
}

/** Empty, so no token, where it cannot be decoded. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return ''
  }
}
