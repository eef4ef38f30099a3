/**
 * What a run’s records say about the run, pure: state, phase, newest values, checkpoint, summary. Each fact
 * remembers the sequence number that it came from, so that the outcome does not depend on the order in which
 * the records of an attempt arrive.
 */
import {
  canTransition,
  type ErrorPayload,
  type GangMember,
  isSettled,
  type RunRecord,
  type RunState,
  type RunView,
  toJsonNumber,
} from '@rankscope/protocol'
import type { StoredRun } from '../store/store.ts'

export type RunProgress = Pick<
  RunView,
  'phase' | 'step' | 'totalSteps' | 'latest' | 'start' | 'summary' | 'checkpoint' | 'error'
> & {
  /** The node on whose disk the checkpoint lies. */
  checkpointNodeId: string | null
  /** Nodes that share this attempt; absent or empty where one has it alone. */
  gang?: readonly GangMember[]
  /** What this attempt was lost for, where it said so itself. */
  lostRank?: ErrorPayload
  /** Attempts in a row that were lost, and the checkpoint that all of them had. */
  losses?: { count: number; checkpointStep: number | null }
  /** Sequence number, within the current attempt, behind each fact; keys of `latest` carry the prefix `latest/`. */
  sources: Record<string, number>
  /** Step from which each attempt went on; what older attempts say about later steps is superseded. */
  rewinds: { attempt: number; startStep: number }[]
}

export function emptyProgress(): RunProgress {
  return {
    phase: null,
    step: 0,
    totalSteps: null,
    latest: {},
    start: null,
    summary: null,
    checkpoint: null,
    checkpointNodeId: null,
    error: null,
    sources: {},
    rewinds: [],
  }
}

/** The progress of an attempt that has said nothing yet: only what outlives an attempt. */
export function nextAttemptProgress(progress: RunProgress): RunProgress {
  return {
    ...emptyProgress(),
    step: progress.checkpoint?.step ?? 0,
    totalSteps: progress.totalSteps,
    latest: progress.latest,
    start: progress.start,
    checkpoint: progress.checkpoint,
    checkpointNodeId: progress.checkpointNodeId,
    rewinds: progress.rewinds,
    ...(progress.losses && { losses: progress.losses }),
  }
}

/** True where a newer attempt went on from before this step. */
export function isSuperseded(progress: RunProgress, attempt: number, step: number): boolean {
  return progress.rewinds.some((rewind) => rewind.attempt > attempt && step > rewind.startStep)
}

/** Bring a draft of the run up to date with one record of its current attempt. */
export function projectRecord(run: StoredRun, record: RunRecord): void {
  const { body, seq } = record
  const progress = run.progress
  /** True where nothing newer has spoken about this fact. */
  const isNews = (fact: string): boolean => {
    if ((progress.sources[fact] ?? 0) > seq) return false
    progress.sources[fact] = seq
    return true
  }
  switch (body.kind) {
    case 'lifecycle':
      projectLifecycle(run, body.state, body.error, record.timeMs)
      break
    case 'phase':
      if (isNews('phase'))
        progress.phase = { phase: body.phase, progress: body.progress, detail: body.detail }
      break
    case 'start': {
      const { kind: _, totalSteps, startStep, ...start } = body
      if (!isNews('start')) break
      progress.start = start
      progress.totalSteps = totalSteps
      progress.rewinds = [
        ...progress.rewinds.filter((rewind) => rewind.attempt !== record.attempt),
        { attempt: record.attempt, startStep },
      ]
      // The step counts forward only; before the first record of an attempt it stands at the checkpoint’s.
      if (!('step' in progress.sources)) progress.step = startStep
      break
    }
    case 'scalars':
      for (const [name, value] of Object.entries(body.values))
        if (isNews(`latest/${name}`)) progress.latest[name] = toJsonNumber(value)
      forgetScalars(progress)
      if (isNews('step')) progress.step = body.step
      break
    case 'checkpoint':
      if (isNews('checkpoint')) {
        progress.checkpoint = { step: body.step, path: body.path, bytes: body.bytes }
        progress.checkpointNodeId = run.nodeId
      }
      break
    case 'summary': {
      const { kind: _, ...summary } = body
      if (isNews('summary'))
        progress.summary = Object.fromEntries(
          Object.entries(summary).map(([name, value]) => [name, value === null ? null : toJsonNumber(value)]),
        )
      break
    }
    case 'spectrum':
    case 'log':
    case 'sample':
    case 'evaluation':
    case 'artifact':
      break
    default:
      body satisfies never
  }
}

/** A view shows so many latest values at most: the first by name, whatever the order in which they came. */
const mostScalars = 1000

function forgetScalars({ latest, sources }: RunProgress): void {
  const names = Object.keys(latest)
  if (names.length <= mostScalars) return
  for (const name of names.sort().slice(mostScalars)) {
    delete latest[name]
    delete sources[`latest/${name}`]
  }
}

/** States that a process may report: a report that the table of transitions does not allow changes nothing. */
function projectLifecycle(run: StoredRun, said: RunState, error: ErrorPayload | null, timeMs: number): void {
  const to = said === 'lost' ? afterLoss(run.state) : said
  // A report that overtook `running` implies it.
  const impliesRunning = canTransition(run.state, 'running') && canTransition('running', to)
  if (!canTransition(run.state, to) && !impliesRunning) return
  run.state = to
  run.startedMs ??= timeMs
  if (to === 'running') return
  if (isSettled(to)) run.endedMs = timeMs
  run.progress.phase = null
  if (to === 'lost') countLoss(run.progress, error)
  else if (error) run.progress.error = error
}

/** A run that was to end anyway has ended; one that was to pause keeps the checkpoint that it has. */
function afterLoss(state: RunState): RunState {
  if (state === 'stopping') return 'stopped'
  return state === 'pausing' ? 'paused' : 'lost'
}

function countLoss(progress: RunProgress, error: ErrorPayload | null): void {
  const checkpointStep = progress.checkpoint?.step ?? null
  const before = progress.losses?.checkpointStep === checkpointStep ? progress.losses.count : 0
  progress.losses = { count: before + 1, checkpointStep }
  if (error) progress.lostRank = error
}
