/** A sweep as a person writes it in a JSON file: like SweepSpec, but an axis may say its values in words. Pure. */
import {
  parseOrThrow,
  RankscopeError,
  type SweepSpec,
  sweepAxisSchema,
  sweepSpecFields,
} from '@rankscope/protocol'
import { z } from 'zod'
import { parseAxisText } from './axis-text.ts'

const writtenAxis = sweepAxisSchema.extend({
  values: z.union([sweepAxisSchema.shape.values, z.string().min(1)]),
})
const writtenSweep = sweepSpecFields.extend({ axes: z.array(writtenAxis).min(1).max(8) })

/** CONFIG_INVALID says what is wrong and at which path. */
export function readSweep(value: unknown, subject: string): SweepSpec {
  const written = parseOrThrow(writtenSweep, value, 'CONFIG_INVALID', subject)
  const axes = written.axes.map(({ path, values }) => {
    if (typeof values !== 'string') return { path, values }
    try {
      return { path, values: parseAxisText(values) }
    } catch (error) {
      if (!(error instanceof RankscopeError)) throw error
      throw new RankscopeError('CONFIG_INVALID', `${subject}: axis ${path}: ${error.message}`, {
        cause: error,
        ...(error.hint === null ? {} : { hint: error.hint }),
      })
    }
  })
  return parseOrThrow(sweepSpecFields, { ...written, axes }, 'CONFIG_INVALID', subject)
}
