/**
 * One RunConfig → one run that tells everything in records. The headless command line and the daemon's child
 * process call the same function.
 */
import type { RunConfig } from '@rankscope/protocol'
import type { RunEnvironment, RunOutcome } from './environment.ts'

export type { Roots, RunEnvironment, RunOutcome, RunRequest } from './environment.ts'
export { RunControl } from './environment.ts'

/**
 * Runs `config` (complete, as parsed by runConfigSchema) to its end, or until `environment.control` says otherwise.
 * Never throws: a failure is the last record, `lifecycle` with state `failed` and a coded error, and the outcome.
 */
export type ExecuteRun = (config: RunConfig, environment: RunEnvironment) => Promise<RunOutcome>
