/**
 * A run’s process leaves when the channel to its daemon closes, as soon as it gets its turn. One that is halted, or deep in
 * a native call, gets none: on Linux the kernel ends it, if it is asked to beforehand.
 */
import koffi from 'koffi'

/** PR_SET_PDEATHSIG of prctl(2): the signal that this process gets when the one that started it is gone. */
const setParentDeathSignal = 1
const kill = 9

/** False where the system has no such thing: the channel and the next daemon see to it there. */
export function endWithParent(): boolean {
  if (process.platform !== 'linux') return false
  try {
    const prctl = koffi
      .load(null)
      .func('int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)')
    return prctl(setParentDeathSignal, kill, 0, 0, 0) === 0
  } catch {
    return false
  }
}
