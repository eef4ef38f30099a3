/**
 * A lock file that names its holder: process id, and when that process started, which tells it from a later one with the
 * same id. It is made whole or not at all; one whose holder is gone, or that a loss of power left empty, is taken over.
 * Plain JavaScript without dependencies: the set-up uses it before there are any.
 */
import {
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'

/**
 * Takes the lock until this process ends. Returns null, or the process id of the living holder. Throws what the system
 * says about a file that cannot be made.
 *
 * @param {string} file
 * @returns {number | null}
 */
export function takeProcessLock(file) {
  mkdirSync(dirname(file), { recursive: true })
  const own = JSON.stringify({ processId: process.pid, start: processStart(process.pid) })
  const aside = `${file}.${process.pid}`
  writeFileSync(aside, own)
  try {
    for (;;) {
      try {
        // The name appears with its content, and only where there is none.
        linkSync(aside, file)
        process.on('exit', () => releaseProcessLock(file))
        return null
      } catch (error) {
        if (error.code !== 'EEXIST') throw error
      }
      const content = readLock(file)
      if (content === null) continue
      const holder = livingHolder(content)
      if (holder !== null) return holder
      removeStale(file, content)
    }
  } finally {
    rmSync(aside, { force: true })
  }
}

/** Gives the lock back, where this process holds it. */
export function releaseProcessLock(file) {
  const content = readOrNull(file)
  if (content !== null && livingHolder(content) === process.pid) rmSync(file, { force: true })
}

/** Another may have taken the stale lock over meanwhile: what was moved away and is not stale is put back. */
function removeStale(file, judged) {
  const moved = `${file}.${process.pid}.stale`
  try {
    renameSync(file, moved)
    if (readOrNull(moved) !== judged) linkSync(moved, file)
  } catch {
    // Somebody else was faster; the next round shows who.
  }
  rmSync(moved, { force: true })
}

/** Null where there is none any more. A link that leads nowhere is removed; what is no regular file is not opened. */
function readLock(file) {
  const stat = statSync(file, { throwIfNoEntry: false })
  if (stat?.isFile()) return readFileSync(file, 'utf8')
  if (stat === undefined) {
    if (lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink()) rmSync(file, { force: true })
    return null
  }
  const code = stat.isDirectory() ? 'EISDIR' : 'ENXIO'
  throw Object.assign(new Error(`${code}: ${file} is no regular file`), { code, path: file })
}

function readOrNull(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}

/** The process that the lock names, where it is alive and the same. */
function livingHolder(content) {
  const { processId, start } = parsed(content)
  if (!Number.isInteger(processId) || processId < 1 || !isAlive(processId)) return null
  const now = processStart(processId)
  if (now === null) return processId
  if (start === undefined) return isOurs(processId) ? processId : null
  return start === now ? processId : null
}

/** Versions before this one wrote the bare process id. */
function parsed(content) {
  try {
    const value = JSON.parse(content)
    return typeof value === 'number' ? { processId: value } : { ...value }
  } catch {
    return {}
  }
}

function isAlive(processId) {
  try {
    return process.kill(processId, 0)
  } catch (error) {
    return error.code === 'EPERM'
  }
}

function isOurs(processId) {
  return /launch\.mjs|setup\.mjs/.test(readOrNull(`/proc/${processId}/cmdline`) ?? '')
}

/** Clock ticks from boot to the start of the process; null where the system cannot say. */
function processStart(processId) {
  const status = readOrNull(`/proc/${processId}/stat`)
  // The name in parentheses may hold spaces; start time is field 22, the 20th behind it.
  return status?.slice(status.lastIndexOf(')') + 2).split(' ')[19] ?? null
}
