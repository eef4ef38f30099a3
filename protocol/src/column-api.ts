/**
 * Routes whose answers are columns (`columns.ts`): series of several runs in one request, measures and singular values
 * of spectra. Each answer is bounded and says where to go on. docs/protocol.md, “Columns”, has the rules.
 */
import { z } from 'zod'
import { analysisProfileNames } from './analyses.ts'
import { columnBytes, precisionSchema, stepColumnSchema } from './columns.ts'
import { spectrumParts } from './records.ts'

/** POST /api/series. Bounds keep one answer to some megabytes. */
export const seriesRequest = z.strictObject({
  queries: z
    .array(
      z.strictObject({
        runId: z.string().max(64),
        names: z.array(z.string().max(512)).min(1).max(64),
        /** At most so many points (or buckets) per series; a narrower range of steps is read finer. */
        points: z.int().min(1).max(20_000).default(1000),
        fromStep: z.int().min(0).optional(),
        toStep: z.int().min(0).optional(),
      }),
    )
    .min(1)
    .max(256),
  precision: precisionSchema,
  /** Times of the points too. */
  times: z.boolean().default(false),
})
export type SeriesRequest = z.input<typeof seriesRequest>

export const seriesAnswer = z.strictObject({
  /** One entry per query that was answered, in order; null where there is no such run. */
  runs: z.array(
    z
      .strictObject({
        runId: z.string(),
        /** Those of the wanted series that the run has. Columns have one number per step. */
        series: z.array(
          z.strictObject({
            name: z.string(),
            /** Points of the run in the range; fewer steps mean that points were joined to buckets. */
            total: z.int(),
            steps: stepColumnSchema,
            last: columnBytes,
            /** Extremes of each bucket; null where nothing was joined. */
            min: columnBytes.nullable(),
            max: columnBytes.nullable(),
            /** Points of each bucket that are NaN, as uint32; null where nothing was joined. */
            nanCounts: columnBytes.nullable(),
            /** float64 whatever the precision; null unless asked for. */
            timesMs: columnBytes.nullable(),
          }),
        ),
        /** Cursor up to which the answer is complete; subscribe after it. */
        cursor: z.int(),
      })
      .nullable(),
  ),
  /** Index of the first query that no longer fitted; ask it and those after it again. null: all are answered. */
  next: z.int().nullable(),
})
export type SeriesAnswer = z.infer<typeof seriesAnswer>

/** GET /api/runs/:runId/series: names only, ascending. */
export const seriesNamesAnswer = z.strictObject({
  names: z.array(z.string()),
  /** The name to ask on after; null at the end. */
  next: z.string().nullable(),
  cursor: z.int(),
})

/** GET /api/runs/:runId/spectra/modules: which spectra there are. Modules measured at the same steps share a group. */
export const spectraModulesAnswer = z.strictObject({
  groups: z.array(
    z.strictObject({
      part: z.enum(spectrumParts),
      final: z.boolean(),
      modules: z.array(z.string()),
      /** Ascending. */
      steps: z.array(z.int()),
    }),
  ),
  /** [rows, columns] of each module. */
  shapes: z.record(z.string(), z.tuple([z.int(), z.int()])),
  cursor: z.int(),
})
export type SpectraModulesAnswer = z.infer<typeof spectraModulesAnswer>

/**
 * POST /api/runs/:runId/spectra/measures: all measures of one module, one measure of all modules, or one step of
 * both. `frobenius` counts as a measure.
 */
export const spectraMeasuresRequest = z.strictObject({
  part: z.enum(spectrumParts).default('total'),
  final: z.boolean().default(false),
  /** All modules where left out. */
  modules: z.array(z.string().max(512)).min(1).max(1024).optional(),
  measures: z.array(z.string().max(60)).min(1).max(32),
  fromStep: z.int().min(0).optional(),
  toStep: z.int().min(0).optional(),
  /** Go on after this module: the `next` of the answer before. */
  after: z.string().max(512).optional(),
  precision: precisionSchema,
})
export type SpectraMeasuresRequest = z.input<typeof spectraMeasuresRequest>
export const spectraMeasuresAnswer = z.strictObject({
  /** Ascending by name. */
  modules: z.array(
    z.strictObject({
      module: z.string(),
      steps: stepColumnSchema,
      /** One column per wanted measure, in the order of the request; NaN where a spectrum has none. */
      values: z.array(columnBytes),
    }),
  ),
  /** The module to ask on after; null at the end. */
  next: z.string().nullable(),
  cursor: z.int(),
})
export type SpectraMeasuresAnswer = z.infer<typeof spectraMeasuresAnswer>

/** POST /api/runs/:runId/spectra/values: single spectra. */
export const spectraValuesRequest = z.strictObject({
  items: z
    .array(
      z.strictObject({
        module: z.string().max(512),
        part: z.enum(spectrumParts).default('total'),
        step: z.int().min(0),
        final: z.boolean().default(false),
      }),
    )
    .min(1)
    .max(1024),
  precision: precisionSchema,
})
export type SpectraValuesRequest = z.input<typeof spectraValuesRequest>
/** POST /api/runs/:runId/spectra/profiles: what analyses give of single spectra. */
export const spectraProfilesRequest = spectraValuesRequest
  .omit({ precision: true })
  .extend({ names: z.array(z.enum(analysisProfileNames)).min(1).max(analysisProfileNames.length) })
export type SpectraProfilesRequest = z.input<typeof spectraProfilesRequest>
export const spectraProfilesAnswer = z.strictObject({
  /** Of each item in order the wanted profiles that it has, as float64; null where there is no such spectrum. */
  spectra: z.array(z.partialRecord(z.enum(analysisProfileNames), columnBytes).nullable()),
  /** Index of the first item that no longer fitted; ask it and those after it again. */
  next: z.int().nullable(),
  cursor: z.int(),
})
export type SpectraProfilesAnswer = z.infer<typeof spectraProfilesAnswer>

export const spectraValuesAnswer = z.strictObject({
  /** Singular values of each item in order, descending; null where there is no such spectrum. */
  spectra: z.array(columnBytes.nullable()),
  /** Index of the first item that no longer fitted; ask it and those after it again. */
  next: z.int().nullable(),
  cursor: z.int(),
})
export type SpectraValuesAnswer = z.infer<typeof spectraValuesAnswer>
