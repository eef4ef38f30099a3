/** The built dashboard: files with a hash in their name for ever, the page itself never from the cache. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fastifyStatic from '@fastify/static'
import { RankscopeError } from '@rankscope/protocol'
import type { App } from './app.ts'

/**
 * `folder` holds index.html and assets/. Where it was not built, pages say how to build it. The page is made for the base
 * path: it names its files and, to its scripts, the path itself.
 */
export async function serveDashboard(app: App, folder: string, basePath: string): Promise<void> {
  const index = join(folder, 'index.html')
  const isBuilt = existsSync(index)
  const page = isBuilt ? pageBelow(basePath, readFileSync(index, 'utf8')) : null
  if (isBuilt)
    await app.register(fastifyStatic, {
      root: folder,
      wildcard: false,
      index: false,
      globIgnore: ['**/index.html'],
      cacheControl: false,
      setHeaders: (response, path) => {
        const isHashed = path.startsWith(join(folder, 'assets'))
        response.setHeader('cache-control', isHashed ? 'public, max-age=31536000, immutable' : 'no-cache')
      },
    })
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0]!
    const isRead = request.method === 'GET' || request.method === 'HEAD'
    const isPage =
      isRead && !/^\/(api|socket\.io)(\/|$)/.test(path) && (!path.includes('.') || path === '/index.html')
    if (!isPage) throw new RankscopeError('NOT_FOUND', `there is nothing at ${request.method} ${path}`)
    if (page !== null)
      return reply.type('text/html; charset=utf-8').header('cache-control', 'no-cache').send(page)
    return reply
      .code(503)
      .type('text/plain; charset=utf-8')
      .send('The dashboard is not built. Run: node scripts/setup.mjs dashboard\n')
  })
}

/** The build names its files relative to itself. */
function pageBelow(basePath: string, html: string): string {
  return html
    .replaceAll('"./', `"${basePath}`)
    .replace('<head>', `<head><meta name="base-path" content="${basePath}" />`)
}
