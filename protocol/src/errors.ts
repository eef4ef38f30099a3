/**
 * Coded errors. A user's mistake carries a stable code, what was wrong and where (`message`), and what
 * to try (`hint`). Bugs of ours are assertions, expected outcomes are return values.
 */
import { z } from 'zod'

/** Every code a user can meet, with the sentence that docs/protocol.md prints beside it. */
export const errorCodes = {
  CONFIG_INVALID: 'A run configuration does not fit its schema, or its settings contradict one another.',
  CONFIG_UNREADABLE: 'A configuration file is missing or is not JSON.',
  MODEL_NOT_FOUND: 'There is no model folder at the given path.',
  MODEL_UNSUPPORTED:
    'The folder holds a model that is not of the Llama family, or a variant that is not computed here.',
  MODEL_BROKEN: 'A model file cannot be read: a missing tensor, a wrong shape, a damaged header.',
  TOKENIZER_BROKEN:
    'The tokenizer files are missing, contradict the model, or ask for what is not computed here.',
  DATA_NOT_FOUND: 'There is no data file at the given path.',
  DATA_BROKEN: 'A data file has a line or a record that cannot be used.',
  DATA_EMPTY: 'No usable example is left after filtering.',
  PATH_FORBIDDEN: 'A path lies outside the folders that the node’s owner allowed.',
  RANK_TOO_LARGE: 'The requested rank exceeds what a target matrix has.',
  NUMERIC: 'A matrix or a loss holds NaN or infinity where a finite number is needed.',
  OUT_OF_MEMORY: 'The run does not fit into the memory that the node offers.',
  BACKEND_UNAVAILABLE: 'The requested backend cannot be loaded on this machine.',
  CHECKPOINT_BROKEN: 'A checkpoint cannot be read or belongs to another configuration.',
  COLLECTIVE_FAILED: 'A rank of a distributed run was lost or could not start.',
  HOSTS_DIFFER: 'The hosts of a distributed run hold different files or programs.',
  LAUNCHER_MISSING: 'What starts the ranks of a distributed run on other hosts is missing or not set up.',
  RUN_CRASHED: 'The run process ended without saying why.',
  NODE_LOST: 'The node stopped answering.',
  NODE_BUSY: 'The node has no free slot.',
  NODE_DUPLICATE: 'Another daemon with the same node id is connected.',
  SERVER_BUSY: 'The server holds as many connections as it may.',
  NOT_FOUND: 'The requested thing does not exist.',
  ILLEGAL_TRANSITION: 'The run’s state does not allow that command.',
  UNAUTHORIZED: 'The token is missing or wrong.',
  PROTOCOL_VERSION: 'The two sides speak different versions of the protocol.',
  MESSAGE_INVALID: 'A message does not fit its schema.',
  RECORD_CONFLICT: 'A record’s sequence number was already used by a different record.',
  STALE_ATTEMPT: 'The message belongs to an attempt of the run that a newer one has replaced.',
  STORE_FAILED: 'The store could not write or read.',
  STORE_FULL: 'The server’s disk is full: nothing is kept or acknowledged until there is room again.',
  STORE_BROKEN: 'The server’s database file is damaged or is no database.',
  FOLDER_IN_USE: 'Another process works on the same folder.',
  DISK_FULL: 'A disk has no room for what is to be written.',
  OPTION_INVALID: 'A command line has an unknown option, or one without its value.',
  FILE_UNUSABLE: 'A file or folder cannot be read, written or made.',
  ADDRESS_UNUSABLE: 'The address or port cannot be listened on.',
  HUB_FAILED: 'The Hugging Face Hub cannot be reached, or sent something else than it announced.',
  SETUP_MISSING: 'Something that the set-up installs is not there.',
  INTERNAL: 'A defect in Rankscope; the log has the details.',
} as const

export type ErrorCode = keyof typeof errorCodes
export const errorCodeSchema = z.enum(Object.keys(errorCodes) as [ErrorCode, ...ErrorCode[]])

/** The form in which an error crosses a boundary. */
export const errorPayloadSchema = z.strictObject({
  code: errorCodeSchema,
  message: z.string(),
  hint: z.string().nullable(),
})
export type ErrorPayload = z.infer<typeof errorPayloadSchema>

export class RankscopeError extends Error {
  readonly code: ErrorCode
  /** What to try, one sentence, or null where there is nothing sensible to say. */
  readonly hint: string | null

  constructor(code: ErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'RankscopeError'
    this.code = code
    this.hint = options.hint ?? null
  }

  toPayload(): ErrorPayload {
    return { code: this.code, message: this.message, hint: this.hint }
  }

  static fromPayload(payload: ErrorPayload): RankscopeError {
    return new RankscopeError(
      payload.code,
      payload.message,
      payload.hint === null ? {} : { hint: payload.hint },
    )
  }
}

const mostPlaces = 20
const short = (text: string) => (text.length > 300 ? `${text.slice(0, 300)}…` : text)

/** A zod error as one coded error that names each path, e.g. `optimizer.learningRate: must be > 0`. */
export function fromZodError(
  code: ErrorCode,
  subject: string,
  error: z.ZodError,
  hint?: string,
): RankscopeError {
  // Whoever sends nonsense by the megabyte does not get it back.
  const places = error.issues
    .slice(0, mostPlaces)
    .map((issue) => `${short(issue.path.map(String).join('.')) || '(top level)'}: ${short(issue.message)}`)
  if (error.issues.length > mostPlaces) places.push(`and ${error.issues.length - mostPlaces} more`)
  return new RankscopeError(code, `${subject}: ${places.join('; ')}`, {
    cause: error,
    ...(hint ? { hint } : {}),
  })
}

/** Parse at the edge: the value, or one coded error that names every path that is wrong. */
export function parseOrThrow<S extends z.ZodType>(
  schema: S,
  value: unknown,
  code: ErrorCode,
  subject: string,
): z.output<S> {
  const result = schema.safeParse(value)
  if (!result.success) throw fromZodError(code, subject, result.error)
  return result.data
}
