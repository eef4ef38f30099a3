/**
 * A run with one process per device: starts an MPI job and forwards what its ranks tell. A job is all or nothing: when a
 * rank is lost the launcher ends the others, and the attempt fails with COLLECTIVE_FAILED; where several nodes share the
 * run it is lost, which is no fault of the run, and the server starts it again from its checkpoint.
 */
import { errorPayload, RankscopeError, type RecordBody, type RunConfig } from '@rankscope/protocol'
import type { RunEnvironment, RunOutcome } from './environment.ts'
import { followGang } from './gang-follower.ts'
import { GangLeader } from './gang-leader.ts'
import { type HostRanks, type Job, startJob } from './mpi-job.ts'
import { RankHost } from './rank-host.ts'

type Failure = Extract<RunOutcome, { state: 'failed' }>

/** What the ranks have said so far. */
interface Told {
  /** Rank 0's. */
  outcome: RunOutcome | null
  /** The first of any rank that is not merely left alone by another. */
  failure: Failure | null
  /** Whether rank 0 told of a failure itself. */
  failed: boolean
  /** Ranks that came to their end. */
  completed: Set<number>
  steps: number
}

/** Runs `config` with K ranks, or what of them is this node's. Never throws, as executeRun. */
export async function runRanks(config: RunConfig, environment: RunEnvironment): Promise<RunOutcome> {
  const { gang, emit } = environment
  if (gang && gang.members[0]?.nodeId !== gang.nodeId) return followGang(config, environment, gang)
  const told: Told = { outcome: null, failure: null, failed: false, completed: new Set(), steps: 0 }
  const hear = (rank: number, outcome: RunOutcome) => {
    if (outcome.state !== 'failed') told.completed.add(rank)
    if (rank === 0) told.outcome = outcome
    else if (outcome.state === 'failed') told.failure ??= outcome
  }
  const { devices } = config.parallel
  const host = new RankHost({
    config,
    environment,
    devices: gang?.members[0]?.devices ?? devices,
    firstRankHere: 0,
    isShared: gang !== undefined,
    outcome: hear,
    record: (body) => emit(note(told, body)),
  })
  const leader = gang ? new GangLeader(config, environment, gang, hear) : null
  let job: Job | null = null
  try {
    await host.open()
    if (leader) {
      leader.onLoss = () => job?.end()
      const start = await leader.gather(host.folder, host.command)
      leader.requireWhole()
      job = start()
    } else job = startJob([{ address: null, devices, command: host.command } satisfies HostRanks])
    const ended = await job.ended
    host.killRanks()
    await host.lastWords()
    await leader?.lastWords(() => told.completed.size === devices || told.failure !== null)
    return conclude(told, devices, ended, emit, leader)
  } catch (error) {
    return fail(errorPayload(error), told, emit, leader)
  } finally {
    leader?.end()
    host.close()
  }
}

function note(told: Told, body: RecordBody): RecordBody {
  if (body.kind === 'lifecycle' && body.state === 'failed') told.failed = true
  if (body.kind === 'scalars') told.steps = body.step
  return body
}

/** Success is the word of every rank, whatever the launcher's exit code says. */
function conclude(
  told: Told,
  devices: number,
  ended: string,
  emit: RunEnvironment['emit'],
  leader: GangLeader | null,
): RunOutcome {
  if (told.failed && told.outcome) return told.outcome
  const failure = told.failure ?? (told.outcome?.state === 'failed' ? told.outcome : null)
  // Where every rank fails alike, the run fails once.
  if (failure) return fail(failure.error, told, emit, leader)
  if (told.outcome && (leader === null || told.completed.size === devices)) return told.outcome
  // Rank 0 said so after it had heard of every rank's end: only the last message of another one is missing.
  if (told.outcome) return told.outcome
  const lost = leader?.loss ?? null
  throw new RankscopeError('COLLECTIVE_FAILED', lost ?? `the MPI job ended (${ended}) before its run did`, {
    hint: 'A rank was lost; start the run again from its checkpoint.',
  })
}

/** What a lost rank, host or link brings about is no failure of a run that several nodes share. */
function fail(
  error: Failure['error'],
  told: Told,
  emit: RunEnvironment['emit'],
  leader: GangLeader | null,
): RunOutcome {
  const state = leader !== null && error.code === 'COLLECTIVE_FAILED' ? 'lost' : 'failed'
  emit({ kind: 'lifecycle', state, error })
  return { state: 'failed', steps: told.steps, error }
}
