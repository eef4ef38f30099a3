/** `/api/runs/:runId/spectra…`: which spectra a run has, their measures, their values. Every answer is bounded. */
import {
  errorAnswer,
  spectraAnswer,
  spectraIndexAnswer,
  spectraMeasuresRequest,
  spectraModulesAnswer,
  spectraProfilesRequest,
  spectraValuesRequest,
  spectrumParts,
} from '@rankscope/protocol'
import { z } from 'zod'
import type { Services } from '../services.ts'
import type { App } from './app.ts'
import { columns, sendColumns } from './columns.ts'
import { runParams } from './routes-runs.ts'

const truth = z.enum(['true', 'false']).transform((text) => text === 'true')
const after = z
  .string()
  .max(40)
  .regex(/^\d+\.\d+$/)
  .optional()
  .describe('`next` of the page before.')
const limit = (most: number) =>
  z.coerce
    .number()
    .int()
    .min(1)
    .max(most)
    .default(most)
    .describe('At most so many; fewer where they are long.')
const spectraQuery = z.strictObject({
  module: z.string().optional(),
  part: z.enum(spectrumParts).optional(),
  step: z.coerce.number().int().min(0).optional(),
  final: truth.optional(),
  limit: limit(1000),
  after,
})
const indexQuery = z.strictObject({ limit: limit(5000), after })

export function addSpectraRoutes(app: App, { runs, store }: Services): void {
  const tags = ['spectra']
  const params = runParams
  const errors = { '4xx': errorAnswer }

  app.get(
    '/api/runs/:runId/spectra',
    {
      schema: {
        tags,
        summary: 'Spectra with their singular values, by pages',
        params,
        querystring: spectraQuery,
        response: { 200: spectraAnswer, ...errors },
      },
    },
    (request) => {
      const { runId } = runs.get(request.params.runId)
      const { module = null, part = null, step = null, final = null, limit, after = null } = request.query
      return store.spectra(runId, { module, part, step, final, limit, after })
    },
  )

  app.get(
    '/api/runs/:runId/spectra/index',
    {
      schema: {
        tags,
        summary: 'Which spectra there are, with their measures, by pages',
        params,
        querystring: indexQuery,
        response: { 200: spectraIndexAnswer, ...errors },
      },
    },
    (request) => {
      const { limit, after = null } = request.query
      return store.spectraIndex(runs.get(request.params.runId).runId, { limit, after })
    },
  )

  app.get(
    '/api/runs/:runId/spectra/modules',
    {
      schema: {
        tags,
        summary: 'Modules and steps at which there are spectra',
        params,
        response: { 200: spectraModulesAnswer, ...errors },
      },
    },
    (request) => store.spectraModules(runs.get(request.params.runId).runId),
  )

  app.post(
    '/api/runs/:runId/spectra/measures',
    {
      schema: {
        tags,
        summary: 'Measures of spectra as columns of bytes (docs/protocol.md, Columns)',
        params,
        body: spectraMeasuresRequest,
        response: { 200: columns, ...errors },
      },
    },
    async (request, reply) =>
      sendColumns(reply, await store.spectraMeasures(runs.get(request.params.runId).runId, request.body)),
  )

  app.post(
    '/api/runs/:runId/spectra/values',
    {
      schema: {
        tags,
        summary: 'Singular values of single spectra as columns of bytes (docs/protocol.md, Columns)',
        params,
        body: spectraValuesRequest,
        response: { 200: columns, ...errors },
      },
    },
    async (request, reply) =>
      sendColumns(reply, await store.spectraValues(runs.get(request.params.runId).runId, request.body)),
  )

  app.post(
    '/api/runs/:runId/spectra/profiles',
    {
      schema: {
        tags,
        summary: 'What the analyses of single spectra give as columns of bytes (docs/protocol.md, Columns)',
        params,
        body: spectraProfilesRequest,
        response: { 200: columns, ...errors },
      },
    },
    async (request, reply) =>
      sendColumns(reply, await store.spectraProfiles(runs.get(request.params.runId).runId, request.body)),
  )
}
