/**
 * Records: everything a run tells. A record is identified by (runId, attempt, seq), is stored before it is
 * acknowledged at each hop, and may be delivered more than once; storing it twice changes nothing.
 */
import { z } from 'zod'
import { analysisProfilesSchema } from './analyses.ts'
import { errorPayloadSchema } from './errors.ts'
import { idSchema, nameLengths, nameSchema } from './name.ts'
import { anyNumber, float64Bytes } from './number.ts'
import { rankMeasuresSchema } from './rank-measures.ts'
import { summaryFiguresSchema } from './summary-figures.ts'
import { largestTextCharacters, longText } from './text.ts'

/** total: ΔW = W_t − W_0. The other three add up to it (METHODS: attribution). */
export const spectrumParts = ['total', 'first-order', 'second-order', 'rounding'] as const
export type SpectrumPart = (typeof spectrumParts)[number]

/** What became of the records of one source in one split. `read` is `used` and everything that was skipped. */
export const dataCountsSchema = z.strictObject({
  /** The source's name, or its path or task as in the configuration. */
  source: longText,
  split: z.enum(['train', 'validation', 'test']),
  /** Records, rows or documents that were read. */
  read: z.int().min(0),
  /** Of them, those that are used. */
  used: z.int().min(0),
  /** Of the used ones, those that were cut to the maximum length. */
  truncated: z.int().min(0),
  /** How many were not used, by reason. */
  skipped: z.record(z.string().max(largestTextCharacters), z.int().min(0)),
  /** Token examples that the used ones give: blocks of a text, answers of a conversation. */
  examples: z.int().min(0),
  /** Examples of this source in one epoch: of a mix, its part. */
  perEpoch: z.int().min(0),
  /** Tokens of the examples. */
  tokens: z.int().min(0),
})
export type DataCounts = z.infer<typeof dataCountsSchema>

export const phaseNames = [
  'loading-model',
  'loading-data',
  'initialising',
  'decomposing',
  'training',
  'evaluating',
  'measuring-spectra',
  'checkpointing',
  'exporting',
  'finishing',
] as const
export type PhaseName = (typeof phaseNames)[number]

/** Of one record as MessagePack: a node sends none that is larger. */
export const maxRecordBytes = 48 * 2 ** 20

/** Of series and modules. */
const nameText = nameSchema(nameLengths.series)

/** Names of one record at most: a batch of such records still fits a frame. */
const largestCount = 10_000
const largestSpectrumBytes = 8 * 2 ** 20

function isCountable(values: object): boolean {
  return Object.keys(values).length <= largestCount
}

/** An item of a benchmark, as it was judged. */
export const itemSchema = z.strictObject({
  /** As scores name it, e.g. `GSM8K (lm-eval)`. */
  benchmark: nameText,
  id: longText,
  /** Which completion of the item, from 0. */
  sample: z.int().min(0),
  extracted: longText.nullable(),
  /** Where it is more than another answer: `timed out`, `AssertionError`. */
  reason: longText.nullable(),
})

