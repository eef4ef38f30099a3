/** Processes on Linux by /proc: memory in use, and a mark that tells a process from a later one with the same id. */
import { readFileSync } from 'node:fs'

/** Clock ticks from boot to the start of the process, or null where the system cannot say or there is none. */
export function processStart(processId: number): string | null {
  try {
    const status = readFileSync(`/proc/${processId}/stat`, 'utf8')
    // The name in parentheses may hold spaces; start time is field 22, the 20th behind it.
    return status.slice(status.lastIndexOf(')') + 2).split(' ')[19] ?? null
  } catch {
    return null
  }
}

/** Resident memory of a process in bytes, or null where the system cannot say. */
export function residentMemoryBytes(processId: number): number | null {
  try {
    const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${processId}/status`, 'utf8'))?.[1]
    return kibibytes === undefined ? null : Number(kibibytes) * 1024
  } catch {
    return null
  }
}

/** Kills a process that an earlier daemon left behind; does nothing where it is gone or its id belongs to another. */
export function killLeftover(processId: number, start: string): boolean {
  if (processStart(processId) !== start) return false
  process.kill(processId, 'SIGKILL')
  return true
}
