/** Why a run’s process ended without a last word, as a coded error. Pure but for the reading of the kernel’s counter. */
import { readFileSync } from 'node:fs'
import type { ErrorPayload } from '@rankscope/protocol'

export interface RunExit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** The last lines that the process wrote to stderr. */
  readonly lastLines: readonly string[]
  /** Whether the kernel killed any process for want of memory while this one ran. */
  readonly kernelKilledForMemory: boolean
}

const quotedLines = 20

export function explainExit(exit: RunExit): ErrorPayload {
  const heapFull = exit.lastLines.some((line) =>
    /heap out of memory|Array buffer allocation failed/i.test(line),
  )
  const allocationFailed = exit.lastLines.some((line) => /std::bad_alloc|cannot allocate memory/i.test(line))
  const how = exit.signal === null ? `exit code ${exit.code}` : `signal ${exit.signal}`
  if (heapFull || allocationFailed || (exit.signal === 'SIGKILL' && exit.kernelKilledForMemory)) {
    const who = heapFull ? 'the JavaScript heap was full' : 'the system had no memory left'
    return {
      code: 'OUT_OF_MEMORY',
      message: `the run’s process ended (${how}): ${who}`,
      hint: 'take a smaller micro-batch or maximum length, turn gradient checkpointing on, or give the node fewer slots',
    }
  }
  const lines = exit.lastLines.slice(-quotedLines).join('\n')
  return {
    code: 'RUN_CRASHED',
    message: `the run’s process ended with ${how}${lines === '' ? ' and wrote nothing to stderr' : `:\n${lines}`}`,
    hint:
      exit.signal === 'SIGKILL'
        ? 'somebody or something killed it; retry, and look into the system log if it happens again'
        : 'the run’s log on the node has all of its output; retry goes on from the last checkpoint',
  }
}

/** How many processes Linux has killed for want of memory since it started; 0 where the system does not count. */
export function kernelMemoryKills(): number {
  try {
    return Number(/^oom_kill (\d+)$/m.exec(readFileSync('/proc/vmstat', 'utf8'))?.[1] ?? 0)
  } catch {
    return 0
  }
}
