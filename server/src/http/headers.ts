/** Headers of every answer, errors and refused sockets included: what a page may load, and who may show or read it. */

/**
 * Scripts from this server only, none inline. Styles inline too: the component library and the charts write them. Images
 * from memory: charts are saved through them.
 */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ')

export const securityHeaders = {
  'content-security-policy': contentSecurityPolicy,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  // Addresses name runs and groups; the first one holds the token.
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  // Not to pages of other ports either.
  'cross-origin-resource-policy': 'same-origin',
} as const

/** Of what says nothing else: only files of the dashboard may be kept. */
export const notKept = { 'cache-control': 'no-store' } as const
