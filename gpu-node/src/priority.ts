/**
 * Who goes first where threads compete for processors: first what moves live records (daemon, server, browser), then
 * training, then the spectra of ΔW. Priorities are steps below what the process was started with: a node under
 * `nice` stays as modest as its owner wants it.
 */
import { constants, getPriority, setPriority } from 'node:os'

const stepDown = constants.priority.PRIORITY_BELOW_NORMAL

/**
 * A run’s process, just started, gives way to this one. Its threads and children inherit that. A machine with nothing
 * better to do trains as fast as before.
 */
export function giveWay(processId: number): void {
  try {
    setPriority(processId, below(getPriority()))
  } catch (error) {
    // Gone already: its exit tells why.
    if ((error as { info?: { code?: string } }).info?.code !== 'ESRCH') throw error
  }
}

/** This thread gives way to the others of its process, where the system has priorities of threads. */
export function giveWayToOwnProcess(): void {
  // Elsewhere a priority is the whole process’s, which must keep its own.
  if (process.platform === 'linux') setPriority(below(getPriority()))
}

function below(priority: number): number {
  return Math.min(priority + stepDown, constants.priority.PRIORITY_LOW)
}
