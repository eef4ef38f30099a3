/**
 * Messages between a GPU node and the server, socket.io namespace `/node`, msgpack parser. The token comes with the
 * request that opens the socket, `Authorization: Bearer`; handshake auth: { protocolVersion }. Every event is acknowledged with `Ack`.
 */
import { z } from 'zod'
import { errorCodeSchema, errorPayloadSchema } from './errors.ts'
import type { CancelExport, ExportJob, ExportsTold, StartExport } from './exports.ts'
import { type GangMessage, gangSchema, reachSchema } from './gang.ts'
import type { MemoryPlan } from './memory-estimate.ts'
import { idSchema, nameLengths, nameSchema, pathSchema } from './name.ts'
import type { DataPreview, PreviewRequest } from './preview.ts'
import { runRecordSchema } from './records.ts'
import { runConfigSchema } from './run-config.ts'

export const nodeNamespace = '/node'

/** A frame that is longer ends the connection: whoever sends splits its batch, and sets a record aside that is longer alone. */
export const largestMessageBytes = 64 * 2 ** 20

const name = nameSchema(nameLengths.name)
/** What a machine says of itself, to be read by people. */
const description = z.string().max(4000)

export const nodeDeviceSchema = z.strictObject({
  id: name,
  kind: z.enum(['cpu', 'gpu']),
  name: description,
  memoryBytes: z.number(),
  cores: z.int().nullable(),
})

export const backendReportSchema = z.strictObject({
  name,
  available: z.boolean(),
  /** Why it is not available, or what the self-check measured. */
  detail: description,
})

/** A node names no more than these. */
export const offeringLimits = { models: 2000, data: 2000 } as const

/** A base model or a data file that the node offers, inside the folders its owner allowed. */
export const nodeModelSchema = z.strictObject({
  /** What `model.path` of a RunConfig takes. */
  path: pathSchema(),
  name: pathSchema(),
  parameters: z.int().nullable(),
  hiddenSize: z.int().nullable(),
  layers: z.int().nullable(),
  vocabulary: z.int().nullable(),
})
export const nodeDataSchema = z.strictObject({ path: pathSchema(), bytes: z.int() })

export const nodeHelloSchema = z.strictObject({
  /** Stable across restarts of the daemon (kept in its state folder). */
  nodeId: idSchema,
  /** Made anew by each daemon process: tells a daemon that came back from a second one with the same node id. */
  instanceId: idSchema,
  name,
  softwareVersion: name,
  hostname: nameSchema(255),
  platform: description,
  devices: z.array(nodeDeviceSchema).max(256),
  /** How many runs at a time; a run with one process per device takes as many as it has devices here. */
  slots: z.int().min(1).max(256),
  threadsPerRun: z.int().min(1),
  /** How ranks of other nodes reach it; null where it takes part in runs of its own only. */
  reach: reachSchema.nullable(),
  backends: z.array(backendReportSchema).max(64),
  /** The backend that `auto` takes here. */
  selectedBackend: name,
  models: z.array(nodeModelSchema).max(offeringLimits.models),
  data: z.array(nodeDataSchema).max(offeringLimits.data),
  /** Runs whose process is alive, so that the server can reconcile after either side restarted. */
  activeRuns: z.array(z.strictObject({ runId: idSchema, attempt: z.int().min(1) })),
})
export type NodeHello = z.infer<typeof nodeHelloSchema>

/** What one GPU does; null where it does not measure that. */
export const gpuReadingSchema = z.strictObject({
  index: z.int().min(0),
  name: description,
  /** Share of the last moments in which a kernel ran, 0..1. */
  utilization: z.number().nullable(),
  memoryUsedBytes: z.number().nullable(),
  memoryTotalBytes: z.number().nullable(),
  powerWatts: z.number().nullable(),
  temperatureCelsius: z.number().nullable(),
})
export type GpuReading = z.infer<typeof gpuReadingSchema>

export const heartbeatSchema = z.strictObject({
  nodeId: idSchema,
  timeMs: z.number(),
  loadAverage: z.number(),
  freeMemoryBytes: z.number(),
  gpus: z.strictObject({
    readings: z.array(gpuReadingSchema).max(256),
    /** Why there are none; null where there are. */
    absent: description.nullable(),
  }),
  /** Records in the spool that the server has not acknowledged. */
  spooledRecords: z.int().min(0),
  activeRuns: z.array(
    z.strictObject({
      runId: idSchema,
      attempt: z.int().min(1),
      residentMemoryBytes: z.number().nullable(),
    }),
  ),
})
export type Heartbeat = z.infer<typeof heartbeatSchema>

export const recordBatchSchema = z.strictObject({
  nodeId: idSchema,
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
  abandon: z.array(z.strictObject({ runId: idSchema, attempt: z.int().min(1) })),
})
export type Welcome = z.infer<typeof welcomeSchema>

export const assignmentSchema = z.strictObject({
  runId: idSchema,
  attempt: z.int().min(1),
  name,
  config: runConfigSchema,
  /** Checkpoint folder on the node to go on from, or null to start afresh. */
  resumeFrom: z.string().nullable(),
  /** The nodes that share the run, the first of which leads; null where this one has it alone. */
  gang: gangSchema.nullable(),
})
export type Assignment = z.infer<typeof assignmentSchema>

export const nodeCommandSchema = z.strictObject({
  runId: idSchema,
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
export const deleteRunSchema = z.strictObject({ runId: idSchema })
export type DeleteRun = z.infer<typeof deleteRunSchema>
export const deletedRunSchema = z.strictObject({
  /** What its files took. */
  freedBytes: z.int().min(0),
})
export type DeletedRun = z.infer<typeof deletedRunSchema>

/** Every acknowledgement: a value, or a coded error. */
export const ackSchema = z.discriminatedUnion('ok', [
  z.strictObject({ ok: z.literal(true), value: z.unknown() }),
  z.strictObject({ ok: z.literal(false), error: errorPayloadSchema }),
])
export type Ack<T> = { ok: true; value: T } | { ok: false; error: z.infer<typeof errorPayloadSchema> }

export type NodeToServerEvents = {
  hello: (hello: NodeHello, ack: (answer: Ack<Welcome>) => void) => void
  heartbeat: (heartbeat: Heartbeat, ack: (answer: Ack<null>) => void) => void
  records: (batch: RecordBatch, ack: (answer: Ack<RecordAck>) => void) => void
  exports: (told: ExportsTold, ack: (answer: Ack<null>) => void) => void
  /** To be passed on to another node of the same attempt. NOT_FOUND or NODE_LOST where it did not arrive. */
  gang: (message: GangMessage, ack: (answer: Ack<null>) => void) => void
}
export type ServerToNodeEvents = {
  assign: (assignment: Assignment, ack: (answer: Ack<null>) => void) => void
  command: (command: NodeCommand, ack: (answer: Ack<null>) => void) => void
  /** From another node of the same attempt. */
  gang: (message: GangMessage, ack: (answer: Ack<null>) => void) => void
  estimate: (request: EstimateRequest, ack: (answer: Ack<MemoryPlan>) => void) => void
  preview: (request: PreviewRequest, ack: (answer: Ack<DataPreview>) => void) => void
  startExport: (request: StartExport, ack: (answer: Ack<ExportJob>) => void) => void
  /** What is under way ends, and what it wrote goes. */
  cancelExport: (request: CancelExport, ack: (answer: Ack<null>) => void) => void
  deleteRun: (request: DeleteRun, ack: (answer: Ack<DeletedRun>) => void) => void
  /** Whether the daemon behind this link is alive. */
  present: (ack: (answer: Ack<null>) => void) => void
}
