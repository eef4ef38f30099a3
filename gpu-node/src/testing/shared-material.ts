/**
 * Where tests find real models, data sets and the results of reference implementations. They are no part of the
 * repository: they lie in the folder `shared` beside it, or where RANKSCOPE_SHARED says. Tests that need them are
 * skipped, with the reason, where it is absent.
 */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'

export const sharedFolder = resolve(
  process.env['RANKSCOPE_SHARED'] ?? join(import.meta.dirname, '../../../../shared'),
)

/** Path of a file or folder of the shared material, e.g. `sharedPath('data/models/stories260K')`. */
export function sharedPath(...parts: string[]): string {
  return join(sharedFolder, ...parts)
}

/** Suffix of a test's name that says why it is skipped; null where the material is there. */
export const sharedMissing: string | null = existsSync(sharedFolder)
  ? null
  : `skipped: no shared material at ${sharedFolder} (set RANKSCOPE_SHARED)`
