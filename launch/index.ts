/** How the program starts more processes and threads of itself; launch.mjs tells how they load. */

export { commitFile, sourceCommit } from './commit.ts'
export { lockFolder } from './folder-lock.ts'
export { createForOwnerOnly, openPrivateState, readStateFile } from './private-state.ts'
export { runBelow, signalCodes } from './run-below.ts'

import { fileURLToPath } from 'node:url'

/**
 * Path of the launcher, a plain JavaScript module. As a process it takes the path of a TypeScript module and that
 * module’s arguments; as a worker thread it takes the module’s URL in `workerData.entry`.
 */
export const launcher = fileURLToPath(new URL('./launch.mjs', import.meta.url))

/** The command line that starts the TypeScript module at `entry` as a process: program first. */
export function launchCommand(entry: URL, ...args: string[]): [string, ...string[]] {
  return [process.execPath, launcher, fileURLToPath(entry), ...args]
}

export { endOnFault, leaveWithParent, withParent } from './parent.ts'
