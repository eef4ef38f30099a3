/** Bodies and answers of the REST API under `/api`; the server derives OpenAPI from them. */
import { z } from 'zod'
import { errorPayloadSchema } from './errors.ts'
import { memoryPlanSchema } from './memory-estimate.ts'
import { nameLengths, nameSchema } from './name.ts'
import { jsonNumber } from './number.ts'
import { itemSchema, spectrumParts } from './records.ts'
import { runConfigSchema } from './run-config.ts'
import { runRowSchema } from './run-row.ts'
import { runCommandSchema } from './run-state.ts'
import { nodeModeSchema, nodeViewSchema, runViewSchema } from './views.ts'

/** Body of every answer with a status of 400 or above. */
export const errorAnswer = errorPayloadSchema

/** POST /api/runs: one or several configurations, created together or not at all. */
export const createRunsBody = z.strictObject({ configs: z.array(runConfigSchema).min(1).max(256) })
export const createRunsAnswer = z.strictObject({ runs: z.array(runViewSchema) })

/** POST /api/check: the same validation without creating anything; what does not fit the schema is a finding too. */
export const checkBody = z.strictObject({ config: z.unknown() })
export const checkAnswer = z.strictObject({
  findings: z.array(
    z.strictObject({
      severity: z.enum(['error', 'warning']),
      path: z.string(),
      message: z.string(),
      hint: z.string().nullable(),
    }),
  ),
})

/** POST /api/estimate: the memory that runs would need, asked of every online node. Nothing is created. */
export const estimateBody = z.strictObject({ configs: z.array(runConfigSchema).min(1).max(256) })
export const estimateAnswer = z.strictObject({
  nodes: z.array(
    z.strictObject({
      nodeId: z.string(),
      name: z.string(),
      /** One entry per configuration, in order: a plan, or why this node cannot run it. */
      plans: z.array(
        z.strictObject({ memory: memoryPlanSchema.nullable(), error: errorPayloadSchema.nullable() }),
      ),
    }),
  ),
  /** One entry per configuration, in order: where its devices would go if it were alone in the queue now. */
  placements: z.array(
    z.strictObject({
      devices: z.array(z.strictObject({ nodeId: z.string(), name: z.string(), devices: z.int() })),
      /** Why it would not start now; null where it would. */
      waitingFor: z.string().nullable(),
    }),
  ),
})
export type EstimateAnswer = z.infer<typeof estimateAnswer>

/** What to ask for with `cursor` to go on; null at the end. */
const next = z.string().nullable()

/** GET /api/runs?limit=&cursor=: newest first. */
export const runsAnswer = z.strictObject({ runs: z.array(runViewSchema), next, total: z.int() })
/** GET /api/runs/rows?limit=&cursor=: the same runs as rows of a table. */
export const runRowsAnswer = z.strictObject({ rows: z.array(runRowSchema), next, total: z.int() })
/** GET /api/nodes?limit=&cursor=: newest first. */
export const nodesAnswer = z.strictObject({ nodes: z.array(nodeViewSchema), next, total: z.int() })

/** PATCH /api/runs/:runId */
export const updateRunBody = z.strictObject({
  name: nameSchema(nameLengths.name).optional(),
  tags: z.array(nameSchema(nameLengths.tag)).max(32).optional(),
  /** While queued it counts at once; later when the run enters the queue again. */
  priority: runConfigSchema.shape.priority.unwrap().optional(),
})
/** POST /api/runs/:runId/commands */
export const commandBody = z.strictObject({ command: runCommandSchema })
/** POST /api/runs/:runId/move: to the place before another queued run, whose priority it takes; null: to the end. */
export const moveBody = z.strictObject({ before: z.string().nullable() })
/** PATCH /api/nodes/:nodeId */
export const updateNodeBody = z.strictObject({ mode: nodeModeSchema })

/** DELETE /api/runs/:runId: what was removed, on the server and on the nodes that held the run. */
export const deleteRunAnswer = z.strictObject({
  runId: z.string(),
  records: z.int(),
  /** By how much the server’s database file shrank. */
  freedBytes: z.int(),
  /** False: rows are still being removed; `freedBytes` is what was freed so far. */
  isComplete: z.boolean(),
  nodes: z.array(
    z.strictObject({
      nodeId: z.string(),
      name: z.string(),
      /** pending: the node is offline or busy; it is told when it comes back. */
      state: z.enum(['deleted', 'pending']),
      freedBytes: z.int().nullable(),
    }),
  ),
})
export type DeleteRunAnswer = z.infer<typeof deleteRunAnswer>

