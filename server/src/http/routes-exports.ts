/** `/api/runs/:runId/exports`: a checkpoint or a finished run as a model, an adapter or ΔW, written by the node that holds it. */
import { createExportBody, errorAnswer, exportJobSchema, exportsAnswer, idSchema } from '@rankscope/protocol'
import type { Services } from '../services.ts'
import type { App } from './app.ts'
import { runParams } from './routes-runs.ts'

const jobParams = runParams.extend({ jobId: idSchema })

export function addExportRoutes(app: App, { runs, exports }: Pick<Services, 'runs' | 'exports'>): void {
  const tags = ['exports']
  const errors = { '4xx': errorAnswer }

  app.get(
    '/api/runs/:runId/exports',
    {
      schema: {
        tags,
        summary: 'Exports that were asked for after the fact, newest first, with their progress',
        params: runParams,
        response: { 200: exportsAnswer, ...errors },
      },
    },
    (request) => ({ jobs: exports.ofRun(runs.get(request.params.runId).runId) }),
  )

  app.post(
    '/api/runs/:runId/exports',
    {
      schema: {
        tags,
        summary: 'Have the node that holds a checkpoint of the run export it',
        params: runParams,
        body: createExportBody,
        response: { 201: exportJobSchema, ...errors },
      },
    },
    async (request, reply) => {
      const { request: wanted, checkpoint } = request.body
      return reply.code(201).send(await exports.create(request.params.runId, wanted, checkpoint))
    },
  )

  app.delete(
    '/api/runs/:runId/exports/:jobId',
    {
      schema: {
        tags,
        summary: 'Cancel an export: what it wrote so far is removed',
        params: jobParams,
        response: { 200: exportJobSchema, ...errors },
      },
    },
    (request) => exports.cancel(request.params.runId, request.params.jobId),
  )
}
