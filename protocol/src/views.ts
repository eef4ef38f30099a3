/** What the server shows: runs and nodes as the REST API and the live feed present them. */
import { z } from 'zod'
import { errorPayloadSchema } from './errors.ts'
import { gangMemberSchema } from './gang.ts'
import { heartbeatSchema, nodeHelloSchema } from './node-events.ts'
import { jsonNumber } from './number.ts'
import { dataCountsSchema, phaseNames } from './records.ts'
import { runConfigSchema } from './run-config.ts'
import { runStateSchema } from './run-state.ts'

export const runViewSchema = z.strictObject({
  runId: z.string(),
  /** Pronounceable and unique, e.g. `lora-brave-otter`. */
  name: z.string(),
  state: runStateSchema,
  attempt: z.int().min(0),
  config: runConfigSchema,
  nodeId: z.string().nullable(),
  /** Nodes that share the attempt, the one that leads first; empty where one has it alone. */
  gang: z.array(gangMemberSchema),
  createdMs: z.number(),
  startedMs: z.number().nullable(),
  endedMs: z.number().nullable(),
  /** Position in the queue, 1-based, while queued. */
  queuePosition: z.int().nullable(),
  phase: z
    .strictObject({
      phase: z.enum(phaseNames),
      progress: z.number().nullable(),
      detail: z.string().nullable(),
    })
    .nullable(),
  step: z.int().min(0),
  totalSteps: z.int().nullable(),
  /** Latest value of each scalar. */
  latest: z.record(z.string(), jsonNumber),
  start: z
    .strictObject({
      backend: z.string(),
      /** Card, driver and libraries behind it; empty where the run was started by an older version. */
      computedBy: z.string().default(''),
      threads: z.int(),
      trainableParameters: z.int(),
      totalParameters: z.int(),
      modules: z.array(z.strictObject({ name: z.string(), rows: z.int(), columns: z.int() })),
      warnings: z.array(z.string()),
      /** What the data gave; empty where the run was started by an older version. */
      data: z.array(dataCountsSchema).default([]),
    })
    .nullable(),
  summary: z.record(z.string(), z.union([jsonNumber, z.null()])).nullable(),
  /** Newest checkpoint, for resume. */
  checkpoint: z.strictObject({ step: z.int(), path: z.string(), bytes: z.int() }).nullable(),
  error: errorPayloadSchema.nullable(),
  /** Why a queued run does not start yet. */
  waitingFor: z.string().nullable(),
})
export type RunView = z.infer<typeof runViewSchema>

/**
 * open: takes runs. draining: takes no new ones, those that it holds go on. paused: takes no new ones, and those that it
 * holds are paused until it is opened again.
 */
export const nodeModeSchema = z.enum(['open', 'draining', 'paused'])
export type NodeMode = z.infer<typeof nodeModeSchema>

export const nodeViewSchema = z.strictObject({
  nodeId: z.string(),
  state: z.enum(['online', 'offline']),
  mode: nodeModeSchema,
  hello: nodeHelloSchema.omit({ activeRuns: true, instanceId: true }),
  heartbeat: heartbeatSchema.omit({ activeRuns: true }).nullable(),
  /** Runs it holds now. */
  runIds: z.array(z.string()),
  firstSeenMs: z.number(),
  lastSeenMs: z.number(),
})
export type NodeView = z.infer<typeof nodeViewSchema>
