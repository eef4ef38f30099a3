/**
 * One server per data folder, one run per output folder. The lock is a file that names the process: its id, and a mark of
 * its start, so that neither a file that a crash left behind nor another process with the same id refuses for ever. A file
 * that cannot be read counts as left behind. Taking over is a rename, so that of two that try at once one wins.
 */
import { lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { RankscopeError, systemError, whileWriting } from '@rankscope/protocol'
import { z } from 'zod'
import { readStateFile } from './private-state.ts'

const holderSchema = z.object({
  processId: z.int().min(1),
  /** Of the process; null where the system does not tell. */
  start: z.string().nullable(),
  host: z.string(),
})
type Holder = z.infer<typeof holderSchema>

/**
 * The function that gives the lock back, which is the file `name` in the folder. FOLDER_IN_USE names the process that has
 * it; `option` is what the user names another folder with.
 */
export function lockFolder(folder: string, { name, option }: { name: string; option: string }): () => void {
  const file = join(folder, name)
  const self: Holder = { processId: process.pid, start: processStart(process.pid), host: hostname() }
  const text = JSON.stringify(self)
  try {
    mkdirSync(folder, { recursive: true })
    // Each turn either creates the file or removes one that is stale; a third loser of the race gives up.
    for (let turn = 0; turn < 3; turn++) {
      if (create(file, text)) return () => release(file, text)
      const found = readStateFile(file)
      const holder = found === null ? null : parse(found)
      if (holder && isAlive(holder)) throw inUse(folder, file, option, holder)
      if (found !== null) takeAway(file, found)
      else if (lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink()) rmSync(file, { force: true })
    }
  } catch (cause) {
    // Rights, a file where a folder belongs, a full disk: told with the path.
    throw systemError(cause) ?? cause
  }
  throw new RankscopeError('FOLDER_IN_USE', `other processes are starting on ${folder}`, {
    hint: 'try again',
  })
}

function create(file: string, text: string): boolean {
  try {
    whileWriting(file, () => writeFileSync(file, text, { flag: 'wx', mode: 0o600 }))
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

function parse(text: string): Holder | null {
  try {
    return holderSchema.parse(JSON.parse(text))
  } catch {
    return null
  }
}

/** Where somebody else replaced the file meanwhile, it is put back. */
function takeAway(file: string, found: string): void {
  const aside = `${file}.${process.pid}`
  try {
    renameSync(file, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  const taken = readStateFile(aside)
  if (taken !== null && taken !== found) create(file, taken)
  rmSync(aside, { force: true })
}

function release(file: string, text: string): void {
  if (readStateFile(file) === text) rmSync(file, { force: true })
}

/** A process of another machine cannot be looked at: on a shared folder its lock holds. */
function isAlive({ processId, start, host }: Holder): boolean {
  if (host !== hostname()) return true
  try {
    process.kill(processId, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  const current = processStart(processId)
  return start === null || current === null || start === current
}

function inUse(folder: string, file: string, option: string, { processId, host }: Holder): RankscopeError {
  return new RankscopeError('FOLDER_IN_USE', `process ${processId} on ${host} works on ${folder}`, {
    hint:
      host === hostname()
        ? `stop it first, or name another folder with ${option}`
        : `stop it first; if it is gone for good, remove ${file}`,
  })
}

/** Clock ticks from boot to the start of a process, with the boot’s own mark; null where the system does not say. */
function processStart(processId: number): string | null {
  try {
    const status = readFileSync(`/proc/${processId}/stat`, 'utf8')
    // The name in parentheses may hold spaces; the start is field 22, the 20th behind it.
    const ticks = status.slice(status.lastIndexOf(')') + 2).split(' ')[19]
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}/${ticks}`
  } catch {
    return null
  }
}
