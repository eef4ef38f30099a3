/** `/api/runs/:runId/…`: what a run told. Every answer names the cursor from which to go on live. */
import {
  errorAnswer,
  evaluationsAnswer,
  filesAnswer,
  logsAnswer,
  type RecordBodyOf,
  type RecordKind,
  type StoredRecord,
  samplesAnswer,
  scalarsAnswer,
  seriesNamesAnswer,
  seriesRequest,
  toJsonNumber,
} from '@rankscope/protocol'
import { z } from 'zod'
import type { Services } from '../services.ts'
import type { Series } from '../store/series.ts'
import type { SeriesQuery } from '../store/store.ts'
import type { App } from './app.ts'
import { columns, sendColumns } from './columns.ts'
import { exportScalars, exportTypes } from './export.ts'
import { runParams } from './routes-runs.ts'

const list = z.string().transform((text) => text.split(',').filter((name) => name !== ''))
const integer = z.coerce.number().int().min(0)

const scalarsQuery = z.strictObject({
  names: list.optional().describe('Names, separated by commas; all series where left out.'),
  points: integer.min(1).max(20_000).default(1000).describe('At most so many points per series.'),
  fromStep: integer.optional(),
  toStep: integer.optional(),
  limit: integer
    .min(1)
    .max(500)
    .default(500)
    .describe('At most so many series; fewer where they have many points.'),
  after: z.string().max(512).optional().describe('`next` of the page before.'),
})
const pageQuery = z.strictObject({
  limit: integer.min(1).max(10_000).default(2000).describe('The newest so many; fewer where they are long.'),
  beforeCursor: integer.optional().describe('Older ones than this: `next` of the page before.'),
})
const exportQuery = z.strictObject({
  format: z.enum(['csv', 'json', 'jsonl']).default('csv'),
  names: list.optional(),
})
const namesQuery = z.strictObject({
  limit: integer.min(1).max(10_000).default(10_000),
  after: z.string().max(512).optional().describe('`next` of the page before.'),
})

