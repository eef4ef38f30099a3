/**
 * Hyperparameters are declared once. Type, default, range, unit and one sentence of help live in the zod
 * schema (`.meta`); the launch form, validation, the command line's help and the docs derive from it.
 */
import type { z } from 'zod'

export type FieldMeta = {
  /** Short label of the form field, in sentence case. */
  title: string
  /** One sentence: what it does, and where it comes from when that matters. */
  description: string
  /** Physical or counting unit, e.g. 'tokens', 'examples', 'ms'. */
  unit?: string
  /** Shown only when the reader asks for all settings. */
  advanced?: boolean
  /** Suggest a logarithmic slider or scientific notation. */
  logarithmic?: boolean
  /** Has its place elsewhere than in the launch form. */
  hidden?: boolean
}

/** Attach the metadata that forms, help texts and docs are made from. */
export function field<S extends z.ZodType>(schema: S, meta: FieldMeta): S {
  return schema.meta(meta) as S
}
