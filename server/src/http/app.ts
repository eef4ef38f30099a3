/** The HTTP side: the API under /api, its description at /api/openapi.json and /api/docs, and the dashboard. */
import type { IncomingMessage } from 'node:http'
import { constants } from 'node:zlib'
import compress from '@fastify/compress'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import { fromZodError, RankscopeError } from '@rankscope/protocol'
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyRequest,
  type RawReplyDefaultExpression,
  type RawRequestDefaultExpression,
  type RawServerDefault,
} from 'fastify'
import { jsonSchemaTransform, type ZodTypeProvider } from 'fastify-type-provider-zod'
import type { z } from 'zod'
import type { Access } from '../access.ts'
import type { Services } from '../services.ts'
import { softwareVersion } from '../software-version.ts'
import { serveDashboard } from './dashboard.ts'
import { answerBrokenRequest, endWith, sendError } from './errors.ts'
import { addGuard, rewriteUrl } from './guard.ts'
import { notKept, securityHeaders } from './headers.ts'
import { addExportRoutes } from './routes-exports.ts'
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

/** Of all kinds together: below what the system grants a process. */
const mostConnections = 900

export async function createApp(
  services: Services,
  options: { access: Access; dashboardFolder: string },
): Promise<App> {
  const app: App = Fastify({
    bodyLimit: 4 * 2 ** 20,
    forceCloseConnections: true,
    // Answers to what has arrived whole are not limited: exports of long runs stream for minutes.
    requestTimeout: 60_000,
    // An address without a host is answered by the guard, with its headers.
    http: { headersTimeout: 15_000, requireHostHeader: false },
    logger: { level: 'error' },
    rewriteUrl: rewriteUrl(options.access.basePath),
    frameworkErrors: (error, request, reply) =>
      sendError(error, request, reply.headers({ ...securityHeaders, ...notKept })),
    clientErrorHandler: answerBrokenRequest,
  }).withTypeProvider<ZodTypeProvider>()
  app.server.maxConnections = mostConnections
  app.server.on('checkExpectation', (request: IncomingMessage) => {
    const message = `no expectation but 100-continue is met: ${request.headers.expect?.slice(0, 60)}`
    endWith(request.socket, 417, { code: 'MESSAGE_INVALID', message, hint: null })
  })
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
  addGuard(app, options.access)

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
  addExportRoutes(app, services)
  await serveDashboard(app, options.dashboardFolder, options.access.basePath)
  return app
}

function isCreation(request: FastifyRequest): boolean {
  const creating = ['/api/runs', '/api/sweeps', '/api/sweeps/:sweepId/runs']
  return request.method === 'POST' && creating.includes(request.routeOptions.url ?? '')
}
