/** Which sources run: the commit of the repository that this file lies in. */
import { spawnSync } from 'node:child_process'

/** With `+` behind it where files differ from it; null where there is no repository, or no git. */
export function sourceCommit(): string | null {
  const git = (...args: string[]) =>
    spawnSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8', timeout: 5000 })
  const head = git('rev-parse', 'HEAD')
  if (head.status !== 0) return null
  const changes = git('status', '--porcelain', '--untracked-files=no')
  return `${head.stdout.trim()}${changes.status === 0 && changes.stdout.trim() === '' ? '' : '+'}`
}
