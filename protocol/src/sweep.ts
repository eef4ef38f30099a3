/**
 * A sweep: one base configuration and axes, each a setting with several values. Its runs are made by whoever launches it
 * (`experiments/`, in the browser and on the command line), so that what was asked is what was shown; the server keeps
 * the sweep with its runs, and holds, resumes or stops them together.
 */
import { z } from 'zod'
import { methodSchemas } from './method-config.ts'
import { nameLengths, nameSchema } from './name.ts'
import { runConfigSchema } from './run-config.ts'
import { runStates } from './run-state.ts'

/** What an axis may set: a number, a word, a flag, nothing, or a list of words (target modules). */
export const settingValueSchema = z.union([
  z.number(),
  z.string().max(200),
  z.boolean(),
  z.null(),
  z.array(z.string().max(200)).max(64),
])
export type SettingValue = z.infer<typeof settingValueSchema>

/** Path of a setting in a RunConfig, e.g. `optimizer.learningRate`; `method` alone stands for the method’s name. */
const settingPathSchema = z
  .string()
  .max(120)
  .regex(
    /^[A-Za-z][A-Za-z0-9]*(\.[A-Za-z][A-Za-z0-9]*)*$/,
    'a path of a setting, e.g. optimizer.learningRate',
  )

export const sweepAxisSchema = z.strictObject({
  path: settingPathSchema,
  values: z.array(settingValueSchema).min(1).max(1000),
})
export type SweepAxis = z.infer<typeof sweepAxisSchema>

/** More cannot be looked at. */
const mostAxes = 8

/** What the best setting of a method is chosen by, and what is then reported of it. */
export const selectionMetrics = ['accuracy', 'meanAccuracy', 'loss'] as const
export type SelectionMetric = (typeof selectionMetrics)[number]

const settings = z.record(z.string(), z.unknown())
const methodNames = Object.keys(methodSchemas) as [
  keyof typeof methodSchemas,
  ...(keyof typeof methodSchemas)[],
]

/** Without the bound on all of it, for what is made of them. */
export const sweepSpecFields = z.strictObject({
  name: nameSchema(nameLengths.name),
  /** A RunConfig without what the axes set; defaults may be left out. */
  base: settings,
  /** What a method has for itself, on top of `base`, e.g. its devices or its alpha. */
  methods: z.partialRecord(z.enum(methodNames), settings).default({}),
  axes: z.array(sweepAxisSchema).min(1).max(mostAxes),
  /** Only so many points of the grid, drawn by seed. */
  sample: z
    .strictObject({ points: z.int().min(1).max(4096), seed: z.int().min(0).default(0) })
    .nullable()
    .default(null),
  metric: z.enum(selectionMetrics).default('accuracy'),
  /** The recipe that it was made from: `full` compares with the paper’s numbers, `small` does not. */
  recipe: z
    .strictObject({ id: nameSchema(nameLengths.tag), scale: z.enum(['full', 'small']) })
    .nullable()
    .default(null),
})

/** Of one sweep’s base, methods and axes as JSON: lists of sweeps bring them. */
const largestSpecCharacters = 2 ** 18

export const sweepSpecSchema = sweepSpecFields.superRefine((spec, context) => {
  const { length } = JSON.stringify(spec)
  if (length > largestSpecCharacters)
    context.addIssue({
      code: 'custom',
      message: `the sweep’s base and axes have ${length} characters, at most ${largestSpecCharacters} are taken`,
    })
})
export type SweepSpec = z.output<typeof sweepSpecSchema>

/** The settings of one run of a sweep, by the axes’ paths; those that its method does not have are left out. */
export const sweepPointSchema = z
  .record(settingPathSchema, settingValueSchema)
  .refine((point) => Object.keys(point).length <= mostAxes, `has at most ${mostAxes} settings`)
export type SweepPoint = z.infer<typeof sweepPointSchema>

/** More runs than anyone waits for in one sweep. */
export const largestSweep = 4096
const plannedRuns = z.array(z.strictObject({ point: sweepPointSchema, config: runConfigSchema })).min(1)

/** Made up by the client: the same request, sent twice, makes one sweep. */
const requestId = z
  .string()
  .min(8)
  .max(64)
  .regex(/^[A-Za-z0-9_-]+$/)

/** POST /api/sweeps */
export const createSweepBody = z.strictObject({
  requestId,
  spec: sweepSpecSchema,
  runs: plannedRuns.max(largestSweep),
})
/** POST /api/sweeps/:sweepId/runs: more values, and the runs that they bring. */
export const extendSweepBody = z.strictObject({
  requestId,
  axes: sweepSpecFields.shape.axes,
  runs: plannedRuns.max(largestSweep),
})

/** active: its runs may start; paused: those that wait are held and those that train pause; stopped: all were stopped. */
export const sweepStates = ['active', 'paused', 'stopped'] as const
export type SweepState = (typeof sweepStates)[number]

export const sweepCommands = ['pause', 'resume', 'stop', 'retry-failed'] as const
export type SweepCommand = (typeof sweepCommands)[number]
/** POST /api/sweeps/:sweepId/commands */
export const sweepCommandBody = z.strictObject({ command: z.enum(sweepCommands) })

export const sweepViewSchema = z.strictObject({
  sweepId: z.string(),
  spec: sweepSpecSchema,
  state: z.enum(sweepStates),
  createdMs: z.number(),
  /** In the order in which they were queued; runs that were deleted are missing. */
  runs: z.array(z.strictObject({ runId: z.string(), point: sweepPointSchema })),
  counts: z.partialRecord(z.enum(runStates), z.int()),
})
export type SweepView = z.infer<typeof sweepViewSchema>
/** GET /api/sweeps: newest first, without their runs. */
export const sweepsAnswer = z.strictObject({
  sweeps: z.array(sweepViewSchema.omit({ runs: true })),
  /** Give it as `cursor` to read on; null at the end. */
  next: z.string().nullable(),
  total: z.int(),
})
export type SweepOverview = z.infer<typeof sweepsAnswer>['sweeps'][number]
