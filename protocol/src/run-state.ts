/**
 * The life of a run. `queued` waits for a slot; `assigned` was sent to a node; `running` trains; a run whose
 * node vanished is `lost` and goes back to the queue. Every transition that is not in the table is refused.
 */
import { z } from 'zod'

export const runStates = [
  'queued',
  'assigned',
  'running',
  'pausing',
  'paused',
  'stopping',
  'stopped',
  'finished',
  'failed',
  'lost',
] as const
export type RunState = (typeof runStates)[number]
export const runStateSchema = z.enum(runStates)

const transitions: Record<RunState, readonly RunState[]> = {
  // Running: its node, silent so long that the run was queued again, came back before it was given elsewhere.
  queued: ['assigned', 'running', 'stopped', 'paused'],
  assigned: ['running', 'queued', 'failed', 'stopping', 'stopped', 'pausing', 'lost', 'finished'],
  running: ['pausing', 'stopping', 'finished', 'failed', 'stopped', 'paused', 'lost'],
  pausing: ['paused', 'finished', 'failed', 'stopping', 'stopped', 'lost'],
  paused: ['queued', 'stopped'],
  stopping: ['stopped', 'finished', 'failed', 'lost', 'paused'],
  stopped: ['queued'],
  finished: [],
  failed: ['queued'],
  lost: ['queued', 'running', 'stopped', 'finished', 'failed', 'paused'],
}

export function canTransition(from: RunState, to: RunState): boolean {
  return transitions[from].includes(to)
}

/** States in which a node holds, or is about to hold, a process for the run. */
export const activeStates = [
  'assigned',
  'running',
  'pausing',
  'stopping',
] as const satisfies readonly RunState[]
export function isActive(state: RunState): boolean {
  return (activeStates as readonly RunState[]).includes(state)
}
/** States that nothing but a person’s command leaves. */
export function isSettled(state: RunState): boolean {
  return state === 'finished' || state === 'failed' || state === 'stopped'
}

export const runCommands = ['stop', 'pause', 'resume', 'checkpoint', 'retry'] as const
export type RunCommand = (typeof runCommands)[number]
export const runCommandSchema = z.enum(runCommands)

/** Which commands a state accepts; the buttons of the dashboard follow it. */
export function acceptedCommands(state: RunState): RunCommand[] {
  switch (state) {
    case 'queued':
      return ['stop', 'pause']
    case 'lost':
      return ['stop']
    case 'assigned':
      return ['stop']
    case 'running':
      return ['stop', 'pause', 'checkpoint']
    case 'pausing':
      return ['stop']
    case 'paused':
      return ['resume', 'stop']
    case 'stopped':
    case 'failed':
      return ['retry']
    case 'stopping':
    case 'finished':
      return []
    default:
      return state satisfies never
  }
}
