/** Why a run’s process ended without a last word, as a coded error. Pure but for the reading of the kernel’s counter. */
import { readFileSync } from 'node:fs'
import type { ErrorPayload } from '@rankscope/protocol'

export interface RunExit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** The last lines that the process wrote to stderr. */
  readonly lastLines: readonly string[]
  /** Whether the kernel killed any process for want of memory just before this one ended. */
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

/**
 * Whether the kernel has just killed a process for want of memory. Its counters do not say which one, so only what was
 * counted lately says something about a process that was killed now: since the turn before the last one.
 */
export class RecentMemoryKills {
  readonly #count: () => number
  #before: number
  #last: number

  constructor(count: () => number = kernelMemoryKills) {
    this.#count = count
    this.#before = count()
    this.#last = this.#before
  }

  /** Time has passed. */
  turn(): void {
    this.#before = this.#last
    this.#last = this.#count()
  }

  get any(): boolean {
    return this.#count() > this.#before
  }
}

/**
 * How many processes Linux has killed for want of memory: of this process’s control group, where runs are too, or of
 * the whole machine where it is in none. 0 where the system does not count.
 */
export function kernelMemoryKills(read = (file: string) => readFileSync(file, 'utf8')): number {
  const count = (file: string) => {
    try {
      const counted = /^oom_kill (\d+)$/m.exec(read(file))?.[1]
      return counted === undefined ? null : Number(counted)
    } catch {
      return null
    }
  }
  return (
    groupFiles(read)
      .map(count)
      .find((kills) => kills !== null) ??
    count('/proc/vmstat') ??
    0
  )
}

/** Where version 2 and version 1 of control groups keep the counter. */
function groupFiles(read: (file: string) => string): string[] {
  try {
    const groups = read('/proc/self/cgroup')
    const [second, first] = [/^0::(\/.+)$/m, /^\d+:[^:]*\bmemory\b[^:]*:(\/.+)$/m].map(
      (line) => line.exec(groups)?.[1],
    )
    return [
      ...(second ? [`/sys/fs/cgroup${second}/memory.events`] : []),
      ...(first ? [`/sys/fs/cgroup/memory${first}/memory.oom_control`] : []),
    ]
  } catch {
    return []
  }
}