/** GET /api/runs/:runId/scalars?names=a,b&points=1000&fromStep=&toStep= */
export const scalarsAnswer = z.strictObject({
  series: z.array(
    z.strictObject({
      name: z.string(),
      /** How many points the run has in the range; `steps.length` of them (or buckets) are given. */
      total: z.int(),
      /** Step of each point, or of the last point of each bucket. */
      steps: z.array(z.int()),
      last: z.array(jsonNumber),
      /** Present where points were joined into buckets: extremes, so that a spike is never lost. */
      min: z.array(jsonNumber).nullable(),
      max: z.array(jsonNumber).nullable(),
      /** How many of the points that each bucket joins are NaN; null where nothing was joined. */
      nanCounts: z.array(z.int()).nullable(),
      timesMs: z.array(z.number()),
    }),
  ),
  /** What to ask for with `after` to go on; null at the end. */
  next,
  /** Cursor up to which the answer is complete; subscribe after it. */
  cursor: z.int(),
})
export type ScalarsAnswer = z.infer<typeof scalarsAnswer>

/** One spectrum in JSON; singular values descending. */
export const spectrumView = z.strictObject({
  step: z.int(),
  module: z.string(),
  part: z.enum(spectrumParts),
  rows: z.int(),
  columns: z.int(),
  singularValues: z.array(jsonNumber),
  frobenius: jsonNumber,
  measures: z.record(z.string(), jsonNumber),
  final: z.boolean(),
})
export type SpectrumView = z.infer<typeof spectrumView>

/** GET /api/runs/:runId/spectra?module=&part=&step=&final=&limit=&after= */
export const spectraAnswer = z.strictObject({
  spectra: z.array(spectrumView),
  /** What to ask for with `after` to go on; null at the end. */
  next,
  cursor: z.int(),
})

/** GET /api/runs/:runId/spectra/index?limit=&after=: which spectra there are, with their measures, without the values. */
export const spectraIndexAnswer = z.strictObject({
  entries: z.array(spectrumView.omit({ singularValues: true })),
  next,
  cursor: z.int(),
})
export type SpectraIndexAnswer = z.infer<typeof spectraIndexAnswer>

/** Pages of records begin at the newest: what to ask for with `beforeCursor` to go on; null where nothing is older. */
const older = z.int().nullable()

export const logsAnswer = z.strictObject({
  logs: z.array(
    z.strictObject({
      cursor: z.int(),
      attempt: z.int(),
      timeMs: z.number(),
      level: z.enum(['debug', 'info', 'warning', 'error']),
      message: z.string(),
    }),
  ),
  next: older,
  cursor: z.int(),
})
export const samplesAnswer = z.strictObject({
  samples: z.array(
    z.strictObject({
      step: z.int(),
      index: z.int(),
      prompt: z.string(),
      completion: z.string(),
      expected: z.string().nullable(),
      correct: z.boolean().nullable(),
      item: itemSchema.exactOptional(),
    }),
  ),
  next: older,
  cursor: z.int(),
})
export const evaluationsAnswer = z.strictObject({
  evaluations: z.array(
    z.strictObject({
      step: z.int(),
      examples: z.int(),
      loss: jsonNumber.nullable(),
      accuracy: jsonNumber.nullable(),
      meanAccuracy: jsonNumber.exactOptional(),
      protocols: z.record(z.string(), z.string()).exactOptional(),
      /** Absent: the test split. */
      split: z.enum(['validation', 'test']).exactOptional(),
      byType: z.record(z.string(), z.strictObject({ examples: z.int(), accuracy: jsonNumber })),
    }),
  ),
  next: older,
  cursor: z.int(),
})

/** GET /api/runs/:runId/files: checkpoints and exports that the run told of, oldest first. */
export const filesAnswer = z.strictObject({
  files: z.array(
    z.strictObject({
      kind: z.enum(['checkpoint', 'model', 'adapter', 'delta', 'lora']),
      attempt: z.int(),
      /** null for what is written after the last step. */
      step: z.int().nullable(),
      path: z.string(),
      bytes: z.int(),
      timeMs: z.number(),
    }),
  ),
  next: older,
  cursor: z.int(),
})

/** store-full: nothing new is kept nor acknowledged until there is room; reading goes on. */
export const healthSchema = z.strictObject({
  status: z.enum(['ok', 'store-full']),
  /** What is wrong and what to try; null where all is well. */
  message: z.string().nullable(),
})
export type Health = z.infer<typeof healthSchema>
export const healthAnswer = healthSchema.extend({
  softwareVersion: z.string(),
  protocolVersion: z.int(),
  uptimeSeconds: z.number(),
})
