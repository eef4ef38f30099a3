/** JSON Schema of a RunConfig with the form metadata (title, description, unit, …): source of the launch form and of the docs. */
import { z } from 'zod'
import { runConfigSchema } from './run-config.ts'

export function runConfigJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(runConfigSchema, { io: 'input', unrepresentable: 'any' }) as Record<string, unknown>
}
