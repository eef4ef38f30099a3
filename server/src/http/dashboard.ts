/** The built dashboard: files with a hash in their name for ever, the page itself never from the cache. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import fastifyStatic from '@fastify/static'
import { RankscopeError } from '@rankscope/protocol'
import type { App } from './app.ts'

/** `folder` holds index.html and assets/. Where it was not built, pages say how to build it. */
export async function serveDashboard(app: App, folder: string): Promise<void> {
  const isBuilt = existsSync(join(folder, 'index.html'))
  if (isBuilt)
    await app.register(fastifyStatic, {
      root: folder,
      wildcard: false,
      cacheControl: false,
      setHeaders: (response, path) => {
        const isHashed = path.startsWith(join(folder, 'assets'))
        response.setHeader('cache-control', isHashed ? 'public, max-age=31536000, immutable' : 'no-cache')
      },
    })
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0]!
    const isPage = request.method === 'GET' && !path.startsWith('/api/') && !path.includes('.')
    if (!isPage) throw new RankscopeError('NOT_FOUND', `there is nothing at ${request.method} ${path}`)
    if (isBuilt) return reply.sendFile('index.html')
    return reply
      .code(503)
      .type('text/plain; charset=utf-8')
      .send('The dashboard is not built. Run: npm run build -w @rankscope/dashboard\n')
  })
}
