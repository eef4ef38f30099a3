/** `/api/nodes` and `/api/health`. */
import {
  errorAnswer,
  healthAnswer,
  idSchema,
  nodesAnswer,
  nodeViewSchema,
  protocolVersion,
  RankscopeError,
  updateNodeBody,
} from '@rankscope/protocol'
import { z } from 'zod'
import type { Services } from '../services.ts'
import { softwareVersion } from '../software-version.ts'
import type { App } from './app.ts'
import { cursorSchema, newestFirst, pageLimit } from './page.ts'

/** Models and data files that one answer names. */
const mostOfferings = 5000

export function addNodeRoutes(app: App, { nodes, scheduler, views, health, now, startedMs }: Services): void {
  app.get(
    '/api/nodes',
    {
      schema: {
        tags: ['nodes'],
        summary: 'Nodes, newest first',
        querystring: z.strictObject({ limit: pageLimit(100), cursor: cursorSchema }),
        response: { 200: nodesAnswer },
      },
    },
    (request) => {
      const { items, ...page } = newestFirst(
        nodes.list(),
        ({ firstSeenMs, nodeId }) => ({ timeMs: firstSeenMs, id: nodeId }),
        request.query,
        { of: ({ hello }) => hello.models.length + hello.data.length, most: mostOfferings },
      )
      return { nodes: items.map(({ nodeId }) => views.node(nodeId)!), ...page }
    },
  )

  app.patch(
    '/api/nodes/:nodeId',
    {
      schema: {
        tags: ['nodes'],
        summary: 'Open, drain or pause a node',
        params: z.strictObject({ nodeId: idSchema }),
        body: updateNodeBody,
        response: { 200: nodeViewSchema, '4xx': errorAnswer },
      },
    },
    async (request) => {
      await scheduler.setNodeMode(request.params.nodeId, request.body.mode)
      return views.node(request.params.nodeId)!
    },
  )

  app.delete(
    '/api/nodes/:nodeId',
    {
      schema: {
        tags: ['nodes'],
        summary: 'Forget a node that is offline for good',
        params: z.strictObject({ nodeId: idSchema }),
        response: { 204: z.null(), '4xx': errorAnswer },
      },
    },
    async (request, reply) => {
      const node = nodes.find(request.params.nodeId)
      if (!node) throw new RankscopeError('NOT_FOUND', `there is no node ${request.params.nodeId}`)
      if (node.online)
        throw new RankscopeError('ILLEGAL_TRANSITION', `${node.hello.name} is online`, {
          hint: 'stop its daemon first',
        })
      await nodes.forget(node.nodeId)
      return reply.code(204).send(null)
    },
  )

  app.get(
    '/api/health',
    { schema: { tags: ['server'], summary: 'Is the server up?', response: { 200: healthAnswer } } },
    () => ({
      ...health.current(),
      softwareVersion,
      protocolVersion,
      uptimeSeconds: (now() - startedMs) / 1000,
    }),
  )
}
