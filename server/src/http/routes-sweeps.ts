/** `/api/sweeps`: launch a grid of runs as one thing, watch it, hold it, extend it. */
import {
  createSweepBody,
  errorAnswer,
  extendSweepBody,
  idSchema,
  requireConsistent,
  sweepCommandBody,
  sweepsAnswer,
  sweepViewSchema,
} from '@rankscope/protocol'
import { z } from 'zod'
import type { Services } from '../services.ts'
import type { App } from './app.ts'
import { cursorSchema, newestFirst, pageLimit } from './page.ts'

const sweepParams = z.strictObject({ sweepId: idSchema })

/** The largest sweep: some thousand configurations of a few kilobytes. */
const largestBodyBytes = 32 * 2 ** 20
/** Of the base configurations and axes in one answer. */
const mostCharacters = 2 * 2 ** 20

export function addSweepRoutes(app: App, { sweeps, now }: Services): void {
  const tags = ['sweeps']
  const errors = { '4xx': errorAnswer }

  app.get(
    '/api/sweeps',
    {
      schema: {
        tags,
        summary: 'Sweeps, newest first',
        querystring: z.strictObject({ limit: pageLimit(200), cursor: cursorSchema }),
        response: { 200: sweepsAnswer, ...errors },
      },
    },
    (request) => {
      const { items, ...page } = newestFirst(
        sweeps.list(),
        ({ createdMs, sweepId }) => ({ timeMs: createdMs, id: sweepId }),
        request.query,
        { of: ({ spec }) => JSON.stringify(spec).length, most: mostCharacters },
      )
      return { sweeps: items.map((sweep) => sweeps.overview(sweep)), ...page }
    },
  )

  app.post(
    '/api/sweeps',
    {
      bodyLimit: largestBodyBytes,
      schema: {
        tags,
        summary: 'Create a sweep with its runs, all or none; the same request again makes no second one',
        body: createSweepBody,
        response: { 201: sweepViewSchema, ...errors },
      },
    },
    async (request, reply) => {
      const { requestId, spec, runs } = request.body
      for (const { config } of runs) requireConsistent(config)
      return reply.code(201).send(await sweeps.create(requestId, spec, runs, now()))
    },
  )

  app.get(
    '/api/sweeps/:sweepId',
    {
      schema: {
        tags,
        summary: 'One sweep with its runs',
        params: sweepParams,
        response: { 200: sweepViewSchema, ...errors },
      },
    },
    (request) => sweeps.view(request.params.sweepId),
  )

  app.post(
    '/api/sweeps/:sweepId/runs',
    {
      bodyLimit: largestBodyBytes,
      schema: {
        tags,
        summary: 'Add values to a sweep’s axes, and the runs that they bring',
        params: sweepParams,
        body: extendSweepBody,
        response: { 201: sweepViewSchema, ...errors },
      },
    },
    async (request, reply) => {
      const { requestId, axes, runs } = request.body
      for (const { config } of runs) requireConsistent(config)
      return reply.code(201).send(await sweeps.extend(request.params.sweepId, requestId, axes, runs, now()))
    },
  )

  app.post(
    '/api/sweeps/:sweepId/commands',
    {
      schema: {
        tags,
        summary: 'Pause, resume or stop all runs of a sweep, or run those that failed again',
        params: sweepParams,
        body: sweepCommandBody,
        response: { 200: sweepViewSchema, ...errors },
      },
    },
    (request) => sweeps.command(request.params.sweepId, request.body.command),
  )

  app.delete(
    '/api/sweeps/:sweepId',
    {
      schema: {
        tags,
        summary: 'Forget a sweep; its runs stay',
        params: sweepParams,
        response: { 204: z.null(), ...errors },
      },
    },
    async (request, reply) => {
      await sweeps.remove(request.params.sweepId)
      return reply.code(204).send(null)
    },
  )
}
