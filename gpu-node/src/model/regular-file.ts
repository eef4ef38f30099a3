/** Before a file of a model folder is opened: to open a pipe that nobody writes to would wait for ever. */
import { statSync } from 'node:fs'
import { type ErrorCode, RankscopeError } from '@rankscope/protocol'

/** Throws the code where something of that name is there and is no regular file; links are followed. */
export function requireRegularFile(file: string, code: ErrorCode): void {
  const stat = statSync(file, { throwIfNoEntry: false })
  if (!stat || stat.isFile()) return
  const what = stat.isDirectory() ? 'a folder' : 'a pipe, a socket or a device'
  throw new RankscopeError(code, `${file}: this is ${what}, no regular file`, {
    hint: 'Put the file itself there, or a link to it.',
  })
}