export function addRecordRoutes(app: App, { runs, store }: Services): void {
  const tags = ['records']
  const errors = { '4xx': errorAnswer }

  app.get(
    '/api/runs/:runId/scalars',
    {
      schema: {
        tags,
        summary: 'Series for charts, joined to buckets that keep every spike',
        params: runParams,
        querystring: scalarsQuery,
        response: { 200: scalarsAnswer, ...errors },
      },
    },
    async (request) => {
      const { runId } = runs.get(request.params.runId)
      const { names = null, fromStep = null, toStep = null, ...rest } = request.query
      const { series, ...page } = await store.series(runId, {
        names,
        fromStep,
        toStep,
        ...rest,
      } as SeriesQuery)
      return { series: series.map(toSeriesAnswer), ...page }
    },
  )

  app.get(
    '/api/runs/:runId/series',
    {
      schema: {
        tags,
        summary: 'Names of the series that a run has',
        params: runParams,
        querystring: namesQuery,
        response: { 200: seriesNamesAnswer, ...errors },
      },
    },
    (request) => {
      const { runId } = runs.get(request.params.runId)
      return store.seriesNames(runId, request.query.after ?? null, request.query.limit)
    },
  )

  app.post(
    '/api/series',
    {
      schema: {
        tags,
        summary: 'Series of several runs as columns of bytes (docs/protocol.md, Columns)',
        body: seriesRequest,
        response: { 200: columns, ...errors },
      },
    },
    async (request, reply) => sendColumns(reply, await store.seriesColumns(request.body)),
  )

  /** The newest records of one kind, as `pick` shows them. */
  const newest = async <K extends RecordKind, T>(
    runId: string,
    kind: K,
    query: z.output<typeof pageQuery>,
    pick: (body: RecordBodyOf<K>, record: StoredRecord) => T,
  ): Promise<{ items: T[]; next: number | null; cursor: number }> => {
    const range = { limit: query.limit, beforeCursor: query.beforeCursor ?? null }
    const { records, ...page } = await store.recordsOfKind(runs.get(runId).runId, kind, range)
    return { items: records.map((record) => pick(record.body as RecordBodyOf<K>, record)), ...page }
  }

  app.get(
    '/api/runs/:runId/logs',
    {
      schema: {
        tags,
        summary: 'Log lines, oldest first',
        params: runParams,
        querystring: pageQuery,
        response: { 200: logsAnswer, ...errors },
      },
    },
    async (request) => {
      const { items, ...page } = await newest(
        request.params.runId,
        'log',
        request.query,
        ({ level, message }, record) => ({
          cursor: record.cursor,
          attempt: record.attempt,
          timeMs: record.timeMs,
          level,
          message,
        }),
      )
      return { logs: items, ...page }
    },
  )

  app.get(
    '/api/runs/:runId/samples',
    {
      schema: {
        tags,
        summary: 'Completions that were recorded for reading',
        params: runParams,
        querystring: pageQuery,
        response: { 200: samplesAnswer, ...errors },
      },
    },
    async (request) => {
      const { items, ...page } = await newest(
        request.params.runId,
        'sample',
        request.query,
        ({ kind: _, ...sample }) => sample,
      )
      return { samples: items, ...page }
    },
  )

  app.get(
    '/api/runs/:runId/files',
    {
      schema: {
        tags,
        summary: 'Checkpoints and exports that the run told of, oldest first',
        params: runParams,
        querystring: pageQuery,
        response: { 200: filesAnswer, ...errors },
      },
    },
    async (request) => {
      const { runId } = request.params
      const placed = <T>(file: T, { cursor, attempt, timeMs }: StoredRecord) => ({
        cursor,
        file: { ...file, attempt, timeMs },
      })
      const checkpoints = await newest(runId, 'checkpoint', request.query, ({ step, path, bytes }, record) =>
        placed({ kind: 'checkpoint' as const, step, path, bytes }, record),
      )
      const artifacts = await newest(runId, 'artifact', request.query, ({ artifact, path, bytes }, record) =>
        placed({ kind: artifact, step: null, path, bytes }, record),
      )
      // Of the kind that was cut off, older ones come with a later page: so do those of the other kind.
      const next = Math.max(checkpoints.next ?? 0, artifacts.next ?? 0)
      const files = [...checkpoints.items, ...artifacts.items]
        .filter(({ cursor }) => cursor >= next)
        .sort((one, other) => one.cursor - other.cursor)
        .map(({ file }) => file)
      return { files, next: next || null, cursor: Math.min(checkpoints.cursor, artifacts.cursor) }
    },
  )

  app.get(
    '/api/runs/:runId/evaluations',
    {
      schema: {
        tags,
        summary: 'Evaluations, oldest first',
        params: runParams,
        querystring: pageQuery,
        response: { 200: evaluationsAnswer, ...errors },
      },
    },
    async (request) => {
      const { items, ...page } = await newest(
        request.params.runId,
        'evaluation',
        request.query,
        ({ step, examples, loss, accuracy, meanAccuracy, protocols, split, byType }) => ({
          step,
          ...(split && { split }),
          examples,
          loss: loss === null ? null : toJsonNumber(loss),
          accuracy: accuracy === null ? null : toJsonNumber(accuracy),
          ...(meanAccuracy !== undefined && { meanAccuracy: toJsonNumber(meanAccuracy) }),
          ...(protocols && { protocols }),
          byType: Object.fromEntries(
            Object.entries(byType).map(([type, score]) => [
              type,
              { examples: score.examples, accuracy: toJsonNumber(score.accuracy) },
            ]),
          ),
        }),
      )
      return { evaluations: items, ...page }
    },
  )

  app.get(
    '/api/runs/:runId/export',
    {
      schema: {
        tags,
        summary: 'All scalars of a run as a CSV, JSON or JSONL file, every point',
        params: runParams,
        querystring: exportQuery,
        response: { 200: z.any(), ...errors },
      },
    },
    async (request, reply) => {
      const run = runs.get(request.params.runId)
      const { format, names = null } = request.query
      return reply
        .header(
          'content-disposition',
          `attachment; filename*=UTF-8''${encodeURIComponent(run.name)}.${format}`,
        )
        .type(exportTypes[format])
        .send(exportScalars(store, run.runId, format, names))
    },
  )
}

function toSeriesAnswer({ name, total, buckets }: Series): z.output<typeof scalarsAnswer>['series'][number] {
  const isJoined = buckets.length < total
  return {
    name,
    total,
    steps: buckets.map((bucket) => bucket.step),
    last: buckets.map((bucket) => toJsonNumber(bucket.last)),
    min: isJoined ? buckets.map((bucket) => toJsonNumber(bucket.min)) : null,
    max: isJoined ? buckets.map((bucket) => toJsonNumber(bucket.max)) : null,
    nanCounts: isJoined ? buckets.map((bucket) => bucket.nanCount) : null,
    timesMs: buckets.map((bucket) => bucket.timeMs),
  }
}
