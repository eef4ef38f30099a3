/** Preview of data: the first examples as the model would see them, token by token, asked of a node before a launch. */
import { z } from 'zod'
import { dataCountsSchema } from './records.ts'
import { runConfigSchema } from './run-config.ts'

/** Examples of one preview, and tokens of each: enough to see whether template and labels are right. */
export const previewLimits = { examples: 20, tokens: 2048 } as const

export const previewRequestSchema = z.strictObject({
  config: runConfigSchema,
  examples: z.int().min(1).max(previewLimits.examples),
})
export type PreviewRequest = z.infer<typeof previewRequestSchema>

export const previewSchema = z.strictObject({
  examples: z
    .array(
      z.strictObject({
        /** The source that it comes from. */
        source: z.string(),
        tokens: z
          .array(
            z.strictObject({
              id: z.int(),
              /** What it spells; U+FFFD for a part of a character. */
              text: z.string(),
              /** Whether the model is trained to write it. */
              trained: z.boolean(),
            }),
          )
          .max(previewLimits.tokens),
        /** Tokens that the example has in all, after it was cut to the maximum length. */
        length: z.int().min(1),
      }),
    )
    .max(previewLimits.examples),
  /** Of the records that were read for the preview. */
  counts: z.array(dataCountsSchema),
  notes: z.array(z.string()),
})
export type DataPreview = z.infer<typeof previewSchema>

/** POST /api/preview: `nodeId` null asks the first online node. */
export const previewBody = previewRequestSchema.extend({
  nodeId: z.string().min(1).max(64).nullable().default(null),
})
export const previewAnswer = previewSchema.extend({ nodeId: z.string() })
export type PreviewAnswer = z.infer<typeof previewAnswer>
