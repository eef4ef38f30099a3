/**
 * Messages between a GPU node and the server, socket.io namespace `/node`, msgpack parser. Handshake auth:
 * { token, protocolVersion }. Every event is acknowledged with `Ack`.
 */
import { z } from 'zod'
import { errorCodeSchema, type errorPayloadSchema } from './errors.ts'
import type { MemoryPlan } from './memory-estimate.ts'
import { runRecordSchema } from './records.ts'
import { runConfigSchema } from './run-config.ts'

export const nodeNamespace = '/node'

export const nodeDeviceSchema = z.strictObject({
  id: z.string(),
  kind: z.enum(['cpu', 'gpu']),
  name: z.string(),
  memoryBytes: z.number(),
  cores: z.int().nullable(),
})

export const backendReportSchema = z.strictObject({
  name: z.string(),
  available: z.boolean(),
  /** Why it is not available, or what the self-check measured. */
  detail: z.string(),
})

/** A base model or a data file that the node offers, inside the folders its owner allowed. */
export const nodeModelSchema = z.strictObject({
  /** What `model.path` of a RunConfig takes. */
  path: z.string(),
  name: z.string(),
  parameters: z.int().nullable(),
  hiddenSize: z.int().nullable(),
  layers: z.int().nullable(),
  vocabulary: z.int().nullable(),
})
export const nodeDataSchema = z.strictObject({ path: z.string(), bytes: z.int() })

export const nodeHelloSchema = z.strictObject({
  /** Stable across restarts of the daemon (kept in its state folder). */
  nodeId: z.string().min(1).max(64),
  name: z.string().min(1).max(120),
  softwareVersion: z.string(),
  hostname: z.string(),
  platform: z.string(),
  devices: z.array(nodeDeviceSchema),
  /** How many runs at a time. */
  slots: z.int().min(1).max(256),
  threadsPerRun: z.int().min(1),
  backends: z.array(backendReportSchema),
  /** The backend that `auto` takes here. */
  selectedBackend: z.string(),
  models: z.array(nodeModelSchema),
  data: z.array(nodeDataSchema),
  /** Runs whose process is alive, so that the server can reconcile after either side restarted. */
  activeRuns: z.array(z.strictObject({ runId: z.string(), attempt: z.int().min(1) })),
})
export type NodeHello = z.infer<typeof nodeHelloSchema>

export const heartbeatSchema = z.strictObject({
  nodeId: z.string(),
  timeMs: z.number(),
  loadAverage: z.number(),
  freeMemoryBytes: z.number(),
  /** Records in the spool that the server has not acknowledged. */
  spooledRecords: z.int().min(0),
  activeRuns: z.array(
    z.strictObject({
      runId: z.string(),
      attempt: z.int().min(1),
      residentMemoryBytes: z.number().nullable(),
    }),
  ),
})
export type Heartbeat = z.infer<typeof heartbeatSchema>

export const recordBatchSchema = z.strictObject({
  nodeId: z.string(),
  records: z.array(runRecordSchema).min(1).max(2000),
})
export type RecordBatch = z.infer<typeof recordBatchSchema>

/** Answer to a batch: everything not listed as rejected is on disk and may be forgotten by the spool; so may rejected ones. */
export const recordAckSchema = z.strictObject({
  rejected: z.array(
    z.strictObject({
      runId: z.string(),
      attempt: z.int(),
      seq: z.int(),
      code: errorCodeSchema,
      message: z.string(),
    }),
  ),
})
export type RecordAck = z.infer<typeof recordAckSchema>

export const welcomeSchema = z.strictObject({
  heartbeatEveryMs: z.int().min(100),
  /** Runs that the node reported alive but that the server no longer wants (a newer attempt runs elsewhere, or it was stopped). */
  abandon: z.array(z.strictObject({ runId: z.string(), attempt: z.int().min(1) })),
})
export type Welcome = z.infer<typeof welcomeSchema>

export const assignmentSchema = z.strictObject({
  runId: z.string(),
  attempt: z.int().min(1),
  name: z.string(),
  config: runConfigSchema,
  /** Checkpoint folder on the node to go on from, or null to start afresh. */
  resumeFrom: z.string().nullable(),
})
export type Assignment = z.infer<typeof assignmentSchema>

export const nodeCommandSchema = z.strictObject({
  runId: z.string(),
  attempt: z.int().min(1),
  command: z.enum(['stop', 'pause', 'checkpoint']),
})
export type NodeCommand = z.infer<typeof nodeCommandSchema>

/** Asks a node what a run would need there; nothing is started. */
export const estimateRequestSchema = z.strictObject({ config: runConfigSchema })
export type EstimateRequest = z.infer<typeof estimateRequestSchema>

/**
 * A run was deleted: its folders on the node (checkpoints, exports) go too. The server repeats it, also after a
 * restart of either side, until the node has answered; a node that knows nothing of the run answers 0.
 */
export const deleteRunSchema = z.strictObject({ runId: z.string().min(1).max(64) })
export type DeleteRun = z.infer<typeof deleteRunSchema>
export const deletedRunSchema = z.strictObject({
  /** What its files took. */
  freedBytes: z.int().min(0),
})
export type DeletedRun = z.infer<typeof deletedRunSchema>

/** Every acknowledgement: a value, or a coded error. */
export type Ack<T> = { ok: true; value: T } | { ok: false; error: z.infer<typeof errorPayloadSchema> }

export type NodeToServerEvents = {
  hello: (hello: NodeHello, ack: (answer: Ack<Welcome>) => void) => void
  heartbeat: (heartbeat: Heartbeat, ack: (answer: Ack<null>) => void) => void
  records: (batch: RecordBatch, ack: (answer: Ack<RecordAck>) => void) => void
}
export type ServerToNodeEvents = {
  assign: (assignment: Assignment, ack: (answer: Ack<null>) => void) => void
  command: (command: NodeCommand, ack: (answer: Ack<null>) => void) => void
  estimate: (request: EstimateRequest, ack: (answer: Ack<MemoryPlan>) => void) => void
  deleteRun: (request: DeleteRun, ack: (answer: Ack<DeletedRun>) => void) => void
}
