/** The figures of a run's summary record, declared once: type, title and unit; lists, tables and plots read them from here. */
import { z } from 'zod'
import { anyNumber } from './number.ts'
import { frobeniusMeasure, rankMeasures } from './rank-measures.ts'
import { scalars } from './scalars.ts'

export type FigureMeta = {
  title: string
  /** Behind the title in brackets; null for pure numbers. */
  unit: string | null
  /** A share of 1, which is shown in percent. */
  isShare: boolean
}

/** A field of the summary with what it is called. */
function figure<S extends z.ZodType>(
  schema: S,
  title: string,
  unit: string | null = null,
  isShare = false,
): S {
  return schema.meta({ title, unit, isShare } satisfies FigureMeta) as S
}
const share = <S extends z.ZodType>(schema: S, title: string): S => figure(schema, title, null, true)
const perToken = scalars.evaluationLoss.unit
const overModules = 'mean over modules'

export const summaryFiguresSchema = z.strictObject({
  steps: figure(z.int().min(0), 'Steps'),
  finalLoss: figure(anyNumber.nullable(), 'Training loss at the end', perToken),
  evaluationLoss: figure(anyNumber.nullable(), scalars.evaluationLoss.title, perToken),
  accuracy: share(anyNumber.nullable(), scalars.accuracy.title),
  meanAccuracy: share(anyNumber.exactOptional(), scalars.meanAccuracy.title),
  /** On the text that training does not touch, after minus before; positive: something was forgotten. */
  forgetting: figure(anyNumber.nullable().exactOptional(), 'Forgetting', perToken),
  /** The loss behind it, after training. */
  untouchedLoss: figure(anyNumber.nullable().exactOptional(), scalars.untouchedLoss.title, perToken),
  /** After the last step, where the run has validation data: what settings are chosen by. */
  validationLoss: figure(anyNumber.nullable().exactOptional(), scalars.validationLoss.title, perToken),
  validationAccuracy: share(anyNumber.nullable().exactOptional(), scalars.validationAccuracy.title),
  validationMeanAccuracy: share(anyNumber.exactOptional(), 'Validation mean over sources'),
  baseAccuracy: share(anyNumber.nullable(), 'Accuracy before training'),
  /** Means over the target modules of the final total spectra; the first two over those whose ΔW is not zero. */
  effectiveRank: figure(anyNumber.nullable(), rankMeasures.effectiveRank.title, overModules),
  stableRank: figure(anyNumber.nullable(), rankMeasures.stableRank.title, overModules),
  numericalRank: figure(anyNumber.nullable(), rankMeasures.numericalRank.title, overModules),
  frobenius: figure(anyNumber.nullable(), frobeniusMeasure.title, overModules),
  /** At the method's outermost mark (r, 2r or 2Kr), over the modules where it is defined (q < d, s_q > 0); null without one. */
  tailRatio: figure(anyNumber.nullable().exactOptional(), 'Tail ratio', overModules),
  trainableParameters: figure(z.int().min(0), 'Trainable parameters'),
  tokens: figure(z.int().min(0), scalars.tokens.title),
  tokensPerSecond: figure(anyNumber.nullable(), 'Tokens/s'),
  trainingSeconds: figure(anyNumber, 'Training time', 's'),
  /** Over processes alone: mean over the steps of what one process received from the others. */
  receivedBytesPerStep: figure(anyNumber.exactOptional(), 'Received per step', 'bytes'),
})

export type SummaryFigure = keyof typeof summaryFiguresSchema.shape
export const summaryFigureNames = Object.keys(summaryFiguresSchema.shape) as SummaryFigure[]

/** What a figure is called; null for a name that the summary does not have. */
export function figureMeta(name: string): FigureMeta | null {
  const schema = (summaryFiguresSchema.shape as Record<string, z.ZodType>)[name]
  return (schema?.meta() as FigureMeta | undefined) ?? null
}

/** `Forgetting (nats per token)`: for an axis or a heading. A name that nobody knows stands for itself. */
export function figureLabel(name: string): string {
  const meta = figureMeta(name)
  return meta === null ? name : meta.unit === null ? meta.title : `${meta.title} (${meta.unit})`
}
