import { statSync } from 'node:fs'

/** Differs as soon as the file does; a file that changed while it was being read is taken for changed ever after. */
export function stampOf(file, readSinceMs = Number.POSITIVE_INFINITY) {
  const { size, mtimeMs } = statSync(file)
  return mtimeMs >= readSinceMs ? 'unsure' : `${size} ${mtimeMs}`
}
