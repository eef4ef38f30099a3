/** The HTTP side: the API under /api, its description at /api/openapi.json and /api/docs, and the dashboard. */
import { constants } from 'node:zlib'
import compress from '@fastify/compress'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import { fromZodError, RankscopeError } from '@rankscope/protocol'
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type RawReplyDefaultExpression,
  type RawRequestDefaultExpression,
  type RawServerDefault,
} from 'fastify'
import { jsonSchemaTransform, type ZodTypeProvider } from 'fastify-type-provider-zod'
import type { z } from 'zod'
import { type Access, cookieName } from '../access.ts'
import type { Services } from '../services.ts'
import { softwareVersion } from '../software-version.ts'
import { serveDashboard } from './dashboard.ts'
import { sendError } from './errors.ts'
import { addNodeRoutes } from './routes-nodes.ts'
import { addRecordRoutes } from './routes-records.ts'
import { addRunRoutes } from './routes-runs.ts'
import { addSpectraRoutes } from './routes-spectra.ts'
import { addSweepRoutes } from './routes-sweeps.ts'

export type App = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  ZodTypeProvider
>

export async function createApp(
  services: Services,
  options: { access: Access; dashboardFolder: string },
): Promise<App> {
  const app: App = Fastify({
    bodyLimit: 4 * 2 ** 20,
    forceCloseConnections: true,
    logger: { level: 'error' },
  }).withTypeProvider<ZodTypeProvider>()
  // Only JSON: what a form of another site can send without asking first is refused.
  app.removeContentTypeParser('text/plain')
  app.setValidatorCompiler(({ schema, httpPart }) => (data) => {
    const result = (schema as z.ZodType).safeParse(data)
    if (result.success) return { value: result.data }
    return { error: fromZodError('MESSAGE_INVALID', httpPart ?? 'request', result.error) }
  })
  // Answers are made here and checked by the compiler: only what comes in is parsed.
  app.setSerializerCompiler(() => (data) => JSON.stringify(data))
  app.setErrorHandler((error, request, reply) => {
    const isConfig =
      error instanceof RankscopeError && error.code === 'MESSAGE_INVALID' && isCreation(request)
    const known = isConfig ? new RankscopeError('CONFIG_INVALID', error.message) : error
    return sendError(known as RankscopeError, request, reply)
  })
  app.addHook('onRequest', guard(options.access))

  await app.register(compress, {
    threshold: 1024,
    encodings: ['br', 'gzip'],
    customTypes: /^(text\/.*|application\/(json|javascript|x-ndjson|x-msgpack|wasm)|image\/svg\+xml)(;|$)/,
    // Answers are made once and read once, on the processors that take records: little effort, most of the gain.
    brotliOptions: { params: { [constants.BROTLI_PARAM_QUALITY]: 3 } },
    zlibOptions: { level: 3 },
  })
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Rankscope', version: softwareVersion, description: 'docs/protocol.md has the rules.' },
    },
    transform: jsonSchemaTransform,
  })
  await app.register(swaggerUi, { routePrefix: '/api/docs' })
  app.get('/api/openapi.json', { schema: { hide: true } }, () => app.swagger())
  addRunRoutes(app, services)
  addRecordRoutes(app, services)
  addSpectraRoutes(app, services)
  addSweepRoutes(app, services)
  addNodeRoutes(app, services)
  await serveDashboard(app, options.dashboardFolder)
  return app
}

function isCreation(request: FastifyRequest): boolean {
  const creating = ['/api/runs', '/api/sweeps', '/api/sweeps/:sweepId/runs']
  return request.method === 'POST' && creating.includes(request.routeOptions.url ?? '')
}

/** Nobody gets past without access. A page opened with `?token=` gets the cookie, and loses the token from its address. */
function guard(access: Access) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const { host, origin, cookie, authorization } = request.headers
    const url = new URL(request.url, 'http://server')
    const token = url.searchParams.get('token') ?? undefined
    if (!access.allowsBrowser({ host, origin, cookie, authorization, token })) throw access.refusal
    if (token === undefined || access.browserToken === null) return
    reply.header(
      'set-cookie',
      `${cookieName}=${encodeURIComponent(access.browserToken)}; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000`,
    )
  }
}
