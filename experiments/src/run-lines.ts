/**
 * A run’s records as lines of JSON in four files, as `npm run train` writes them and as the folder of a sweep holds them.
 * Numbers that JSON cannot spell (NaN, infinities) are written as strings. Pure.
 */
import {
  fromFloat64Bytes,
  parseOrThrow,
  type RecordBody,
  recordBodySchema,
  toFloat64Bytes,
  toJsonNumber,
} from '@rankscope/protocol'

export const runFileNames = ['metrics', 'spectra', 'samples', 'log'] as const
export type RunFileName = (typeof runFileNames)[number]
export type RunLine = { file: RunFileName; value: Record<string, unknown> }

/** Which file a record goes to, and its line; null for what no file tells: phases, and the summary, which has its own. */
export function lineOfRecord(body: RecordBody, timeMs: number): RunLine | null {
  const line = (file: RunFileName, value: object): RunLine => ({
    file,
    value: { ...(speakable(value) as Record<string, unknown>), timeMs },
  })
  switch (body.kind) {
    case 'scalars':
      return line('metrics', { step: body.step, ...body.values })
    case 'spectrum': {
      const { kind: _, ...rest } = body
      return line('spectra', rest)
    }
    case 'sample': {
      const { kind: _, ...rest } = body
      return line('samples', rest)
    }
    case 'start':
    case 'evaluation':
    case 'checkpoint':
    case 'artifact':
    case 'log':
    case 'lifecycle':
      return line('log', body)
    case 'phase':
    case 'summary':
      return null
    default:
      return body satisfies never
  }
}

/**
 * The record that a line was written from, and when; null for the time in files of older versions. MESSAGE_INVALID says
 * what is wrong with the line; `subject` says where it stands.
 */
export function recordOfLine(
  file: RunFileName,
  { timeMs, ...value }: Record<string, unknown>,
  subject: string,
): { body: RecordBody; timeMs: number | null } {
  const body = parseOrThrow(recordBodySchema, unparsedRecord(file, value), 'MESSAGE_INVALID', subject)
  return { body, timeMs: typeof timeMs === 'number' ? timeMs : null }
}

function unparsedRecord(file: RunFileName, value: Record<string, unknown>): unknown {
  switch (file) {
    case 'metrics': {
      const { step, ...values } = value
      return { kind: 'scalars', step, values: numbers(values) }
    }
    case 'spectra': {
      const { module, part, singularValues, profiles, ...rest } = value
      return {
        kind: 'spectrum',
        module,
        part,
        ...(numbers(rest) as object),
        singularValues: bytesOf(singularValues),
        ...(profiles === undefined ? {} : { profiles: eachBytes(profiles) }),
      }
    }
    case 'samples':
      return { kind: 'sample', ...value }
    case 'log':
      return value['kind'] === 'evaluation' ? numbers(value) : value
    default:
      return file satisfies never
  }
}

/** What is no list stays as it is, for the schema to refuse. */
function bytesOf(value: unknown): unknown {
  return Array.isArray(value) ? toFloat64Bytes(value.map(numbers) as number[]) : value
}

function eachBytes(value: unknown): unknown {
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([name, list]) => [name, bytesOf(list)]))
}

const spelled: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  '-Infinity': Number.NEGATIVE_INFINITY,
}

/** The same with numbers that are written as words read again. */
function numbers(value: unknown): unknown {
  if (typeof value === 'string') return spelled[value] ?? value
  if (Array.isArray(value)) return value.map(numbers)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, numbers(inner)]))
}

/** The same with NaN and infinities as strings, and float64 bytes as the numbers that they hold. */
export function speakable(value: unknown): unknown {
  if (typeof value === 'number') return toJsonNumber(value)
  if (value instanceof Uint8Array) return speakable([...fromFloat64Bytes(value)])
  if (Array.isArray(value)) return value.map(speakable)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, speakable(inner)]))
}