const recordBody = {
  lifecycle: z.strictObject({
    kind: z.literal('lifecycle'),
    /** The state that the run process has reached. */
    /** lost: a rank, or what carried it, went away; the attempt is over and no fault of the run. */
    state: z.enum(['running', 'paused', 'stopped', 'finished', 'failed', 'lost']),
    error: errorPayloadSchema.nullable(),
  }),
  phase: z.strictObject({
    kind: z.literal('phase'),
    phase: z.enum(phaseNames),
    /** Share done, 0..1, or null where it cannot be known. */
    progress: z.number().min(0).max(1).nullable(),
    detail: longText.nullable(),
  }),
  start: z.strictObject({
    kind: z.literal('start'),
    backend: nameText,
    /** What is behind the backend: card, driver, libraries with their versions. Empty in records of older versions. */
    computedBy: longText.default(''),
    threads: z.int().min(1),
    totalSteps: z.int().min(1),
    startStep: z.int().min(0),
    trainableParameters: z.int().min(0),
    totalParameters: z.int().min(0),
    /** Shapes of the target modules, paper orientation [m, n]. */
    modules: z.array(z.strictObject({ name: nameText, rows: z.int(), columns: z.int() })).max(largestCount),
    warnings: z.array(longText).max(1000),
    /** What the data gave, source by source; empty in records of older versions. */
    data: z.array(dataCountsSchema).max(256).default([]),
  }),
  scalars: z.strictObject({
    kind: z.literal('scalars'),
    /** 1-based count of optimiser steps done; 0 before the first. */
    step: z.int().min(0),
    values: z.record(nameText, anyNumber).refine(isCountable, `must have at most ${largestCount} names`),
  }),
  spectrum: z.strictObject({
    kind: z.literal('spectrum'),
    step: z.int().min(0),
    module: nameText,
    part: z.enum(spectrumParts),
    rows: z.int().min(1),
    columns: z.int().min(1),
    /** Descending, float64. */
    singularValues: float64Bytes.refine(
      (bytes) => bytes.byteLength <= largestSpectrumBytes,
      `must hold at most ${largestSpectrumBytes / 8} values`,
    ),
    /** ‖ΔW‖_F */
    frobenius: anyNumber,
    measures: rankMeasuresSchema,
    /** What the analyses give per direction, band or earlier snapshot. Live messages leave it out. */
    profiles: analysisProfilesSchema.exactOptional(),
    /** Time the computation took, off the training thread. */
    elapsedMs: anyNumber,
    /** True for the spectra of all modules after training. */
    final: z.boolean(),
  }),
  log: z.strictObject({
    kind: z.literal('log'),
    level: z.enum(['debug', 'info', 'warning', 'error']),
    message: longText,
  }),
  sample: z.strictObject({
    kind: z.literal('sample'),
    step: z.int().min(0),
    index: z.int().min(0),
    prompt: longText,
    completion: longText,
    expected: longText.nullable(),
    correct: z.boolean().nullable(),
    /** Of an evaluation by benchmarks: whose item it is, what was taken from the completion, and why it is wrong. */
    item: itemSchema.exactOptional(),
  }),
  evaluation: z.strictObject({
    kind: z.literal('evaluation'),
    step: z.int().min(0),
    examples: z.int().min(0),
    loss: anyNumber.nullable(),
    /** Share of all that was answered, benchmarks included. */
    accuracy: anyNumber.nullable(),
    /** Mean over sources and benchmarks, each counting the same; absent where there is only one. */
    meanAccuracy: anyNumber.exactOptional(),
    /** By benchmark: how it was scored, and of how many items. */
    protocols: z.record(nameText, nameText).exactOptional(),
    /** What was evaluated on; absent: the test split. */
    split: z.enum(['validation', 'test']).exactOptional(),
    /** Accuracy by record type, where the data has types. */
    byType: z
      .record(nameText, z.strictObject({ examples: z.int(), accuracy: anyNumber }))
      .refine(isCountable, `must have at most ${largestCount} names`),
    elapsedMs: anyNumber,
  }),
  checkpoint: z.strictObject({
    kind: z.literal('checkpoint'),
    step: z.int().min(0),
    path: longText,
    bytes: z.int().min(0),
  }),
  artifact: z.strictObject({
    kind: z.literal('artifact'),
    /** delta: ΔW as safetensors; lora: a truncated SVD of ΔW as a PEFT adapter. */
    artifact: z.enum(['model', 'adapter', 'delta', 'lora']),
    path: longText,
    bytes: z.int().min(0),
  }),
  summary: z.strictObject({ kind: z.literal('summary'), ...summaryFiguresSchema.shape }),
} as const

export const recordBodySchema = z.discriminatedUnion('kind', [
  recordBody.lifecycle,
  recordBody.phase,
  recordBody.start,
  recordBody.scalars,
  recordBody.spectrum,
  recordBody.log,
  recordBody.sample,
  recordBody.evaluation,
  recordBody.checkpoint,
  recordBody.artifact,
  recordBody.summary,
])
export type RecordBody = z.infer<typeof recordBodySchema>
export type RecordKind = RecordBody['kind']
export const recordKinds = Object.keys(recordBody) as [RecordKind, ...RecordKind[]]
export type RecordBodyOf<K extends RecordKind> = Extract<RecordBody, { kind: K }>

/** A record as it travels and is stored. */
export const runRecordSchema = z.strictObject({
  runId: idSchema,
  /** 1-based; grows when a run is started again. */
  attempt: z.int().min(1),
  /** 1-based and without gaps within an attempt. */
  seq: z.int().min(1),
  /** When the trainer emitted it, milliseconds since the epoch. */
  timeMs: z.number(),
  body: recordBodySchema,
})
export type RunRecord = z.infer<typeof runRecordSchema>

/** A record with the server’s cursor: growing per run, so that a browser can ask for “what came after”. */
export const storedRecordSchema = runRecordSchema.extend({ cursor: z.int().min(1) })
export type StoredRecord = z.infer<typeof storedRecordSchema>
