/**
 * What the operating system, SQLite and the reader of command lines say in codes of their own, as our coded errors:
 * the one place that knows them. Files and ports are named; `whileWriting` names the file where the system does not.
 */
import { type ErrorCode, type ErrorPayload, RankscopeError } from './errors.ts'

type Told = {
  readonly code: string
  readonly path?: unknown
  readonly port?: unknown
  readonly address?: unknown
}

const fullDisk = { code: 'DISK_FULL', hint: 'free some space, or choose a folder on another disk' } as const
const unusable = (hint: string) => ({ code: 'FILE_UNUSABLE', hint }) as const

/** By code: ours, what it means, what to try. */
const known: Record<string, { code: ErrorCode; what: string; hint: string }> = {
  ENOSPC: { what: 'the disk is full', ...fullDisk },
  EDQUOT: { what: 'the quota of the disk is used up', ...fullDisk },
  SQLITE_FULL: { what: 'the disk is full', ...fullDisk },
  EISDIR: { what: 'it is a folder, a file is needed', ...unusable('name a file') },
  ENXIO: { what: 'it is a pipe, a socket or a device, a file is needed', ...unusable('remove it') },
  ENOTDIR: { what: 'a part of the path is a file, not a folder', ...unusable('name a folder') },
  ENOENT: { what: 'there is no such file or folder', ...unusable('check the path') },
  EEXIST: { what: 'it exists already', ...unusable('remove it or choose another path') },
  ENOTEMPTY: { what: 'the folder is not empty', ...unusable('empty it or choose another') },
  EACCES: { what: 'permission is denied', ...unusable('check owner and permissions') },
  EPERM: { what: 'the system does not permit it', ...unusable('check owner and permissions') },
  EROFS: { what: 'the disk is mounted read-only', ...unusable('choose a folder that can be written') },
  EMFILE: { what: 'this process has too many files open', ...unusable('raise the limit: ulimit -n 65536') },
  ENFILE: {
    what: 'the system has too many files open',
    ...unusable('raise fs.file-max, or end other programs'),
  },
  ENAMETOOLONG: { what: 'the path is too long', ...unusable('choose a shorter one') },
  ELOOP: { what: 'its links lead in a circle', ...unusable('mend the link') },
  EFBIG: {
    what: 'the file would be larger than the system permits',
    ...unusable('check ulimit -f and the file system'),
  },
  EIO: { what: 'the disk cannot be read or written', ...unusable('check the disk: the system log has more') },
  EBUSY: { what: 'it is in use', ...unusable('end what uses it') },
}

const addresses: Record<string, { what: string; hint: string }> = {
  EADDRINUSE: { what: 'is taken', hint: 'end the program that listens there, or name another port' },
  EADDRNOTAVAIL: { what: 'is no address of this machine', hint: 'name another with --host' },
  EACCES: { what: 'may not be listened on by this user', hint: 'take a port from 1024 on' },
}

/** Any thrown value as a payload; what has no code of ours or of the system’s is INTERNAL. */
export function errorPayload(error: unknown): ErrorPayload {
  const coded = error instanceof RankscopeError ? error : systemError(error)
  if (coded) return coded.toPayload()
  return { code: 'INTERNAL', message: error instanceof Error ? error.message : String(error), hint: null }
}

/** The coded error, or null for what is neither the system's nor SQLite's nor the command line's. */
export function systemError(error: unknown): RankscopeError | null {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return null
  const { code, path, port, address } = error as Error & Told
  if (code.startsWith('ERR_PARSE_ARGS_'))
    return new RankscopeError('OPTION_INVALID', error.message.replace(/\. To specify.*$/s, ''), {
      hint: '--help lists the options',
      cause: error,
    })
  const atAddress = addresses[code]
  if (atAddress && port !== undefined)
    return new RankscopeError('ADDRESS_UNUSABLE', `${String(address)}:${String(port)} ${atAddress.what}`, {
      hint: atAddress.hint,
      cause: error,
    })
  const entry = known[code]
  if (!entry) return null
  const file = typeof path === 'string' ? `${path}: ` : ''
  return new RankscopeError(entry.code, `${file}${entry.what} (${code})`, { hint: entry.hint, cause: error })
}

/**
 * Does `work` on `file`. What fails on an open file (a write to a full disk) comes without a name from the system; it
 * gets this one.
 */
export function whileWriting<T>(file: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof Error && 'code' in error && !('path' in error)) Object.assign(error, { path: file })
    throw error
  }
}

/** Whether it failed for want of room on the disk: it may be tried again when there is some. */
export function isDiskFull(error: unknown): boolean {
  const coded = error instanceof RankscopeError ? error : systemError(error)
  return coded?.code === 'DISK_FULL'
}
