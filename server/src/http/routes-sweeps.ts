/** `/api/sweeps`: launch a grid of runs as one thing, watch it, hold it, extend it. */
import { createReadStream, createWriteStream, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { sourceCommit } from '@rankscope/launch'
import {
  createSweepBody,
  errorAnswer,
  extendSweepBody,
  idSchema,
  RankscopeError,
  requireConsistent,
  sweepCommandBody,
  sweepsAnswer,
  sweepViewSchema,
} from '@rankscope/protocol'
import { z } from 'zod'
import type { Services } from '../services.ts'
import { sweepFolder } from '../sweeps/sweep-export.ts'
import { importSweep } from '../sweeps/sweep-import.ts'
import { zipped } from '../sweeps/zip.ts'
import type { App } from './app.ts'
import { cursorSchema, newestFirst, pageLimit } from './page.ts'

const sweepParams = z.strictObject({ sweepId: idSchema })

/** The largest sweep: some thousand configurations of a few kilobytes. */
const largestBodyBytes = 32 * 2 ** 20
/** Of the base configurations and axes in one answer. */
const mostCharacters = 2 * 2 ** 20

export function addSweepRoutes(app: App, { sweeps, runs, store, now }: Services): void {
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

  // Read as it comes: a sweep may be larger than what fits in memory.
  app.addContentTypeParser('application/zip', (_request, payload, done) => done(null, payload))

  app.post(
    '/api/sweeps/import',
    {
      schema: {
        tags,
        summary: 'Take in a sweep that another server, or npm run train, has written (application/zip)',
        consumes: ['application/zip'],
        response: { 201: sweepViewSchema, ...errors },
      },
    },
    async (request, reply) => {
      if (!(request.body instanceof Readable))
        throw new RankscopeError('MESSAGE_INVALID', 'the request holds no zip', {
          hint: 'send the file as application/zip',
        })
      // Whole before it is read: the sender must not wait for the store.
      const folder = mkdtempSync(join(tmpdir(), 'rankscope-import-'))
      try {
        const file = join(folder, 'sweep.zip')
        await pipeline(request.body, createWriteStream(file))
        const sweepId = await importSweep(createReadStream(file), { sweeps, runs, nowMs: now() })
        return await reply.code(201).send(sweeps.view(sweepId))
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    },
  )

  app.get(
    '/api/sweeps/:sweepId/archive',
    {
      schema: {
        tags,
        summary: 'The sweep as a zip: configurations, metrics, spectra, tables, figures, the commit',
        params: sweepParams,
        response: { 200: z.any(), ...errors },
      },
    },
    (request, reply) => {
      const sweep = sweeps.view(request.params.sweepId)
      const sources = { store, find: (runId: string) => runs.find(runId), commit: sourceCommit() }
      return reply
        .header(
          'content-disposition',
          `attachment; filename*=UTF-8''${encodeURIComponent(sweep.spec.name)}.zip`,
        )
        .type('application/zip')
        .send(Readable.from(zipped(sweepFolder(sweep, sources)), { objectMode: false }))
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
