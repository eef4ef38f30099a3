/**
 * State that belongs to its owner alone: folders 0700, files 0600, whatever the umask was, also of what an earlier
 * release left with wider rights. Server and nodes keep tokens, prompts and weights there.
 */
import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** From then on everything that this process and its children create is its owner’s. For programs, not for libraries. */
export function createForOwnerOnly(): void {
  process.umask(0o077)
}

/**
 * The folder is made where it is missing, and closed to others; of what lies in it already, the `known` names are
 * mended, with all that is below them.
 */
export function openPrivateState(folder: string, known: readonly string[]): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const { mode, uid } = lstatSync(folder)
  // A folder of many owners, such as /tmp, is no state folder, and not ours to close.
  const isShared = (mode & 0o1000) !== 0 || uid !== process.getuid?.()
  if (!isShared) close(folder, mode)
  for (const name of known) mend(join(folder, name))
}

function mend(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (!stat || stat.uid !== process.getuid?.() || !(stat.isFile() || stat.isDirectory())) return
  close(path, stat.mode)
  if (stat.isDirectory()) for (const name of readdirSync(path)) mend(join(path, name))
}

function close(path: string, mode: number): void {
  if ((mode & 0o077) === 0) return
  try {
    chmodSync(path, mode & 0o700)
  } catch (error) {
    // Removed meanwhile.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

/**
 * The text of a small file; null where there is none. What is no regular file is named instead of being opened: a pipe
 * would be waited for without end. Throws what the system says, with the path.
 */
export function readStateFile(file: string): string | null {
  const stat = statSync(file, { throwIfNoEntry: false })
  if (!stat) return null
  if (stat.isFile()) return readFileSync(file, 'utf8')
  const code = stat.isDirectory() ? 'EISDIR' : 'ENXIO'
  throw Object.assign(new Error(`${code}: ${file} is no regular file`), { code, path: file })
}
