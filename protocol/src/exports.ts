/**
 * Exports after the fact: what a checkpoint, and so a finished run, can be written as. A request goes from the browser
 * or a script to the server, from there to the node that holds the files, which works on it in a process of its own and
 * tells how far it is. Configurations name the same forms for the end of a run (run-config.ts, `export`).
 */
import { z } from 'zod'
import { errorPayloadSchema } from './errors.ts'
import { field } from './field.ts'
import { idSchema, pathSchema } from './name.ts'
import { longText } from './text.ts'

export const storedDtypes = ['float32', 'bfloat16', 'float16'] as const

const baseModel = field(pathSchema().nullable().default(null), {
  title: 'Base model',
  description:
    'What adapter_config.json names as the base: a folder or a name that PEFT can load. Empty: the folder that the run trained from.',
})

const requests = {
  model: z.strictObject({
    as: z.literal('model'),
    dtype: field(z.enum(storedDtypes).default('float32'), {
      title: 'Stored as',
      description: 'Type of the merged weights. bfloat16 and float16 round away small changes.',
    }),
    shardGib: field(z.number().min(0.0001).max(1024).nullable().default(null), {
      title: 'Split at',
      description: 'Largest size of one file of weights; empty: a single file.',
      unit: 'GiB',
    }),
  }),
  adapter: z.strictObject({ as: z.literal('adapter'), baseModel }),
  lora: z
    .strictObject({
      as: z.literal('lora'),
      rank: field(z.int().min(1).max(4096).nullable().default(null), {
        title: 'Rank',
        description: 'Rank of the truncated SVD of ΔW.',
      }),
      energy: field(z.number().gt(0).max(1).nullable().default(null), {
        title: 'Energy',
        description:
          'Instead of a rank: the share of ‖ΔW‖_F² that is kept in every module, by the smallest rank that does.',
      }),
      baseModel,
    })
    .refine(({ rank, energy }) => (rank === null) !== (energy === null), 'needs either a rank or an energy'),
  delta: z.strictObject({ as: z.literal('delta') }),
  /** Writes nothing: what each of the other forms would lose. */
  outlook: z.strictObject({ as: z.literal('outlook') }),
} as const

export const exportRequestSchema = z.discriminatedUnion('as', [
  requests.model,
  requests.adapter,
  requests.lora,
  requests.delta,
  requests.outlook,
])
export type ExportRequest = z.output<typeof exportRequestSchema>
export type ExportForm = ExportRequest['as']
export type ExportRequestOf<F extends ExportForm> = Extract<ExportRequest, { as: F }>
export const exportForms = Object.keys(requests) as ExportForm[]

/** What the forms would lose of ΔW, over the target modules together and where it is worst. */
export const exportOutlookSchema = z.strictObject({
  modules: z.int().min(1),
  /** ‖ΔW‖_F over all modules. */
  frobenius: z.number(),
  /** Of the entries that training changed, the share whose stored value differs from the stored base. */
  survives: z.strictObject({ bfloat16: z.number(), float16: z.number() }).nullable(),
  /** ‖ΔW − ΔW_R‖_F / ‖ΔW‖_F of the truncated SVD, by rank R: over all modules, and of the worst one. */
  byRank: z
    .array(z.strictObject({ rank: z.int(), error: z.number(), worst: z.number(), module: z.string() }))
    .max(64),
  /** The least rank that keeps the share of ‖ΔW‖_F² in every module. */
  byEnergy: z.array(z.strictObject({ energy: z.number(), rank: z.int() })).max(16),
})
export type ExportOutlook = z.infer<typeof exportOutlookSchema>

export const exportStates = ['waiting', 'running', 'finished', 'failed', 'cancelled'] as const
export type ExportState = (typeof exportStates)[number]

export function isExportOver(state: ExportState): boolean {
  return state !== 'waiting' && state !== 'running'
}

export const exportJobSchema = z.strictObject({
  jobId: idSchema,
  runId: idSchema,
  /** Of the checkpoint that is exported. */
  attempt: z.int().min(1),
  step: z.int().min(0),
  request: exportRequestSchema,
  state: z.enum(exportStates),
  /** Share done, 0..1, or null where it cannot be known. */
  progress: z.number().min(0).max(1).nullable(),
  detail: longText.nullable(),
  /** Why it failed. */
  error: errorPayloadSchema.nullable(),
  /** What was written: folder on the node, bytes; null until then, and for an outlook. */
  path: longText.nullable(),
  bytes: z.int().min(0).nullable(),
  /** What is to be known of the result, e.g. what a truncation leaves out. */
  notes: z.array(longText).max(100),
  outlook: exportOutlookSchema.nullable(),
  createdMs: z.number(),
  endedMs: z.number().nullable(),
})
export type ExportJob = z.infer<typeof exportJobSchema>

/** Server to node. `checkpoint`: its folder as the node told of it; null: the newest one of the run. */
export const startExportSchema = z.strictObject({
  jobId: idSchema,
  runId: idSchema,
  checkpoint: longText.nullable(),
  request: exportRequestSchema,
})
export type StartExport = z.infer<typeof startExportSchema>

export const cancelExportSchema = z.strictObject({ jobId: idSchema })
export type CancelExport = z.infer<typeof cancelExportSchema>

/** Node to server: jobs that changed, or, after hello, all that this daemon knows of (`isAll`). */
export const exportsToldSchema = z.strictObject({
  nodeId: idSchema,
  jobs: z.array(exportJobSchema).max(1000),
  isAll: z.boolean(),
})
export type ExportsTold = z.infer<typeof exportsToldSchema>

/** POST /api/runs/:runId/exports */
export const createExportBody = z.strictObject({
  request: exportRequestSchema,
  checkpoint: longText.nullable().default(null),
})
/** GET /api/runs/:runId/exports: newest first. */
export const exportsAnswer = z.strictObject({ jobs: z.array(exportJobSchema) })
