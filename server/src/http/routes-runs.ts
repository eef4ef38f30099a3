/** `/api/runs`: create, list, change, command, delete. */
import {
  checkAnswer,
  checkBody,
  checkRunConfig,
  commandBody,
  createRunsAnswer,
  createRunsBody,
  deleteRunAnswer,
  errorAnswer,
  errorPayload,
  estimateAnswer,
  estimateBody,
  idSchema,
  isActive,
  moveBody,
  previewAnswer,
  previewBody,
  RankscopeError,
  type RunConfig,
  requireConsistent,
  runConfigSchema,
  runRowsAnswer,
  runsAnswer,
  runViewSchema,
  toRunRow,
  updateRunBody,
} from '@rankscope/protocol'
import { z } from 'zod'
import type { Services } from '../services.ts'
import type { StoredRun } from '../store/store.ts'
import type { App } from './app.ts'
import { cursorSchema, newestFirst, type Page, pageLimit } from './page.ts'

export const runParams = z.strictObject({ runId: idSchema })

const runsPage = z.strictObject({ limit: pageLimit(200), cursor: cursorSchema })

function pageOfRuns(created: readonly StoredRun[], query: z.output<typeof runsPage>): Page<StoredRun> {
  return newestFirst(created, ({ createdMs, runId }) => ({ timeMs: createdMs, id: runId }), query)
}

export function addRunRoutes(
  app: App,
  { runs, nodes, nodeHub, scheduler, views, remover, now }: Services,
): void {
  const tags = ['runs']
  const errors = { '4xx': errorAnswer }

  app.get(
    '/api/runs',
    { schema: { tags, summary: 'Runs, newest first', querystring: runsPage, response: { 200: runsAnswer } } },
    (request) => {
      const { items, ...page } = pageOfRuns(runs.list(), request.query)
      return { runs: items.map((run) => views.run(run.runId)!), ...page }
    },
  )

  app.get(
    '/api/runs/rows',
    {
      schema: {
        tags,
        summary: 'Runs as rows of a table, newest first',
        querystring: runsPage.extend({ limit: pageLimit(2000) }),
        response: { 200: runRowsAnswer },
      },
    },
    (request) => {
      const { items, ...page } = pageOfRuns(runs.list(), request.query)
      return { rows: items.map((run) => toRunRow(views.run(run.runId)!)), ...page }
    },
  )

  app.post(
    '/api/runs',
    {
      schema: {
        tags,
        summary: 'Create runs, all or none, and queue them',
        body: createRunsBody,
        response: { 201: createRunsAnswer, ...errors },
      },
    },
    async (request, reply) => {
      for (const config of request.body.configs) requireConsistent(config)
      const created = await runs.create(request.body.configs, now())
      return reply.code(201).send({ runs: created.map((run) => views.run(run.runId)!) })
    },
  )

  app.post(
    '/api/check',
    {
      schema: {
        tags,
        summary: 'Validate a configuration without creating a run',
        body: checkBody,
        response: { 200: checkAnswer, ...errors },
      },
    },
    (request) => {
      const parsed = runConfigSchema.safeParse(request.body.config)
      if (parsed.success) return { findings: checkRunConfig(parsed.data) }
      return {
        findings: parsed.error.issues.map((issue) => ({
          severity: 'error' as const,
          path: issue.path.map(String).join('.'),
          message: issue.message,
          hint: null,
        })),
      }
    },
  )

  app.post(
    '/api/estimate',
    {
      schema: {
        tags,
        summary: 'Ask every online node how much memory runs would need there',
        body: estimateBody,
        response: { 200: estimateAnswer, ...errors },
      },
    },
    async (request) => {
      const plan = (nodeId: string, config: RunConfig) =>
        nodeHub.estimate(nodeId, config).then(
          (memory) => ({ memory, error: null }),
          (error: unknown) => ({ memory: null, error: errorPayload(error) }),
        )
      const asked = nodes
        .list()
        .filter(({ online }) => online)
        .map(async ({ nodeId, hello }) => ({
          nodeId,
          name: hello.name,
          plans: await Promise.all(request.body.configs.map((config) => plan(nodeId, config))),
        }))
      const placements = request.body.configs.map((config) => scheduler.wouldPlace(config))
      return { nodes: await Promise.all(asked), placements }
    },
  )

  app.post(
    '/api/preview',
    {
      schema: {
        tags,
        summary: 'The first examples of a configuration as the model would see them, from a node',
        body: previewBody,
        response: { 200: previewAnswer, ...errors },
      },
    },
    async (request) => {
      const { nodeId: wanted, ...asked } = request.body
      const nodeId = wanted ?? nodes.list().find(({ online }) => online)?.nodeId
      if (nodeId === undefined)
        throw new RankscopeError('NOT_FOUND', 'no node is online', {
          hint: 'Data lies on nodes: start one, or wait until one has come back.',
        })
      return { nodeId, ...(await nodeHub.preview(nodeId, asked)) }
    },
  )

  app.get(
    '/api/runs/:runId',
    { schema: { tags, summary: 'One run', params: runParams, response: { 200: runViewSchema, ...errors } } },
    (request) => {
      runs.get(request.params.runId)
      return views.run(request.params.runId)!
    },
  )

  app.patch(
    '/api/runs/:runId',
    {
      schema: {
        tags,
        summary: 'Rename or tag a run, or change its priority',
        params: runParams,
        body: updateRunBody,
        response: { 200: runViewSchema, ...errors },
      },
    },
    async (request) => {
      const { runId } = request.params
      const { name, tags: words, priority } = request.body
      runs.get(runId)
      await runs.change(runId, (run) => ({
        ...(name === undefined ? {} : { name }),
        config: {
          ...run.config,
          ...(words === undefined ? {} : { tags: words }),
          ...(priority === undefined ? {} : { priority }),
        },
      }))
      runs.get(runId)
      return views.run(runId)!
    },
  )

  app.post(
    '/api/runs/:runId/commands',
    {
      schema: {
        tags,
        summary: 'Stop, pause, resume, retry a run, or have it write a checkpoint',
        params: runParams,
        body: commandBody,
        response: { 200: runViewSchema, ...errors },
      },
    },
    async (request) => {
      await scheduler.command(request.params.runId, request.body.command)
      return views.run(request.params.runId)!
    },
  )

  app.post(
    '/api/runs/:runId/move',
    {
      schema: {
        tags,
        summary: 'Move a queued run before another, or to the end of the queue',
        params: runParams,
        body: moveBody,
        response: { 200: runViewSchema, ...errors },
      },
    },
    async (request) => {
      await scheduler.move(request.params.runId, request.body.before)
      return views.run(request.params.runId)!
    },
  )

  app.delete(
    '/api/runs/:runId',
    {
      schema: {
        tags,
        summary: 'Delete a run that no node holds: its records here, its folders on nodes',
        params: runParams,
        response: { 200: deleteRunAnswer, ...errors },
      },
    },
    (request) => {
      const run = runs.get(request.params.runId)
      if (isActive(run.state))
        throw new RankscopeError('ILLEGAL_TRANSITION', `${run.name} is ${run.state}`, {
          hint: 'stop it first',
        })
      return remover.remove(run.runId)
    },
  )
}
