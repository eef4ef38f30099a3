/** Which sources run: the commit of the repository that this file lies in. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Beside this file in a bundle, which is no repository: the commit that it was made of. */
export const commitFile = 'commit'

/** With `+` behind it where files differ from it; null where there is no repository, or no git. */
export function sourceCommit(): string | null {
  const written = join(import.meta.dirname, commitFile)
  if (existsSync(written)) return readFileSync(written, 'utf8').trim() || null
  const git = (...args: string[]) =>
    spawnSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8', timeout: 5000 })
  const head = git('rev-parse', 'HEAD')
  if (head.status !== 0) return null
  const changes = git('status', '--porcelain', '--untracked-files=no')
  return `${head.stdout.trim()}${changes.status === 0 && changes.stdout.trim() === '' ? '' : '+'}`
}
