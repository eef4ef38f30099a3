/**
 * Who goes first where threads compete for processors: first what moves live records (daemon, server, browser), then
 * training, then the spectra of ΔW. Priorities are steps below what the process was started with: a node under
 * `nice` stays as modest as its owner wants it.
 */
import { writeFileSync } from 'node:fs'
import { constants, getPriority, setPriority } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'

const stepDown = constants.priority.PRIORITY_BELOW_NORMAL

/**
 * A run’s process, just started as the leader of a session, gives way to this one. Its threads and children inherit
 * that. A machine with nothing better to do trains as fast as before.
 */
export function giveWay(processId: number): void {
  const priority = below(getPriority())
  try {
    setPriority(processId, priority)
  } catch (error) {
    // Gone already: its exit tells why.
    if ((error as { info?: { code?: string } }).info?.code !== 'ESRCH') throw error
  }
  void sessionGivesWay(processId, priority)
}

/**
 * Linux with autogroups shares processors evenly among sessions first, and looks at priorities within one only. Training
 * in the daemon’s session would use up the daemon’s share as well, and a browser’s bursts would hold up both.
 */
async function sessionGivesWay(leader: number, priority: number): Promise<void> {
  const file = `/proc/${leader}/autogroup`
  for (let attempt = 1; attempt <= 10; attempt++) {
    try {
      writeFileSync(file, String(priority))
      return
    } catch (error) {
      // Without privileges one such change in a tenth of a second is allowed, on the whole machine.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return
      await delay(100 + 20 * attempt, undefined, { ref: false })
    }
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
